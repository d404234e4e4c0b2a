"""The search for the sender's own words in what is about to be stored."""

import pytest

from storage.intake import tripwire
from storage.intake.refusals import RefusedFileError

LO = 0x00081030


def trips(
    value: bytes, header: bytes, *, vr: str = "LO", words: bytes = b"", own: str = ""
) -> bool:
    try:
        tripwire.check(header, words, tripwire.tokens([(LO, vr, value)]), [own])
    except RefusedFileError as refusal:
        return refusal.code == "identifier_left"
    return False


@pytest.mark.parametrize(
    ("value", "header"),
    [
        pytest.param(b"Morgenstern^Ottilie", b"..Ottilie..", id="one component of a name"),
        pytest.param(b"20190815", b"..20190815..", id="a date"),
        pytest.param(b"Am Deich 4, 28199 Bremen", b"..Bremen..", id="a word of an address"),
        pytest.param(b"1.2.826.0.1.77", b"..1.2.826.0.1.77..", id="a UID"),
        pytest.param("Müller".encode(), "..Müller..".encode("latin-1"), id="UTF-8 in, Latin out"),
        pytest.param("Müller".encode("latin-1"), "..Müller..".encode(), id="Latin in, UTF-8 out"),
        pytest.param(b"Ottilie", "..Ottilie..".encode("utf-16-le"), id="UTF-16 out"),
    ],
)
def test_a_word_of_the_source_in_the_output_trips(value: bytes, header: bytes) -> None:
    assert trips(value, header)


@pytest.mark.parametrize(
    ("value", "header", "own"),
    [
        pytest.param(b"Eva", b"..Eva..", "", id="three letters"),
        pytest.param(b"Smith^MARY", b"..PRIMARY..", "PRIMARY", id="inside a closed term"),
        pytest.param(b"1.2.840.10008.1.2.1", b"..1.2.840.10008.1.2.1..", "", id="DICOM's UID"),
        pytest.param(b"1200", b"..1200..", "", id="a room number that is also an exposure"),
        pytest.param(b"0.683594", b"..0.683594..", "", id="a spacing in a private element"),
        pytest.param(b"Ottilie", b"..Otti..", "", id="not there"),
    ],
)
def test_what_names_no_one_does_not_trip(value: bytes, header: bytes, own: str) -> None:
    assert not trips(value, header, own=own)


def test_a_short_number_in_a_text_value_trips() -> None:
    assert trips(b"4711", b"", words=b"CT\\4711")


def test_values_of_several_uids_are_looked_for_one_by_one() -> None:
    assert trips(b"1.9.1\\1.9.2222", b"..1.9.2222..", vr="UI")
