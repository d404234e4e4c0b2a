"""The promise of the study door: nothing a file says of a person is in what the product wrote.

Thousands of unique tokens come in through the API, the page's route and the command line, into
a whole application that is then used: pixels attested and masked, questions asked, reviews
given, everything exported. Every byte written on the way is searched.
"""

import io
import json
import re
import sqlite3
import zipfile
from base64 import b64decode
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx
import pytest
from pydicom.datadict import dictionary_VR

from storage.blobs import BlobStore
from storage.keys import Keys
from storage.vocabulary import ExportFormat, Role
from tests.flow.canaries import (
    CHARSETS,
    CYRILLIC,
    KINDS,
    NEEDED,
    SPELLINGS,
    TEXT_VRS,
    Form,
    Kind,
    Mint,
    dicom,
    everywhere,
    found_in,
    jpeg,
    jpeg_2000,
    png,
    unpacked,
    volume,
)
from tests.flow.place import HERE, Place
from tests.flow.terminal import Overread
from tests.flow.test_the_loop import events
from tests.unit.intake.samples import CT_CLASS
from webapp.auth.routes import API
from webapp.logs import configure_logging

ENOUGH: Final = 3_800
Files = dict[str, bytes]
Outcome = dict[str, Any]


def good_files(mint: Mint) -> Files:
    """Return files that are images; every name is that of a patient too."""
    files = {}
    for kind in KINDS:
        elements = everywhere(mint, kind.form, kind.charset)
        files[f"{mint.word()} {kind.modality}.dcm"] = dicom(kind, mint, elements)
    packed = Form("1.2.840.10008.1.2.4.50"), Form("1.2.840.10008.1.2.4.90")
    for form, frame in zip(packed, (jpeg(mint), jpeg_2000(mint)), strict=True):
        kind = Kind("CR", "1.2.840.10008.5.1.4.1.1.1", CYRILLIC, form)
        files[f"{mint.word()}.dcm"] = dicom(kind, mint, {}, frame=frame)
    files |= {f"{mint.word()}.png": png(mint), f"{mint.word()}.jpg": jpeg(mint)}
    files |= {f"{mint.word()}.nii.gz": volume(mint)}
    return files | {f"{mint.word()}.zip": archive(mint)}


def archive(mint: Mint) -> bytes:
    """Return a zip of two slices with tokens in names, comments and extra fields."""
    buffer, kind = io.BytesIO(), KINDS[0]
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.comment = mint.word().encode()
        for _ in range(2):
            member = zipfile.ZipInfo(f"{mint.word()}^{mint.word()}/{mint.word()}.dcm")
            member.comment, word = mint.word().encode(), mint.word().encode()
            member.extra = b"\x99\x99" + len(word).to_bytes(2, "little") + word
            packed.writestr(member, dicom(kind, mint, {}))
    return buffer.getvalue()


