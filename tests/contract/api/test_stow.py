"""Storing over DICOMweb: what programs that speak it get, and that nobody is named in it."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pydicom
import pytest
from anyio.to_thread import run_sync
from dicomweb_client.api import DICOMwebClient

from storage.intake.pseudonyms import Pseudonyms
from storage.tables import Case
from storage.vocabulary import Role
from tests.flow.orthanc import Orthanc, is_installed, running_orthanc
from tests.flow.place import COLLECTION, Place
from tests.flow.served import served
from tests.searchers import Searched
from tests.unit.intake.samples import ct, film
from webapp.auth.routes import API

HERE = f"{API}/dicomweb/{COLLECTION}/studies"
TYPE = 'multipart/related; type="application/dicom"; boundary=b'
NAMING = (b"Morgenstern", b"MRN-7741902", b"1.2.3.4.5")


def slices(study: str, count: int = 3) -> list[bytes]:
    return [
        ct(StudyInstanceUID=study, SOPInstanceUID=f"{study}.9.{n}", InstanceNumber=n,
           ImagePositionPatient=[0, 0, n])
        for n in range(count)
    ]  # fmt: skip


SLICES = slices("1.2.3.4.5.1")
REPORT = ct(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33", SOPInstanceUID="1.2.3.4.5.88")


@pytest.fixture(scope="module", autouse=True)
def quick_search(place: Place) -> None:
    """Find no text in pixels at once: what is answered must not hang on how busy a machine is."""
    place.services.studies.checking.searcher = Searched()


def related(*files: bytes, kind: str = "application/dicom") -> bytes:
    parts = [f"--b\r\nContent-Type: {kind}\r\n\r\n".encode() + data + b"\r\n" for data in files]
    return b"".join(parts) + b"--b--\r\n"


async def stowed(
    place: Place, *files: bytes, role: Role = Role.READER, to: str = HERE
) -> httpx.Response:
    async with place.program(role) as program:
        answer = await program.post(to, content=related(*files), headers={"content-type": TYPE})
    assert [word for word in NAMING if word in answer.content] == []
    return answer


def case_of(place: Place, study: str) -> Any:  # noqa: ANN401 - a row
    key = Pseudonyms(place.services.studies.keys.pseudonym).uid(study)
    (case,) = (case for case in place.world.rows(Case) if case.study_key == key)
    return case


async def test_every_stored_object_is_named_by_what_it_is_called_here(
    place: Place, tmp_path: Path
) -> None:
    answer = await stowed(place, *slices("1.2.3.4.5.2"))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/dicom+json")
    made = pydicom.Dataset.from_json(answer.text)
    items = made.ReferencedSOPSequence
    assert {item.ReferencedSOPClassUID for item in items} == {"1.2.840.10008.5.1.4.1.1.2"}
    assert {item.WarningReason for item in items} == {0xB000}
    kept = place.services.studies
    written = kept.export_study(
        place.people[Role.ADMIN], case_of(place, "1.2.3.4.5.2").id, tmp_path / "out"
    )
    stored = {pydicom.dcmread(path).SOPInstanceUID for path in written if path.suffix == ".dcm"}
    assert {item.ReferencedSOPInstanceUID for item in items} == stored


async def test_what_is_refused_has_a_reason_and_no_name(place: Place) -> None:
    answer = await stowed(place, SLICES[0], REPORT, b"no image", SLICES[0][:400])
    assert answer.status_code == 202
    made = answer.json()
    assert len(made["00081199"]["Value"]) == 1
    failed = [
        (item["00081197"]["Value"], item["00000902"]["Value"]) for item in made["0008119A"]["Value"]
    ]
    assert failed == [
        ([0x0122], ["structured_report"]), ([0xC000], ["not_dicom"]), ([0xC000], ["truncated"]),
    ]  # fmt: skip
    none = await stowed(place, REPORT)
    assert (none.status_code, set(none.json())) == (409, {"0008119A"})


async def test_a_held_object_is_stored_and_says_that_it_waits(place: Place) -> None:
    answer = await stowed(place, film(ConversionType="DF"))
    assert answer.status_code == 202
    (item,) = answer.json()["00081199"]["Value"]
    assert item["00000902"]["Value"] == ["pixels_unattested"]


@pytest.mark.parametrize(
    ("kind", "content", "status"),
    [
        pytest.param("application/dicom", b"x", 415, id="not multipart"),
        pytest.param("multipart/form-data; boundary=b", related(b"x"), 415, id="a form"),
        pytest.param('multipart/related; type="application/dicom+json"; boundary=b', related(b"x"),
                     415, id="metadata with bulk data"),
        pytest.param(TYPE, related(b"x", kind="application/dicom+json"), 400, id="a part of JSON"),
        pytest.param(TYPE, related(b"x")[:-9], 400, id="cut off"),
        pytest.param(TYPE, b"--b--\r\n", 400, id="no files"),
        pytest.param(TYPE, b"", 400, id="nothing"),
    ],
)  # fmt: skip
async def test_requests_that_are_none(place: Place, kind: str, content: bytes, status: int) -> None:
    async with place.program(Role.READER) as program:
        answer = await program.post(HERE, content=content, headers={"content-type": kind})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, "parts_refused")


async def test_only_those_who_may_upload_into_the_collection_may(place: Place) -> None:
    before = len(place.world.rows(Case))
    assert (await stowed(place, *SLICES, role=Role.TRAINEE)).status_code == 403
    async with place.visitor() as visitor:
        answer = await visitor.post(HERE, content=related(*SLICES), headers={"content-type": TYPE})
    assert answer.status_code == 401
    operator = place.services.accounts.operator()
    place.services.collections.ensure(operator, "of others")
    answer = await stowed(place, *SLICES, to=f"{API}/dicomweb/of others/studies")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert len(place.world.rows(Case)) == before


@pytest.fixture(scope="module", autouse=True)
def address(place: Place) -> Iterator[str]:
    """Serve the application for all tests here; once it is stopped, it looks for no more text."""
    with served(place.gate) as base:
        yield f"{base}{API}/dicomweb/{COLLECTION.replace(' ', '%20')}"


async def test_a_client_library_stores_and_reads_the_answer(place: Place, address: str) -> None:
    headers = {"Authorization": f"Bearer {place.tokens[Role.READER]}"}
    client = DICOMwebClient(address, headers=headers)
    datasets = [pydicom.dcmread(BytesIO(data)) for data in SLICES]
    made: Any = await run_sync(client.store_instances, datasets)
    assert len(made.ReferencedSOPSequence) == 3
    assert "FailedSOPSequence" not in made


@pytest.fixture(scope="module")
def orthanc() -> Iterator[Orthanc]:
    if not is_installed():
        pytest.skip("Orthanc with its DICOMweb plugin is not installed")
    with running_orthanc() as running:
        yield running


async def test_an_archive_sends_its_studies(place: Place, address: str, orthanc: Orthanc) -> None:
    orthanc.hold(*slices("1.2.3.4.5.3", 4))
    headers = {"Authorization": f"Bearer {place.tokens[Role.READER]}"}
    answer = await run_sync(orthanc.send, address, headers)
    assert answer.status_code == 200, answer.text
    async with place.program(Role.READER) as program:
        case = await program.get(f"{API}/cases/{case_of(place, '1.2.3.4.5.3').id}")
        (image,) = case.json()["images"]
        frame = await program.get(f"{API}/images/{image['id']}/frames/3")
    assert image["frames"] == 4
    assert np.array_equal(np.frombuffer(frame.content, "<i2"), np.arange(24) - 1024)
