"""Which passwords are refused because everybody would guess them, and which are not."""

import pytest

from webapp.services.common_passwords import is_common
from webapp.services.errors import InvalidRequestError
from webapp.services.passwords import MAX_PASSWORD, MIN_PASSWORD, check_chosen

GUESSED = [
    "password1234",
    "Password1234!",
    "P@ssw0rd1234",
    "Pa55word2026!",
    "passwordpassword",
    "password-password",
    "123456789012",
    "098765432109",
    "abcdefghijkl",
    "qwertyuiop123",
    "1qaz2wsx3edc4rfv",
    "qwertzuiop12",
    "aaaaaaaaaaab",
    "iloveyou1234",
    "ILoveYou!!!!",
    "letmein12345",
    "Welcome2026!!",
    "Summer2026!!",
    "administrator1",
    "changeme1234",
    "trustno1trustno1",
    "sunshine2024!",
    "MonkeyDragon99",
    "liverpool1892!",
    "Radiology2026",
    "Hospital-2026!",
    "overread2026!",
    "xray-xray-xray",
    "dragon dragon dragon",
    "footballfootball1",
]
FINE = [
    "correct horse battery",
    "a password for a test",
    "made-up words for a test",
    "the ward cat sleeps on the scanner",
    "vier alte Fahrräder im Regen",
    "kT9#vPq2!xLm",
    "jmwxy-p4cvr-t7hqz-k2nsd",
    "seven tired registrars ate nine pears",
]


@pytest.mark.parametrize("password", GUESSED)
def test_what_everybody_guesses_is_refused(password: str) -> None:
    assert len(password) >= MIN_PASSWORD
    with pytest.raises(InvalidRequestError, match="guessed first"):
        check_chosen(password, "ada")


@pytest.mark.parametrize("password", FINE)
def test_a_sentence_and_a_random_word_are_fine(password: str) -> None:
    check_chosen(password, "ada")


def test_the_accounts_own_name_adds_nothing() -> None:
    assert is_common("brunhilde2026!", "brunhilde")
    assert not is_common("brunhilde2026!", "ada")
    with pytest.raises(InvalidRequestError):
        check_chosen("Brunhilde-2026!", "brunhilde")


@pytest.mark.parametrize(
    "password",
    [
        pytest.param("x7#kQ2!mZ9p", id="eleven characters"),
        pytest.param("x7#kQ2" * 200, id="too many"),
        pytest.param("x7#kQ2!mZ9p\x00", id="a NUL"),
        pytest.param("x7#kQ2!mZ9p\ud800", id="half a character"),
    ],
)
def test_other_rules_still_hold(password: str) -> None:
    with pytest.raises(InvalidRequestError):
        check_chosen(password, "ada")
    assert MAX_PASSWORD == 1024


def test_looking_takes_no_longer_for_a_long_one() -> None:
    assert not is_common("the ward cat sleeps on the scanner " * 20)
    assert is_common("qwertz" * 170)
