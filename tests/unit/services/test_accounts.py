"""People: making, listing, closing accounts, and passwords."""

import pytest

from storage.errors import NotFoundError
from storage.tables import Person
from storage.vocabulary import Role
from tests.unit.services.world import World, done, refused
from webapp.services.accounts import Accounts
from webapp.services.errors import (
    InvalidRequestError,
    LastAdminError,
    NameTakenError,
    NotAllowedError,
    NotSignedInError,
    PasswordChangeRequiredError,
    SignInFailedError,
    TooManyAttemptsError,
)
from webapp.services.passwords import Passwords
from webapp.services.people import People
from webapp.services.tokens import Tokens

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def passwords() -> Passwords:
    return Passwords(time_cost=1, memory_kib=8)


@pytest.fixture
def accounts(world: World, passwords: Passwords) -> Accounts:
    return Accounts(world.store, world.clock, passwords, world.trail())


@pytest.fixture
def people(world: World, passwords: Passwords) -> People:
    return People(world.store, world.clock, passwords)


@pytest.fixture
def tokens(world: World) -> Tokens:
    return Tokens(world.store, world.clock)


def test_first_account_is_an_admin_with_a_one_time_password(accounts: Accounts) -> None:
    person, one_time = accounts.first_account("Root", None)
    assert (person.name, person.role, person.must_change_password) == ("root", Role.ADMIN, True)
    assert one_time is not None
    assert len(one_time) == 23
    assert accounts.sign_in("root", one_time).must_change_password


def test_first_account_with_a_chosen_password_need_not_change_it(accounts: Accounts) -> None:
    person, one_time = accounts.first_account("root", PASSWORD)
    assert one_time is None
    assert not person.must_change_password
    assert not accounts.sign_in("root", PASSWORD).must_change_password


def test_first_account_made_again_changes_nothing(world: World, accounts: Accounts) -> None:
    person, _ = accounts.first_account("root", PASSWORD)
    again, one_time = accounts.first_account("other", "another password")
    assert (again, one_time) == (person, None)
    assert len(world.rows(Person)) == 1
    assert world.events() == [done("person.first_ensured")] * 2  # asked for twice


def test_a_chosen_password_replaces_a_one_time_one_that_still_waits(
    world: World, accounts: Accounts
) -> None:
    _, one_time = accounts.first_account("root", None)
    assert one_time is not None
    begun = accounts.sign_in("root", one_time)

    accounts.first_account("other", PASSWORD)  # somebody else's name replaces nothing
    assert accounts.sign_in("root", one_time).must_change_password
    person, _ = accounts.first_account("root", PASSWORD)

    assert not person.must_change_password
    assert accounts.actor_of_session(begun.token) is None
    assert not accounts.sign_in("root", PASSWORD).must_change_password
    accounts.first_account("root", "another password")  # nor does anything a chosen one
    assert accounts.sign_in("root", PASSWORD)
    assert len(world.rows(Person)) == 1


def test_first_account_refuses_a_bad_name_or_password(world: World, accounts: Accounts) -> None:
    with pytest.raises(InvalidRequestError, match="name"):
        accounts.first_account("a b", PASSWORD)
    with pytest.raises(InvalidRequestError, match="12"):
        accounts.first_account("root", "short")
    assert world.rows(Person) == []


def test_operator_is_the_first_open_admin(world: World, accounts: Accounts) -> None:
    with pytest.raises(NotSignedInError):
        accounts.operator()
    world.make_actor(Role.READER)
    admin = world.make_actor(Role.ADMIN)
    operator = accounts.operator("r1")
    assert (operator.id, operator.role, operator.via) == (admin.id, Role.ADMIN, "cli")


def test_admin_adds_an_account(world: World, accounts: Accounts, people: People) -> None:
    added = people.add(world.make_actor(Role.ADMIN), "  Ada ", Role.READER, PASSWORD)
    assert (added.person.name, added.person.role) == ("ada", Role.READER)
    assert added.one_time_password is None
    assert accounts.sign_in("ADA", PASSWORD).person.id == added.person.id
    assert world.events() == [done("person.added"), done("person.signed_in")]


