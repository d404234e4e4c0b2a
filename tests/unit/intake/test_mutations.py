"""Damaged files: the scan answers with a refusal or lets pass, whatever the damage."""

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
