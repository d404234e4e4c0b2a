"""`overread pull` against a real archive: found, brought in once, taken up again, nobody named."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from storage.tables import Case
from storage.vocabulary import Role
from tests.flow.orthanc import SIGN_IN, Orthanc, is_installed, running_orthanc
from tests.flow.place import Place
from tests.flow.terminal import Overread, Ran
from tests.unit.intake.samples import bundled, ct
from webapp.auth.routes import API

pytestmark = [
    pytest.mark.skipif(
        not is_installed(), reason="Orthanc with its DICOMweb plugin is not installed"
    ),
    pytest.mark.usefixtures("quick_search"),
]
NAMING = ("Morgenstern", "MRN-7741902", "19310427", "1.2.3.4.5")


@pytest.fixture(scope="module")
def archive() -> Iterator[Orthanc]:
    with running_orthanc() as running:
        yield running


@pytest.fixture
def orthanc(archive: Orthanc) -> Iterator[Orthanc]:
    yield archive
    archive.empty()


def slices(count: int, first: int = 1) -> list[bytes]:
    return [
        ct(SOPInstanceUID=f"1.2.3.4.5.9.{n}", InstanceNumber=n, ImagePositionPatient=[0, 0, n])
        for n in range(first, first + count)
    ]


class Puller:
    """Runs the command against one archive and collects what it prints."""

    def __init__(self, overread: Overread, orthanc: Orthanc, folder: Path) -> None:
        self._overread, self._orthanc = overread, orthanc
        self.sign_in = folder / "sign-in"
        self.sign_in.write_text(":".join(SIGN_IN) + "\n", encoding="utf-8")
        self.printed = ""

    def __call__(self, *arguments: str, collection: str = "pulled") -> tuple[Ran, list[Any]]:
        ran = self._overread(
            "pull", self._orthanc.dicomweb, "--collection", collection, *arguments,
            "--basic-file", str(self.sign_in), OVERREAD_LOG_LEVEL="debug",
        )  # fmt: skip
        self.printed += ran.out + ran.err
        return ran, [json.loads(line) for line in ran.out.splitlines()]


@pytest.fixture
def pull(place: Place, overread: Overread, orthanc: Orthanc, tmp_path: Path) -> Iterator[Puller]:  # noqa: ARG001 - an installation
    puller = Puller(overread, orthanc, tmp_path)
    yield puller
    assert [word for word in NAMING if word in puller.printed] == []
    assert list((tmp_path / "data" / "tmp").iterdir()) == []  # nothing of the originals stays


async def test_studies_come_in_once_and_are_read_like_any_other(
    place: Place, orthanc: Orthanc, pull: Puller
) -> None:
    compressed = bundled("JPEG2000.dcm")
    assert b"1.2.840.10008.1.2.4.9" in compressed
    report = ct(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33", StudyInstanceUID="1.2.3.4.5.88",
                SeriesInstanceUID="1.2.3.4.5.88.1", SOPInstanceUID="1.2.3.4.5.88.2")  # fmt: skip
    orthanc.hold(*slices(3), report, compressed)
    ran, (study,) = pull("--study-uid", "1.2.3.4.5", "--modality", "CT")
    assert (ran.code, study["outcome"], study["outcomes"]) == (0, "pulled", {"admitted": 3})
    assert "3 of 3 files" in ran.err
    async with place.program(Role.ADMIN) as program:
        case = (await program.get(f"{API}/cases/{study['case_ids'][0]}")).json()
        (image,) = case["images"]
        shown = (await program.get(f"{API}/images/{image['id']}")).json()
        assert (shown["frames"], shown["units"]) == (3, "HU")
        frame = await program.get(f"{API}/images/{image['id']}/frames/0")
        assert np.array_equal(np.frombuffer(frame.content, "<i2"), np.arange(24) - 1024)

    ran, all_of_it = pull("--date", "19970101-20301231")
    assert ran.code == 0
    assert Counter(study["outcome"] for study in all_of_it) == {
        "present": 1, "empty": 1, "pulled": 1,
    }  # fmt: skip
    (held,) = (study for study in all_of_it if study["outcome"] == "pulled")
    assert held["codes"] == {"pixels_unattested": 1}  # a secondary capture, decoded all the same
    assert len(place.world.rows(Case)) == 2

    _, nothing = pull("--patient-id", "nobody")
    assert nothing == []
    ran, (refusal,) = pull("--date", "19970101-20301231", "--limit", "2", "--json")
    assert (ran.code, refusal["error"]["code"]) == (1, "archive_too_large")
    pull.sign_in.write_text("archive:wrong", encoding="utf-8")
    ran, _ = pull("--modality", "CT")
    assert (ran.code, ran.out) == (1, "")
    assert "does not accept this sign-in" in ran.err


def test_a_pull_that_broke_off_goes_on_where_it_was(
    place: Place, orthanc: Orthanc, pull: Puller, monkeypatch: pytest.MonkeyPatch
) -> None:
    orthanc.hold(*(
        ct(StudyInstanceUID=f"1.2.3.4.5.7{n}", SeriesInstanceUID=f"1.2.3.4.5.7{n}.1",
           SOPInstanceUID=f"1.2.3.4.5.7{n}.1.1")
        for n in range(3)
    ))  # fmt: skip
    real, asked = httpx.Client.stream, []

    def breaking(self: httpx.Client, method: str, url: httpx.URL, **rest: Any) -> Any:  # noqa: ANN401
        if "/series/" in str(url):
            asked.append(url)
            if len(asked) == 2:
                raise httpx.ReadError("the line is cut")
        return real(self, method, url, **rest)

    monkeypatch.setattr(httpx.Client, "stream", breaking)
    ran, first = pull("--patient-id", "MRN-7741902")
    assert (ran.code, [study["outcome"] for study in first]) == (1, ["pulled", "failed", "pulled"])
    assert first[1]["code"] == "archive_failed"
    ran, second = pull("--patient-id", "MRN-7741902")
    assert (ran.code, Counter(study["outcome"] for study in second)) == (
        0, {"present": 2, "pulled": 1},
    )  # fmt: skip
    assert len(asked) == 4  # what was here already was not retrieved again
    orthanc.hold(ct(StudyInstanceUID="1.2.3.4.5.70", SeriesInstanceUID="1.2.3.4.5.70.1",
                    SOPInstanceUID="1.2.3.4.5.70.1.2"))  # fmt: skip
    _, grown = pull("--patient-id", "MRN-7741902")
    outcomes = Counter((study["outcome"], study["files"]) for study in grown)
    assert outcomes == {("pulled", 2): 1, ("present", 0): 2}
    assert len(place.world.rows(Case)) == 4
