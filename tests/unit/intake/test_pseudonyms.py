"""Pseudonyms: the same everywhere for one key, different for another."""

import subprocess
import sys

from pydicom.uid import UID

from storage.intake.pseudonyms import Pseudonyms

ONE, OTHER = Pseudonyms(b"1" * 32), Pseudonyms(b"2" * 32)


def test_a_uid_is_valid_and_depends_on_the_key() -> None:
    assert UID(ONE.uid("1.2.3")).is_valid
    assert ONE.uid("1.2.3").startswith("2.25.")
    assert ONE.uid("1.2.3") == ONE.uid("1.2.3")
    assert len({ONE.uid("1.2.3"), ONE.uid("1.2.4"), OTHER.uid("1.2.3")}) == 3


def test_another_process_gives_the_same_names() -> None:
    program = (
        "from storage.intake.pseudonyms import Pseudonyms as P; p = P(b'1' * 32); "
        "print(p.uid('1.2.3'), p.patient('id/7'))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)  # noqa: S603 - our own interpreter
    assert ran.stdout.decode().split() == [ONE.uid("1.2.3"), ONE.patient("id/7")]


def test_purposes_do_not_mix() -> None:
    assert ONE.patient("x") != ONE.content(b"x")[:32]


def test_days_keep_their_distance_and_tell_no_date() -> None:
    first, later = ONE.day("p", "20190815"), ONE.day("p", "20190901")
    assert first is not None
    assert later is not None
    assert later - first == 17
    assert ONE.day("q", "20190815") != first


def test_what_is_no_date_has_no_day() -> None:
    assert ONE.day("p", "") is None
    assert ONE.day("p", "20191301") is None


def test_the_key_is_not_shown() -> None:
    assert "111" not in repr(ONE)
