"""A second opinion on what is written: dicom3tools' checker finds no error that was not there."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.intake.samples import bundled, ct, film, rebuilt

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
