"""A second opinion on what is written: dicom3tools' checker finds no error that was not there."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.unit.intake.samples import bundled, ct, film, nifti, rebuilt

pytestmark = pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dicom3tools (dciodvfy) is not installed"
)
NAMES = """
    CT_small MR_small MR_small_bigendian MR_small_RLE examples_rgb_color examples_overlay
    examples_palette examples_ybr_color JPEG2000 693_J2KI JPGExtended SC_rgb_small_odd SC_rgb_rle
"""


def errors_in(data: bytes, folder: Path) -> set[str]:
    """Return the errors that the checker reports."""
    (path := folder / "file.dcm").write_bytes(data)
    ran = subprocess.run(["dciodvfy", path], capture_output=True, check=False)  # noqa: S603, S607 - of the system
    lines = (ran.stdout + ran.stderr).decode("utf-8", "replace").splitlines()
    assert lines, "the checker said nothing"
    return {line for line in lines if line.startswith("Error")}


@pytest.mark.parametrize("name", NAMES.split())
def test_the_rebuilt_file_has_no_error_that_its_source_had_not(name: str, tmp_path: Path) -> None:
    data = bundled(f"{name}.dcm")
    assert errors_in(rebuilt(data).dicom, tmp_path) - errors_in(data, tmp_path) == set()


def test_a_whole_slice_and_a_bare_one_are_no_worse_than_before(tmp_path: Path) -> None:
    for data in (ct(), film(), ct(PatientSex=""), film(PatientOrientation="")):
        assert errors_in(rebuilt(data).dicom, tmp_path) - errors_in(data, tmp_path) == set()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
def test_a_volume_lacks_only_what_nobody_knows_yet(dtype: type[np.generic], tmp_path: Path) -> None:
    made = rebuilt(nifti(np.arange(60, dtype=dtype).reshape(3, 4, 5), np.eye(4)))
    found = {error.partition("Element=<")[2].partition(">")[0]
             for error in errors_in(made.dicom, tmp_path)}  # fmt: skip
    assert found == {"ContentDate", "ContentTime", "BurnedInAnnotation"}  # a date; not looked at
