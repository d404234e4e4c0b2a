"""A page's call that carries a file instead of a value brings no byte of this server's back.

Gradio copies what a file's `path` names into its cache and hands it out; mounted as it comes,
any signed-in person read /etc/passwd that way. Every kind of input gets every payload, and
every handler gets one of them, at once and through the queue.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import gradio as gr
import httpx
import pytest
from gradio.utils import get_upload_folder

from tests.flow.place import Place

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARK: Final = "a-byte-of-the-server"
SIGNS: Final = (MARK, "root:x:0:", "PATH=/")
PAYLOADS: Final = (
    "an absolute path",
    "the password file",
    "the environment",
    "out by dots",
    "a dot file",
    "a link",
    "a file address",
    "an address of this machine",
    "another person's upload",
    "the database",
    "the keys",
    "another letter case",
)


@dataclass
class Lure:
    """Files with a mark in them, and a server that counts who asks it."""

    paths: dict[str, str]
    url: str
    asked: list[str] = field(default_factory=list)

    def payload(self, name: str) -> dict[str, Any]:
        address = self.url if name == "an address of this machine" else None
        return {
            "path": self.paths.get(name, self.url),
            "url": address,
            "orig_name": "x.png",
            "meta": {"_type": "gradio.FileData"},
        }


@pytest.fixture(scope="module")
def lure(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lure]:
    asked: list[str] = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(MARK.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    folder = tmp_path_factory.mktemp("server")
    secret, dotted = folder / "secret.txt", folder / ".secret"
    secret.write_text(MARK)
    dotted.write_text(MARK)
    (folder / "link.png").symlink_to(secret)
    upload = Path(get_upload_folder()) / uuid4().hex / "scan.png"
    upload.parent.mkdir(parents=True)
    upload.write_text(MARK)
    server = HTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    dots = "../" * 30
    yield Lure(
        {
            "an absolute path": str(secret),
            "the password file": "/etc/passwd",
            "the environment": "/proc/self/environ",
            "out by dots": f"{dots}{str(secret)[1:]}",
            "a dot file": str(dotted),
            "a link": str(folder / "link.png"),
            "a file address": f"file://{secret}",
            "another person's upload": str(upload),
            "the database": str(place.settings.data_dir / "overread.db"),
            "the keys": str(place.settings.key_file),
            "another letter case": "/ETC/../etc/passwd",
        },
        f"http://127.0.0.1:{server.server_port}/mark",
        asked,
    )
    server.shutdown()
    server.server_close()
    thread.join()
    upload.unlink()
    upload.parent.rmdir()


def _kinds(blocks: gr.Blocks) -> dict[tuple[str, ...], int]:
    """Return one handler for each list of components that handlers read."""
    return {
        tuple(type(component).__name__ for component in fn.inputs): number
        for number, fn in blocks.fns.items()
        if fn.inputs
    }


def _cached() -> set[Path]:
    return {path for path in Path(get_upload_folder()).rglob("*") if path.is_file()}


def _signs_in(place: Place, *answers: httpx.Response) -> list[str]:
    secret = place.settings.key_file.read_text()[20:40]
    signs = (*SIGNS, "SQLite format", secret)
    return [sign for answer in answers for sign in signs if sign in answer.text]


async def test_the_payloads_would_show(place: Place, lure: Lure) -> None:
    assert set(lure.paths) | {"an address of this machine"} == set(PAYLOADS)
    for name, path in lure.paths.items():
        assert Path(path.removeprefix("file://").replace("/ETC/..", "")).exists(), name
    assert _signs_in(place, httpx.Response(200, text=Path("/etc/passwd").read_text()))
    assert httpx.get(lure.url).text == MARK
    lure.asked.clear()


@pytest.mark.parametrize("name", PAYLOADS)
async def test_no_handler_returns_a_byte_of_it(
    place: Place, blocks: gr.Blocks, lure: Lure, name: str
) -> None:
    before, payload = _cached(), lure.payload(name)
    async with place.person("admin") as person:
        for kinds, number in _kinds(blocks).items():
            call = {
                "fn_index": number,
                "data": [payload] * len(kinds),
                "session_hash": uuid4().hex,
            }
            at_once = await person.post("/gradio_api/run/predict", json=call)
            assert _signs_in(place, at_once) == [], (name, number)
        for door in (f"call/{number}", "call/v2/predict", "api/predict", "component_server"):
            shut = await person.post(f"/gradio_api/{door}", json=call)
            assert (shut.status_code, _signs_in(place, shut)) == (404, [])
        for given in (payload["path"], f"/{payload['path']}"):
            served = await person.get(f"/gradio_api/file={given}")
            assert (served.status_code, _signs_in(place, served)) == (404, [])
    assert _cached() == before
    assert lure.asked == []


async def test_nor_does_any_handler_through_the_queue(
    place: Place, blocks: gr.Blocks, lure: Lure
) -> None:
    blocks.run_startup_events()  # type: ignore[no-untyped-call]  # nobody serves this application, so nothing else starts it
    place.gate.page_sessions.streams.hangs_up_within_s = 0.01  # this client reads to the end
    before = _cached()
    handlers = [number for number, fn in blocks.fns.items() if fn.inputs]
    async with place.person("admin") as person:
        for turn, number in enumerate(handlers):
            session, name = uuid4().hex, PAYLOADS[turn % len(PAYLOADS)]
            call = {
                "fn_index": number,
                "data": [[lure.payload(name)]] * len(blocks.fns[number].inputs),
                "session_hash": session,
            }
            at_once = await person.post("/gradio_api/run/predict", json=call)
            joined = await person.post("/gradio_api/queue/join", json=call)
            heard = await person.get("/gradio_api/queue/data", params={"session_hash": session})
            assert _signs_in(place, at_once, joined, heard) == [], (name, number)
            assert "process_completed" in heard.text or joined.status_code != 200
    assert len(handlers) >= len(PAYLOADS)
    assert _cached() == before
    assert lure.asked == []