def bad_files(mint: Mint) -> Files:
    """Return files that are refused, each by another module of the door."""
    form = Form()

    def with_element(tag: int, vr: str, text: str, sop_class: str = CT_CLASS) -> bytes:
        kind = Kind("CT", sop_class, CYRILLIC, form)
        words = {0x00100010: form.element(0x00100010, "PN", mint.word().encode())}
        return dicom(kind, mint, words | {tag: form.element(tag, vr, text.encode())})

    whole = with_element(0x00081030, "LO", mint.word())
    picture, photo = png(mint), jpeg(mint)
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as packed:
        packed.writestr(f"../{mint.word()}", mint.word())
    made = {
        "truncated": whole[: len(whole) // 2],
        "report": with_element(0x00081030, "LO", mint.word(), "1.2.840.10008.5.1.4.1.1.88.33"),
        "no class": with_element(0x00081030, "LO", mint.word(), mint.other("1.9.774.1.")),
        "command": with_element(0x00001000, "UI", mint.other("1.9.774.1.")),
        "rescale": with_element(0x00281053, "DS", mint.word()),
        "frames": with_element(0x00280008, "IS", mint.word()),
        "syntax": whole.replace(b"1.2.840.10008.1.2.1\0", b"1.9.774.1.000001234\0"),
        "program": b"MZ" + whole[2:],
        "cut picture": picture[:-40],
        "wrong checksum": picture.replace(b"IDAT", b"IDAT\xff"),
        "cut photo": photo[: len(photo) // 3],
        "text": mint.word().encode() * 40,
        "archive": zipped.getvalue(),
    }
    return {f"{mint.word()} {name}": data for name, data in made.items()}


@dataclass
class Written:
    """Everything that came out, by where."""

    found: list[tuple[str, bytes]] = field(default_factory=list)

    def add(self, where: str, data: bytes) -> None:
        self.found.append((where, data))

    def answer(self, where: str, response: httpx.Response) -> httpx.Response:
        """Note an answer, body and headers."""
        self.add(where, response.content)
        self.add(f"{where}, headers", repr(response.headers.raw).encode())
        return response

    def outcomes(self, where: str, items: list[Outcome], names: Iterable[str]) -> Counter[str]:
        """Note outcomes; a sender may be told what the sender called a file, and nothing else."""
        echoes = set(names)
        for item in items:
            echo, _, number = item["file"].partition(" #")
            if where == "CLI" and echo not in echoes:  # a member of an archive, by its name
                echo, number = next(name for name in echoes if echo.startswith(f"{name}/")), ""
            assert echo in echoes
            self.add(where, json.dumps(item | {"file": number}, ensure_ascii=False).encode())
        return Counter(item["outcome"] for item in items)

    def folder(self, where: str, folder: Path) -> None:
        """Note every file below a folder, name and content."""
        for path in sorted(folder.rglob("*")):
            self.add(where, str(path.relative_to(folder)).encode())
            if path.is_file():
                for data in unpacked(path.read_bytes()):
                    self.add(where, data)

    def leaks(self, mint: Mint) -> dict[str, set[str]]:
        """Return what was found, by where."""
        hits = [(where, found_in(data, mint)) for where, data in self.found]
        return {where: found for where, found in hits if found}


@pytest.fixture
def log(quiet_logging: None) -> io.StringIO:  # noqa: ARG001 - for its end
    """Catch what the product logs at its most talkative."""
    stream = io.StringIO()
    configure_logging("debug", stream)
    return stream


async def sent(client: httpx.AsyncClient, files: Files, collection: str) -> httpx.Response:
    parts = [("files", (name, data)) for name, data in files.items()]
    return await client.post(f"{API}/studies", files=parts, data={"collection": collection})


async def used(client: httpx.AsyncClient, collection: str, written: Written) -> int:
    """Look at, attest, read, ask about and review every case of a collection."""
    cases = (await client.get(f"{API}/cases", params={"collection": collection})).json()["items"]
    for number, row in enumerate(cases):
        at = f"{API}/cases/{row['id']}"
        case = written.answer("case", await client.get(at)).json()
        if row["state"] == "held":
            image = case["images"][0]
            box = {"image_id": image["id"], "coords": [0, 0, 1, 1]}
            decision = ("clean", "mask", "refuse")[number % 3]
            masks = [box] if decision == "mask" else []
            body = {
                "idempotency_key": f"{collection} {number}",
                "decision": decision,
                "masks": masks,
            }
            answer = await client.post(f"{API}/studies/{row['id']}/attest", json=body)
            assert written.answer("attestation", answer).status_code == 200
            if decision == "refuse":
                continue
        for image in case["images"]:
            written.answer("image", await client.get(f"{API}/images/{image['id']}"))
            written.answer("frame", await client.get(f"{API}/images/{image['id']}/frames/0"))
        own = {"idempotency_key": f"own {row['id']}", "text": "No effusion.", "confidence": 4}
        written.answer("own read", await client.post(f"{at}/own-reads", json=own))
        ask = {"idempotency_key": f"ask {row['id']}", "text": "What do you see?"}
        answer = written.answer("answer", await client.post(f"{at}/questions", json=ask))
        _, done = events(answer)[-1]
        review = {"idempotency_key": f"r {row['id']}", "based_on_revision": 0,
                  "final_text": "No effusion.", "verdict": "minor_edit"}  # fmt: skip
        answer = await client.post(f"{API}/drafts/{done['draft_id']}/reviews", json=review)
        assert written.answer("review", answer).status_code == 201, answer.text
    return len(cases)


@pytest.mark.timeout(120)
async def test_no_token_is_in_anything_the_product_wrote(
    place: Place,
    overread: Overread,
    log: io.StringIO,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (temporary := tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    mint, written = Mint(), Written()
    good, bad = good_files(mint), bad_files(mint)
    files = good | bad
    assert len(mint) >= ENOUGH
    whole = b"".join(files.values()) + "".join(files).encode()
    sent_words = {word.decode() for word in re.findall(rb"QXZV\d{5}", whole)}
    missing = set(mint.words) - sent_words
    assert len(missing) < 100, missing  # inside compressed chunks, or in what a cut took away
    expected = Counter(admitted=7, held=5, refused=len(bad))

    async with place.program(Role.ADMIN) as program:
        answer = await sent(program, files, "by API")
        written.add("headers", repr(answer.headers.raw).encode())
        items = answer.json()["items"]
        assert written.outcomes("API", items, files) == expected, items
    async with place.person("admin") as page:
        page.headers["origin"] = HERE
        answer = await sent(page, files, "by page")
        assert written.outcomes("page", answer.json()["items"], files) == expected
        assert await used(page, "by page", written) == 12

    (folder := tmp_path / "sent").mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    monkeypatch.setenv("OVERREAD_DATA_DIR", str(place.settings.data_dir))
    paths = [str(folder / name) for name in files]
    ran = overread("ingest", *paths, "--collection", "by CLI", OVERREAD_LOG_LEVEL="debug")
    written.add("CLI, standard error", ran.err.encode())
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert written.outcomes("CLI", lines, paths) == expected
    ran = overread("ingest", str(folder), "--collection", "by folder", OVERREAD_LOG_LEVEL="debug")
    written.add("folder", ran.err.encode())
    for line in map(json.loads, ran.out.splitlines()):
        assert line.pop("file").removeprefix(f"{folder}/") in files
        written.add("folder", json.dumps(line, ensure_ascii=False).encode())
    assert ran.out.count('"refused"') == len(bad) + 1  # a zip inside a folder is one too many

    _exported(place, overread, tmp_path / "out", written)
    for ask in place.worker.asked:
        written.add("worker", json.dumps(ask, ensure_ascii=False).encode())
        for data in _pictures(ask):
            written.add("worker, picture", data)
    written.add("log", log.getvalue().encode())
    written.folder("temporary files", temporary)
    _stored(place, written)
    assert written.leaks(mint) == {}
    assert all(found_in(data, mint) for data in files.values())  # so the search does search


def _exported(place: Place, overread: Overread, out: Path, written: Written) -> None:
    """Write every study and every kind of training data out, one of each by command."""
    operator = place.services.accounts.operator()
    listed = overread("studies", "list", "--json").json["items"]
    written.add("list", json.dumps(listed).encode())
    readable = [case["id"] for case in listed if case["state"] not in ("held", "refused")]
    for case_id in readable[1:]:
        place.services.studies.export_study(operator, UUID(case_id), out / case_id)
    for format_ in ExportFormat:
        place.services.exporting.write_to(operator, format_, out / format_.value, None)
    ran = overread("studies", "export", readable[0], "--out", str(out / readable[0]))
    assert ran.code == 0, ran.err
    written.add("show", overread("studies", "show", readable[0]).out.encode())
    assert len(list(out.rglob("*.dcm"))) > 20
    assert (out / "trl-sft" / "train.jsonl").stat().st_size
    written.folder("exports", out)


def _pictures(ask: Any) -> Iterator[bytes]:  # noqa: ANN401 - JSON
    """Yield the bytes of every picture in a question to the model."""
    if isinstance(ask, dict):
        for value in ask.values():
            yield from _pictures(value)
    elif isinstance(ask, list):
        for value in ask:
            yield from _pictures(value)
    elif isinstance(ask, str) and ask.startswith("data:"):
        yield from unpacked(b64decode(ask.partition(",")[2]))


def _stored(place: Place, written: Written) -> None:
    """Note the data folder: files as they lie there, blobs decrypted, rows one by one."""
    settings = place.settings
    blobs = BlobStore(settings.blob_dir, Keys.load(settings.key_file))
    addresses = list(blobs.addresses())
    assert len(addresses) > 30  # equal files are one blob; how many are depends on the split
    for address in addresses:
        for data in unpacked(blobs.get(address)):
            written.add("blob", data)
    on_disk = [path for path in settings.data_dir.rglob("*") if path.is_file()]
    assert {path.name for path in on_disk} - set(addresses) <= {
        "keys.json", "audit-heads.jsonl", "overread.db", "overread.db-wal", "overread.db-shm",
    }  # fmt: skip
    for path in on_disk:
        written.add("data folder", path.name.encode())
        if path.name not in addresses:
            written.add(path.name, path.read_bytes())
    with sqlite3.connect(settings.data_dir / "overread.db") as database:
        dump = "\n".join(database.iterdump())
    assert "audit_event" in dump
    written.add("database", dump.encode())
    written.add("database, unescaped", dump.encode().decode("unicode_escape", "replace").encode())


@pytest.mark.parametrize("name", [name for name, _ in SPELLINGS])
def test_the_search_finds_a_token_however_it_is_spelt(name: str) -> None:
    spelling = dict(SPELLINGS)[name]
    assert found_in(b"\x01something before" + spelling + b"00042 and after", Mint())


@pytest.mark.parametrize(
    "text", ["{}", "x={};", "a\0b\0 {}", '{{"d": "{}"}}', "deadbeef{} "], ids=repr
)
def test_the_search_finds_dates_and_numbers(text: str) -> None:
    mint = Mint()
    for token in (mint.date(), mint.number()):
        assert found_in(text.format(token).encode(), mint)
        assert found_in(text.format(token).encode("utf-16-le"), mint)
    assert found_in(b"1851-01-01", mint)


def test_the_search_takes_no_digest_for_a_date() -> None:
    mint = Mint()
    assert not found_in(b"9" * 12 + mint.date().encode() + b"a" * 12, mint)


@pytest.mark.shared
def test_every_text_element_of_the_standards_table_is_planted(shared: Path) -> None:
    table = json.loads((shared / "ps3.15-table-e1-1.json").read_text(encoding="utf-8"))
    planted = everywhere(Mint(), Form(), CHARSETS[0])
    tags = {int(row["id"], 16) for row in table if "x" not in row["id"] and len(row["id"]) == 8}
    wanted = {tag for tag in tags if dictionary_VR(tag) in TEXT_VRS | {"SQ", "OB"}}
    elsewhere = {tag for tag in wanted if tag >> 16 in (0x0000, 0x0002, 0xFFFC)}
    assert wanted - planted.keys() - elsewhere - NEEDED == set()
    assert len(wanted) > 500