def test_account_without_a_password_gets_one_that_must_be_changed(
    world: World, accounts: Accounts, people: People, tokens: Tokens
) -> None:
    added = people.add(world.make_actor(Role.ADMIN), "ada", Role.READER)
    assert added.one_time_password is not None
    signed_in = accounts.sign_in("ada", added.one_time_password)
    actor = accounts.actor_of_session(signed_in.token)
    assert actor is not None
    with pytest.raises(PasswordChangeRequiredError):
        tokens.list(actor)
    accounts.change_password(actor, added.one_time_password, PASSWORD)
    actor = accounts.actor_of_session(signed_in.token)
    assert tokens.list(actor) == []


@pytest.mark.parametrize("role", [Role.TRAINEE, Role.READER, Role.ADJUDICATOR])
def test_only_admins_manage_people(world: World, people: People, role: Role) -> None:
    actor = world.make_actor(role)
    for call, action in (
        (lambda: people.add(actor, "ada", Role.READER, PASSWORD), "person.added"),
        (lambda: people.list(actor), "people.listed"),
        (lambda: people.disable(actor, actor.name), "person.disabled"),
    ):
        with pytest.raises(NotAllowedError):
            call()
        assert world.events()[-1] == refused(action, "not_allowed")
    assert len(world.rows(Person)) == 1


def test_nobody_manages_people_without_signing_in(world: World, people: People) -> None:
    with pytest.raises(NotSignedInError):
        people.add(None, "ada", Role.READER, PASSWORD)
    with pytest.raises(NotSignedInError):
        people.list(None)
    with pytest.raises(NotSignedInError):
        people.disable(None, "ada")
    assert world.rows(Person) == []
    assert {event[1:] for event in world.events()} == {("refused", "not_signed_in")}


def test_name_is_given_once_only(world: World, people: People) -> None:
    admin = world.make_actor(Role.ADMIN)
    people.add(admin, "ada", Role.READER, PASSWORD)
    with pytest.raises(NameTakenError):
        people.add(admin, "Ada", Role.ADMIN, PASSWORD)
    assert len(world.rows(Person)) == 2


@pytest.mark.parametrize(
    "password",
    [
        pytest.param("eleven char", id="11 characters"),
        pytest.param("x" * 1025, id="1025 characters"),
        pytest.param("aaaaaaaaaaaa", id="one character"),
        pytest.param("ada.lovelace", id="the name"),
        pytest.param("twelve\x00chars!", id="NUL"),
    ],
)
def test_weak_password_is_refused(world: World, people: People, password: str) -> None:
    with pytest.raises(InvalidRequestError):
        people.add(world.make_actor(Role.ADMIN), "ada.lovelace", Role.READER, password)
    assert len(world.rows(Person)) == 1


def test_people_are_listed_by_name(world: World, people: People) -> None:
    admin = world.make_actor(Role.ADMIN, "root")
    world.make_actor(Role.READER, "ada")
    assert [person.name for person in people.list(admin)] == ["ada", "root"]


def test_closed_account_is_out_at_once(
    world: World, accounts: Accounts, people: People, tokens: Tokens
) -> None:
    admin = world.make_actor(Role.ADMIN)
    people.add(admin, "ada", Role.READER, PASSWORD)
    session = accounts.sign_in("ada", PASSWORD).token
    token = tokens.create(admin, "ada").secret

    assert people.disable(admin, "ada").disabled

    assert accounts.actor_of_session(session) is None
    assert accounts.actor_of_token(token) is None
    with pytest.raises(SignInFailedError):
        accounts.sign_in("ada", PASSWORD)


def test_closing_twice_is_no_error(world: World, people: People) -> None:
    admin, ada = world.make_actor(Role.ADMIN), world.make_actor(Role.READER, "ada")
    first = people.disable(admin, "ada")
    world.clock.forward(hours=1)
    assert people.disable(admin, "ada") == first
    closed = next(p for p in world.rows(Person) if p.id == ada.id)
    assert closed.disabled_at != world.clock()


