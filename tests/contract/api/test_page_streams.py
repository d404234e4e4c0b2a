"""The streams that an open page holds, over a real connection."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from tests.flow.fake_worker import running_worker
from tests.flow.place import PASSWORD, furnished
from tests.flow.served import served
from webapp.ui import mount_pages


async def test_a_pages_heartbeat_ends_with_the_session(
    tmp_path: Path, migrated_sqlite: Path
) -> None:
    with running_worker() as worker:
        async with furnished(tmp_path, migrated_sqlite, worker, mount=mount_pages) as place:
            with served(place.gate) as url:
                async with httpx.AsyncClient(base_url=url, timeout=30) as browser:
                    await browser.post("/login", data={"name": "reader", "password": PASSWORD})
                    beating = browser.stream("GET", "/gradio_api/heartbeat/h1")
                    async with beating as heartbeat:
                        lines = heartbeat.aiter_lines()
                        assert await anext(lines) == "data: ALIVE"
                        assert (await browser.post("/logout")).status_code == 303
                        rest = await asyncio.wait_for(_all_of(lines), 10)
                    again = await browser.get("/gradio_api/heartbeat/h1")

    assert [line for line in rest if line] == []
    assert again.status_code == 401


async def _all_of(lines: AsyncIterator[str]) -> list[str]:
    return [line async for line in lines]
