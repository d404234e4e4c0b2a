"""Damaged files: the scan answers with a refusal or lets pass, whatever the damage."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.intake.refusals import SENTENCES, RefusedFileError
from storage.intake.scan import scan_dicom
from tests.unit.intake.samples import LIMITS, bundled, ct

NAMES = ("MR_small_RLE", "MR_small_implicit", "MR_small_bigendian", "JPGExtended")
FILES = [ct(), *(bundled(f"{name}.dcm") for name in NAMES)]
LONGEST = b"\xff\xff\xff\xff"

places = st.integers(min_value=128, max_value=9000)
changes = st.lists(
    st.tuples(places, st.one_of(st.binary(max_size=6), st.just(LONGEST)), st.integers(0, 8)),
    min_size=1,
    max_size=6,
)


@settings(max_examples=400, deadline=None)
@given(whole=st.sampled_from(FILES), damage=changes)
def test_a_damaged_file_is_refused_by_a_known_code_or_passes(
    whole: bytes, damage: list[tuple[int, bytes, int]]
) -> None:
    for at, put, removed in damage:
        at %= len(whole)
        whole = whole[:at] + put + whole[at + removed :]
    try:
        assert scan_dicom(whole, LIMITS).end <= len(whole)
    except RefusedFileError as refusal:
        assert refusal.code in SENTENCES  # noqa: PT017 - either outcome is right


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=600))
def test_random_bytes_behind_the_magic_word_are_refused(data: bytes) -> None:
    try:
        scan_dicom(bytes(128) + b"DICM" + data, LIMITS)
    except RefusedFileError:
        return
    raise AssertionError("random bytes passed as an image")


@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris has no wheel for this system")
def test_a_fuzzer_guided_by_coverage_finds_nothing_at_once(tmp_path: Path) -> None:
    ran = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", "tests.unit.intake.fuzz_scan", str(tmp_path), "-runs=4000"],
        cwd=Path(__file__).parents[3], capture_output=True, check=False, timeout=50,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr.decode("utf-8", "replace")[-2000:]
    assert b"DONE" in ran.stderr
    assert not list(tmp_path.glob("crash-*"))
