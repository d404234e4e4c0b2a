"""The one entrance: files, folders and archives in, one result each out."""

import os
import zipfile
from pathlib import Path

import pytest

from storage.intake.door import FileResult, receive
from storage.intake.limits import Limits
from storage.intake.refusals import SENTENCES
from storage.intake.sandbox import Sandbox
from storage.keys import Keys
from storage.vocabulary import CaseState
from tests.unit.intake.samples import ct, film, picture, picture_bytes


def series(slices: int) -> list[bytes]:
    return [
        ct(SOPInstanceUID=f"1.2.3.4.5.1.{n}", InstanceNumber=n, ImagePositionPatient=[0, 0, 5 * n])
        for n in range(1, slices + 1)
    ]


def written(folder: Path, *files: bytes) -> list[Path]:
    paths = [folder / f"file-{number}" for number in range(len(files))]
    for path, data in zip(paths, files, strict=True):
        path.write_bytes(data)
    return paths


def received(
    paths: list[Path], keys: Keys, sandbox: Sandbox, limits: Limits | None = None
) -> list[FileResult]:
    return list(receive(paths, keys=keys, sandbox=sandbox, limits=limits))


def test_each_file_has_its_outcome_in_order(tmp_path: Path, keys: Keys, sandbox: Sandbox) -> None:
    paths = written(
        tmp_path, film(), picture_bytes(picture("L")), b"", b"not an image at all",
        ct(SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1"), ct()[:400],
    )  # fmt: skip
    results = received(paths, keys, sandbox)
    assert [(each.path_index, each.outcome.value, each.code) for each in results] == [
        (0, "admitted", ""),
        (1, "held", "pixels_unattested"),
        (2, "refused", "empty_file"),
        (3, "refused", "not_dicom"),
        (4, "refused", "encapsulated_document"),
        (5, "refused", "truncated"),
    ]
    assert [each.item is None for each in results] == [False, False, True, True, True, True]
    assert [bool(each.message) for each in results] == [False, True, True, True, True, True]


def test_a_zip_of_a_series_is_one_study(tmp_path: Path, keys: Keys, sandbox: Sandbox) -> None:
    with zipfile.ZipFile(tmp_path / "s.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number, data in enumerate(series(5)):
            archive.writestr(f"MORGENSTERN/IM{number}", data)
    results = received([tmp_path / "s.zip"], keys, sandbox)
    assert [each.entry for each in results] == [0, 1, 2, 3, 4]
    assert len({each.study_key for each in results}) == 1
    assert all(each.outcome is CaseState.ADMITTED for each in results)


def test_a_refused_archive_gives_one_result(tmp_path: Path, keys: Keys, sandbox: Sandbox) -> None:
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        archive.writestr("a.dcm", ct())
        archive.writestr("../../b.dcm", ct())
    (result,) = received([tmp_path / "s.zip"], keys, sandbox)
    assert (result.outcome, result.code) == (CaseState.REFUSED, "archive_traversal")
    assert result.message == SENTENCES["archive_traversal"]


def test_the_same_image_twice_is_taken_twice(tmp_path: Path, keys: Keys, sandbox: Sandbox) -> None:
    results = received(written(tmp_path, ct(), ct()), keys, sandbox)
    assert [each.outcome.value for each in results] == ["admitted", "admitted"]


def test_another_image_of_the_same_identity_is_refused(
    tmp_path: Path, keys: Keys, sandbox: Sandbox
) -> None:
    results = received(written(tmp_path, ct(), ct(PixelData=bytes(48))), keys, sandbox)
    assert [each.code for each in results] == ["", "duplicate_instance"]
    assert results[1].item is None


def test_more_files_than_allowed_end_the_upload(
    tmp_path: Path, keys: Keys, sandbox: Sandbox
) -> None:
    results = received(written(tmp_path, *series(4)), keys, sandbox, Limits(files=2))
    assert [each.code for each in results] == ["", "", "too_many_files"]


@pytest.mark.parametrize(
    "name",
    ["<img src=x onerror=alert(1)>.dcm", "Morgenstern_Ottilie_MRN-7741902.dcm", "=HYPERLINK(1)",
     "x" * 200, "\u202egpj.exe", "CON"],
)  # fmt: skip
def test_a_file_name_is_nowhere_in_the_result(
    tmp_path: Path, keys: Keys, sandbox: Sandbox, name: str
) -> None:
    (tmp_path / name).write_bytes(film())
    (result,) = received([tmp_path / name], keys, sandbox)
    assert result.outcome is CaseState.ADMITTED
    assert name not in repr(result)
    assert result.item is not None
    assert name.encode() not in result.item.dicom


def test_no_value_of_the_header_is_in_a_result(
    tmp_path: Path, keys: Keys, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    results = received(written(tmp_path, ct(), ct()[:300]), keys, sandbox)
    shown = repr(results) + caplog.text
    for secret in ("Morgenstern", "Ottilie", "7741902", "19310427", "20190815", "1.2.3.4.5"):
        assert secret not in shown


def test_the_door_leaves_nothing_on_the_disk(tmp_path: Path, keys: Keys, sandbox: Sandbox) -> None:
    paths = written(tmp_path, ct(), b"no image")
    before = sorted(os.listdir(tmp_path))  # noqa: PTH208 - names only
    received(paths, keys, sandbox)
    assert sorted(os.listdir(tmp_path)) == before  # noqa: PTH208 - names only


def test_a_small_copy_of_a_result_holds_no_pixels(
    tmp_path: Path, keys: Keys, sandbox: Sandbox
) -> None:
    (result,) = received(written(tmp_path, ct()), keys, sandbox)
    small = result.without_item()
    assert small.item is None
    assert small.study_key == result.study_key


def test_a_caller_that_stops_early_leaves_no_child_busy(
    tmp_path: Path, keys: Keys, sandbox: Sandbox
) -> None:
    results = receive(written(tmp_path, *series(6)), keys=keys, sandbox=sandbox)
    assert next(results).outcome is CaseState.ADMITTED
    results.close()  # type: ignore[attr-defined] # a generator
    assert len(received(written(tmp_path, *series(2)), keys, sandbox)) == 2
