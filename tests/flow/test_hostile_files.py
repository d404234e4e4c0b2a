"""Every hostile file gets its outcome at the public door, and nothing of a refused one stays."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlmodel import col, select

from storage.cases import images_of, instances_of
from storage.intake.door import FACE_SENTENCE, HELD_SENTENCE
from storage.intake.refusals import SENTENCES
from storage.tables import AuditEvent
from storage.vocabulary import Role
from tests.flow.canaries import found_in
from tests.flow.fake_worker import running_worker
from tests.flow.hostile import ADMITTED, HELD, HOSTILE_NAMES, NAMES, ROWS, Row
from tests.flow.place import Place, furnished
from tests.unit.intake.samples import film
from webapp.auth.routes import API

LIMIT = 8 * 1024 * 1024  # of one upload in this place
BOUNDARY = "----x"
TYPE = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


@dataclass
class Door:
    """A running application, its readers' door, and what is on its disk."""

    place: Place
    runner: asyncio.Runner
    sent: int = 0

    def send(self, data: bytes, name: str = "file") -> dict[str, Any]:
        """Upload one file into a collection of its own; return the only outcome."""
        self.sent += 1
        answer = self.post(files=[("files", (name, data))], data={"collection": f"c{self.sent}"})
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        assert {(item["outcome"], item["code"]) for item in items} == {
            (items[0]["outcome"], items[0]["code"])
        }
        return items[0]

    def post(self, **request: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        return self.runner.run(self._do("POST", "studies", **request))

    def get(self, path: str) -> httpx.Response:
        return self.runner.run(self._do("GET", path))

    async def _do(self, method: str, path: str, **request: Any) -> httpx.Response:  # noqa: ANN401
        async with self.place.program(Role.ADMIN) as program:
            return await program.request(method, f"{API}/{path}", **request)

    def on_disk(self) -> set[str]:
        """Return every file of the data folder but the database's own."""
        folder = self.place.settings.data_dir
        return {
            str(path.relative_to(folder))
            for path in folder.rglob("*")
            if path.is_file() and not path.name.startswith(("overread.db", "audit-heads"))
        }

    def kept(self, case_id: UUID) -> list[bytes]:
        """Return the objects of a case and their pixels."""
        blobs = self.place.services.studies.blobs
        with self.place.services.store.read() as session:
            images = images_of(session, case_id)
            instances = instances_of(session, [image.id for image in images])
        each = [instance for of_image in instances.values() for instance in of_image]
        return [blobs.get(at) for one in each for at in (one.dicom_blob, one.pixel_blob)]

    def last_event(self) -> AuditEvent:
        with self.place.services.store.read() as session:
            newest = select(AuditEvent).order_by(col(AuditEvent.seq).desc())
            event = session.exec(newest).first()
        assert event is not None
        return event


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Door]:
    with running_worker() as worker, asyncio.Runner() as runner:
        furnishing = furnished(tmp_path_factory.mktemp("door"), migrated_sqlite, worker)
        place = runner.run(furnishing.__aenter__())
        yield Door(place, runner)
        runner.run(furnishing.__aexit__(None, None, None))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_hostile_file_gets_its_outcome(door: Door, row: Row) -> None:
    before = door.on_disk()
    outcome = door.send(row.data())
    if row.expected in SENTENCES:
        assert (outcome["outcome"], outcome["code"]) == ("refused", row.expected)
        assert outcome["message"] == SENTENCES[row.expected]
        assert outcome["case_id"] is None
        assert door.on_disk() == before
        assert (door.last_event().outcome, door.last_event().code) == ("refused", row.expected)
        return
    assert (outcome["outcome"], row.expected in (ADMITTED, HELD)) == (row.expected, True), outcome
    assert outcome["message"] in ("", HELD_SENTENCE, FACE_SENTENCE)
    case = door.get(f"cases/{outcome['case_id']}").json()
    kept = door.kept(UUID(outcome["case_id"]))
    assert kept[0][:132] == bytes(128) + b"DICM"
    if row.mint is not None:
        assert [found_in(data, row.mint) for data in kept] == [set()] * len(kept)
    if row.pixels is not None:
        assert row.pixels() in kept
    if row.expected == ADMITTED:
        window = door.get(f"images/{case['images'][0]['id']}").json()["windows"][0]
        assert window["width"] > 0


@pytest.mark.parametrize("name", HOSTILE_NAMES.values(), ids=HOSTILE_NAMES)
def test_row_72_hostile_name_is_nowhere(door: Door, name: str) -> None:
    part = f'Content-Disposition: form-data; name="files"; filename="{name}"'
    body = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="collection"\r\n\r\nnames'.encode()
        + f"\r\n--{BOUNDARY}\r\n{part}\r\n\r\n".encode()
        + film(PatientName=NAMES.word())
        + f"\r\n--{BOUNDARY}--\r\n".encode()
    )
    answer = door.post(content=body, headers=TYPE)
    if answer.status_code != 200:  # the name broke the request itself
        assert answer.json()["error"]["code"] == "invalid_request"
        return
    (outcome,) = answer.json()["items"]
    assert outcome["outcome"] == ADMITTED
    assert re.search(r"[/\\\0\u202e]", outcome["file"]) is None
    assert len(outcome["file"]) <= 255
    shown = door.get(f"cases/{outcome['case_id']}").text
    rows = (door.place.settings.data_dir / "overread.db-wal").read_bytes()
    for text in (shown.encode(), rows, *map(str.encode, door.on_disk())):
        assert b"QXZV" not in text
        assert b"onerror" not in text
        assert b"HYPERLINK" not in text


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        pytest.param(TYPE, b'------x\r\nContent-Disposition: form-data; name="files"; filename="'
                     + b"x" * 30_000_000, 413, id="row-73 name of 30 MB"),
        pytest.param(TYPE, b'------x\r\nContent-Disposition: form-data; name="files"; filename="'
                     + b"x" * 5_000_000 + b'"\r\n\r\na\r\n------x--\r\n', 422,
                     id="row-73 name of 5 MB"),
        pytest.param(TYPE, b"------x\r\n" + b"X: y\r\n" * 200_000 + b"\r\n", 422,
                     id="row-73 200,000 part headers"),
        pytest.param({"content-type": "multipart/form-data"}, b"x", 422, id="row-73 no boundary"),
        pytest.param(TYPE, b"x" * (LIMIT + 1), 413, id="row-74 one byte too many"),
        pytest.param(TYPE | {"content-length": "10"}, b"x" * (LIMIT + 1), 413,
                     id="row-74 a length that lies"),
    ],
)  # fmt: skip
def test_hostile_request_is_refused(
    door: Door, headers: dict[str, str], body: bytes, status: int
) -> None:
    before = door.on_disk()
    answer = door.post(content=body, headers=headers)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["code"] == {413: "too_large", 422: "invalid_request"}[status]
    assert "x" * 20 not in error["message"]
    assert door.on_disk() == before


def test_row_73_two_files_in_one_field_are_two_files(door: Door) -> None:
    files = [("files", ("a", film())), ("files", ("b", b""))]
    answer = door.post(files=files, data={"collection": "two"})
    assert [item["outcome"] for item in answer.json()["items"]] == ["admitted", "refused"]


def test_the_service_goes_on_after_all_of_this(door: Door) -> None:
    assert door.send(film(InstanceNumber=7))["outcome"] == ADMITTED
    assert door.get("health/live").status_code == 200
