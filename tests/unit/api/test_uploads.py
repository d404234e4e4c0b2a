"""Uploads go to a private folder under random names, and nothing of them stays behind."""

import stat
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, Request

from webapp.api import uploads
from webapp.api.problems import add_problem_handlers
from webapp.api.uploads import receive_upload
from webapp.services.folders import private_folder

BOUNDARY = "----x"
TYPE = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


@pytest.fixture
def client(tmp_path: Path) -> httpx.AsyncClient:
    app = FastAPI()
    add_problem_handlers(app)

    @app.post("/")
    async def receive(request: Request) -> dict[str, object]:
        with private_folder(tmp_path) as folder:
            upload = await receive_upload(request, folder)
            return {
                "names": upload.names,
                "sizes": [path.stat().st_size for path in upload.paths],
                "modes": [stat.S_IMODE(path.stat().st_mode) for path in upload.paths],
                "folder": [stat.S_IMODE(folder.stat().st_mode), folder.parent.name],
                "stored": [path.name for path in upload.paths],
                "fields": upload.fields,
            }

    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


def _left_behind(data_dir: Path) -> list[Path]:
    return list((data_dir / "tmp").iterdir())


async def test_files_and_fields_arrive(client: httpx.AsyncClient, tmp_path: Path) -> None:
    files = [
        ("files", ("a.dcm", b"abc", "application/dicom")),
        ("files", ("b.dcm", b"", "application/dicom")),
    ]
    answer = (await client.post("/", files=files, data={"collection": "Chest α"})).json()

    assert answer["names"] == ["a.dcm", "b.dcm"]
    assert answer["sizes"] == [3, 0]
    assert answer["fields"] == {"collection": "Chest α"}
    assert _left_behind(tmp_path) == []


async def test_only_this_account_may_look_and_names_say_nothing(client: httpx.AsyncClient) -> None:
    files = {"files": ("SMITH^JOHN MRN123.dcm", b"abc")}
    answer = (await client.post("/", files=files)).json()

    assert answer["modes"] == [0o600]
    assert answer["folder"] == [0o700, "tmp"]
    assert "SMITH" not in answer["stored"][0]
    assert len(answer["stored"][0]) == 32


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\films\\a.dcm", "a.dcm"),
        ("a\x07b.dcm", "ab.dcm"),
        ("/", "file"),
        ("é" * 300, "é" * 255),
    ],
)
async def test_of_a_sent_name_only_the_last_part_is_echoed(
    client: httpx.AsyncClient, sent: str, name: str
) -> None:
    part = f'Content-Disposition: form-data; name="files"; filename="{sent}"'.encode()
    body = b"--" + BOUNDARY.encode() + b"\r\n" + part + b"\r\n\r\nabc\r\n------x--\r\n"

    answer = (await client.post("/", content=body, headers=TYPE)).json()

    assert answer["names"] == [name]


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        pytest.param({"content-type": "application/json"}, b"{}", id="not multipart"),
        pytest.param({"content-type": "multipart/form-data"}, b"", id="no boundary"),
        pytest.param(TYPE, b"", id="nothing at all"),
        pytest.param(TYPE, b"no parts here", id="no parts"),
        pytest.param(
            TYPE,
            b'------x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\nab',
            id="cut off in a file",
        ),
        pytest.param(
            TYPE,
            b'------x\r\nContent-Disposition: form-data; name="other"; filename="a"\r\n\r\nab'
            b"\r\n------x--\r\n",
            id="a file in another field",
        ),
        pytest.param(
            TYPE,
            b'------x\r\nContent-Disposition: form-data; name="collection"\r\n\r\n'
            + b"a" * 2_000
            + b"\r\n------x--\r\n",
            id="an endless field",
        ),
        pytest.param(
            TYPE,
            b"------x\r\n" + b"X: y\r\n" * 50 + b"\r\nab\r\n------x--\r\n",
            id="too many part headers",
        ),
    ],
)
async def test_damaged_uploads_are_refused_and_leave_nothing(
    client: httpx.AsyncClient, tmp_path: Path, headers: dict[str, str], body: bytes
) -> None:
    response = await client.post("/", content=body, headers=headers)

    assert response.status_code == 422
    assert response.json()["error"]["code"] == "invalid_request"
    assert _left_behind(tmp_path) == []


async def test_too_many_files_are_refused(client: httpx.AsyncClient) -> None:
    files = [("files", ("a", b""))] * (uploads.MOST_FILES + 1)

    response = await client.post("/", files=files)

    assert "at most 2,000 files" in response.json()["error"]["message"]


async def test_a_file_larger_than_memory_would_like_is_streamed(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    head = b'------x\r\nContent-Disposition: form-data; name="files"; filename="big"\r\n\r\n'

    async def body() -> AsyncIterator[bytes]:
        yield head
        for _ in range(64):
            yield b"\x00" * 65_536
        yield b"\r\n------x--\r\n"

    answer = (await client.post("/", content=body(), headers=TYPE)).json()

    assert answer["sizes"] == [64 * 65_536]
    assert _left_behind(tmp_path) == []
