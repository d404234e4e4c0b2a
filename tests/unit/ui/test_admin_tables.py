"""The tables of the administration page: true to the policy, and text stays text."""

import html
from datetime import timedelta
from uuid import UUID

import pytest

from storage.vocabulary import Role
from tests.unit.services.world import NOON
from webapp.services.health import HealthLine
from webapp.services.policy import ACTIONS, Action
from webapp.services.views import PersonView, ServedModelView, TokenView
from webapp.ui.admin_page import health_table, models_table
from webapp.ui.admin_people import OF_THE_MACHINE, people_table, roles_table
from webapp.ui.common import as_text, in_table
from webapp.ui.token_parts import tokens_table

MARKUP = "a|b`<img src=x>[y](z)*_"


def _token(**fields: object) -> TokenView:
    day = timedelta(days=1)
    values = {"expires_at": NOON + day, "revoked_at": None, **fields}
    return TokenView(UUID(int=1), UUID(int=2), "ada", Role.READER, NOON - day, **values)  # type: ignore[arg-type]


def test_the_roles_table_is_the_policys_own() -> None:
    rows = roles_table().splitlines()[2:]
    expected = [
        [rule.doing, *("yes" if role in rule.roles else "–" for role in Role), rule.reason]
        for action, rule in ACTIONS.items()
        if action not in OF_THE_MACHINE
    ]
    assert [[cell.strip() for cell in row.strip("|").split("|")] for row in rows] == expected
    assert {Action.UPLOAD, Action.ASK} & OF_THE_MACHINE == set()


def test_tokens_say_whether_they_are_good() -> None:
    tokens = [_token(), _token(expires_at=NOON), _token(revoked_at=NOON)]
    states = [row.split("|")[-2].strip() for row in tokens_table(tokens, NOON).splitlines()[2:]]
    assert states == ["good", "expired", "revoked 22 Nov 2026 12:00 UTC"]


def test_people_say_how_they_sign_in() -> None:
    def state(**fields: bool) -> str:
        values = {"disabled": False, "must_change_password": False, **fields}
        person = PersonView(UUID(int=1), "ada", Role.READER, created_at=NOON, **values)
        return people_table([person]).splitlines()[2].split("|")[3].strip()

    assert state() == "open"
    assert state(disabled=True) == "closed"
    assert state(must_change_password=True) == "open, first password not replaced yet"
    assert state(has_password=False) == "open, through the identity provider"


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("see https://evil.example/a", "https://"),
        ("HTTP://evil.example", "http://"),
        ("ftp://evil.example", "ftp://"),
        ("www.evil.example", "www."),
        ("WWW.evil.example", "www."),
        ("mailto:ada@evil.example", "@evil"),
    ],
)
def test_an_address_in_a_name_is_no_link_but_reads_the_same(name: str, link: str) -> None:
    for shown in (as_text(name), in_table(name)):
        assert link not in shown.lower()
        assert html.unescape(shown) == name


def test_what_a_model_server_says_stays_text() -> None:
    model = ServedModelView(MARKUP, None, None, MARKUP, MARKUP, (MARKUP,))
    for table in (models_table([model]), health_table((HealthLine("Disk", "act", MARKUP),))):
        (row,) = table.splitlines()[2:]
        assert "<img" not in row
        assert "](" not in row
        assert "`" not in row
        assert row.count("|") == table.splitlines()[1].count("|")