def test_last_admin_cannot_be_closed(world: World, people: People) -> None:
    admin = world.make_actor(Role.ADMIN)
    with pytest.raises(LastAdminError):
        people.disable(admin, admin.name)
    other = world.make_actor(Role.ADMIN)
    assert people.disable(admin, other.name).disabled


def test_unknown_account_cannot_be_closed(world: World, people: People) -> None:
    with pytest.raises(NotFoundError):
        people.disable(world.make_actor(Role.ADMIN), "nobody")


def test_changing_the_password_ends_other_sessions(
    world: World, accounts: Accounts, people: People
) -> None:
    people.add(world.make_actor(Role.ADMIN), "ada", Role.READER, PASSWORD)
    here, elsewhere = (accounts.sign_in("ada", PASSWORD).token for _ in range(2))
    accounts.change_password(accounts.actor_of_session(here), PASSWORD, "a new long password")
    assert accounts.actor_of_session(here) is not None
    assert accounts.actor_of_session(elsewhere) is None
    with pytest.raises(SignInFailedError):
        accounts.sign_in("ada", PASSWORD)
    assert accounts.sign_in("ada", "a new long password")


def test_changing_the_password_revokes_the_tokens(
    world: World, accounts: Accounts, people: People, tokens: Tokens
) -> None:
    admin = world.make_actor(Role.ADMIN)
    people.add(admin, "ada", Role.READER, PASSWORD)
    token = tokens.create(admin, "ada").secret
    assert accounts.actor_of_token(token) is not None
    here = accounts.sign_in("ada", PASSWORD).token
    accounts.change_password(accounts.actor_of_session(here), PASSWORD, "a new long password")
    assert accounts.actor_of_token(token) is None


def test_resetting_a_password_revokes_the_tokens_of_that_person_alone(
    world: World, accounts: Accounts, people: People, tokens: Tokens
) -> None:
    admin = world.make_actor(Role.ADMIN)
    for name in ("ada", "ben"):
        people.add(admin, name, Role.READER, PASSWORD)
    hers, his = (tokens.create(admin, name).secret for name in ("ada", "ben"))
    people.end_sessions(admin, "ada")
    assert accounts.actor_of_token(hers) is not None
    people.reset_password(admin, "ada")
    assert accounts.actor_of_token(hers) is None
    assert accounts.actor_of_token(his) is not None


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        pytest.param("not the old one", "a new long password", SignInFailedError, id="wrong old"),
        pytest.param(PASSWORD, "short", InvalidRequestError, id="new too short"),
        pytest.param(PASSWORD, PASSWORD, InvalidRequestError, id="new is the old"),
    ],
)
def test_bad_password_change_changes_nothing(
    world: World, accounts: Accounts, people: People, old: str, new: str, error: type[Exception]
) -> None:
    people.add(world.make_actor(Role.ADMIN), "ada", Role.READER, PASSWORD)
    actor = accounts.actor_of_session(accounts.sign_in("ada", PASSWORD).token)
    with pytest.raises(error):
        accounts.change_password(actor, old, new)
    assert world.events()[-1][:2] == ("password.changed", "refused")
    assert accounts.sign_in("ada", PASSWORD)


def test_password_change_needs_a_sign_in(accounts: Accounts) -> None:
    with pytest.raises(NotSignedInError):
        accounts.change_password(None, PASSWORD, "a new long password")


def test_old_password_cannot_be_guessed_for_ever(
    world: World, accounts: Accounts, people: People
) -> None:
    people.add(world.make_actor(Role.ADMIN), "ada", Role.READER, PASSWORD)
    actor = accounts.actor_of_session(accounts.sign_in("ada", PASSWORD).token)
    for _ in range(5):
        with pytest.raises(SignInFailedError):
            accounts.change_password(actor, "wrong", "a new long password")
    with pytest.raises(TooManyAttemptsError):
        accounts.change_password(actor, PASSWORD, "a new long password")
