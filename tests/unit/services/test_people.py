"""What an administrator changes about accounts counts at once, and can be undone where it may."""

from collections.abc import Callable

import pytest

from storage.errors import NotFoundError
from storage.tables import Person
from storage.vocabulary import Role
from tests.unit.services.world import World, done, refused
from webapp.services.accounts import Accounts
from webapp.services.actor import Actor
from webapp.services.errors import (
    InvalidRequestError,
    LastAdminError,
    NotAllowedError,
    NotSignedInError,
    PasswordSignInOffError,
    SignInFailedError,
)
from webapp.services.passwords import Passwords
from webapp.services.people import People
from webapp.services.tokens import Tokens

PASSWORD = "correct horse battery"
Change = Callable[[People, Actor | None], object]
CHANGES: dict[str, Change] = {
    "person.enabled": lambda people, actor: people.enable(actor, "ada"),
    "person.role_changed": lambda people, actor: people.change_role(actor, "ada", Role.ADMIN),
    "person.sessions_ended": lambda people, actor: people.end_sessions(actor, "ada"),
    "person.password_reset": lambda people, actor: people.reset_password(actor, "ada"),
}


@pytest.fixture(scope="module")
def passwords() -> Passwords:
    return Passwords(time_cost=1, memory_kib=8)


@pytest.fixture
def people(world: World, passwords: Passwords) -> People:
    return People(world.store, world.clock, passwords)


@pytest.fixture
def accounts(world: World, passwords: Passwords) -> Accounts:
    return Accounts(world.store, world.clock, passwords, world.trail())


@pytest.fixture
def root(world: World) -> Actor:
    return world.make_actor(Role.ADMIN, "root")


@pytest.fixture(autouse=True)
def ada(people: People, root: Actor) -> None:
    people.add(root, "ada", Role.READER, PASSWORD)


@pytest.mark.parametrize(
    "name",
    ["a b", "a\x1bb", "a\u200bb", "a\u202eb", "\uff41da", "a\u1160b", "\ufb01n"],
    ids=["space", "escape", "zero width", "override", "wide letter", "filler", "ligature"],
)
def test_a_name_that_reads_like_another_or_cannot_be_seen_is_refused(
    people: People, root: Actor, name: str
) -> None:
    with pytest.raises(InvalidRequestError):
        people.add(root, name, Role.READER, PASSWORD)


@pytest.mark.parametrize("action", CHANGES)
def test_only_an_administrator_changes_others(
    world: World, people: People, root: Actor, action: str
) -> None:
    before = world.rows(Person)
    with pytest.raises(NotAllowedError):
        CHANGES[action](people, world.make_actor(Role.ADJUDICATOR, "ben"))
    assert world.events()[-1] == refused(action, "not_allowed")
    with pytest.raises(NotSignedInError):
        CHANGES[action](people, None)
    assert world.events()[-1] == refused(action, "not_signed_in")
    assert [p for p in world.rows(Person) if p.name != "ben"] == before
    CHANGES[action](people, root)
    CHANGES[action](people, root)
    assert world.events()[-2:] == [done(action)] * 2


@pytest.mark.parametrize("action", CHANGES)
def test_nobody_of_an_unknown_name_is_changed(
    world: World, people: People, root: Actor, action: str
) -> None:
    with world.store.write() as session:
        session.get_one(
            Person, next(p.id for p in world.rows(Person) if p.name == "ada")
        ).name = "someone"
    with pytest.raises(NotFoundError):
        CHANGES[action](people, root)
    assert world.events()[-1] == refused(action, "not_found")


@pytest.mark.parametrize("action", ["role_changed", "sessions_ended", "password_reset"])
def test_a_change_ends_the_persons_sessions_at_once(
    people: People, accounts: Accounts, root: Actor, action: str
) -> None:
    session = accounts.sign_in("ada", PASSWORD).token
    CHANGES[f"person.{action}"](people, root)
    assert accounts.actor_of_session(session) is None


def test_the_same_role_again_signs_nobody_out(
    people: People, accounts: Accounts, root: Actor
) -> None:
    session = accounts.sign_in("ada", PASSWORD).token
    people.change_role(root, "ada", Role.READER)
    assert accounts.actor_of_session(session) is not None


def test_a_token_acts_at_most_as_the_new_role(
    world: World, people: People, accounts: Accounts, root: Actor
) -> None:
    token = Tokens(world.store, world.clock).create(root, "ada").secret
    people.change_role(root, "ada", Role.TRAINEE)
    actor = accounts.actor_of_token(token)
    assert actor is not None
    assert actor.role is Role.TRAINEE


def test_a_closed_account_opens_again_without_what_it_had(
    world: World, people: People, accounts: Accounts, root: Actor
) -> None:
    session = accounts.sign_in("ada", PASSWORD).token
    token = Tokens(world.store, world.clock).create(root, "ada").secret
    people.disable(root, "ada")
    assert not people.enable(root, "ada").disabled
    assert accounts.actor_of_session(session) is None
    assert accounts.actor_of_token(token) is None
    assert accounts.sign_in("ada", PASSWORD)


def test_a_reset_password_works_once_and_the_old_one_no_more(
    people: People, accounts: Accounts, root: Actor
) -> None:
    person, secret = people.reset_password(root, "ada")
    assert person.must_change_password
    assert secret is not None
    with pytest.raises(SignInFailedError):
        accounts.sign_in("ada", PASSWORD)
    assert accounts.sign_in("ada", secret).must_change_password


def test_whom_a_provider_vouches_for_gets_no_password(
    world: World, people: People, root: Actor
) -> None:
    world.make_actor(Role.READER, "vouched")
    with pytest.raises(PasswordSignInOffError):
        people.reset_password(root, "vouched")
    assert world.events()[-1] == refused("person.password_reset", "password_sign_in_off")


def test_the_last_administrator_stays_one(world: World, people: People, root: Actor) -> None:
    with pytest.raises(LastAdminError):
        people.change_role(root, "root", Role.READER)
    second = world.make_actor(Role.ADMIN, "second")
    people.disable(root, second.name)
    with pytest.raises(LastAdminError):
        people.change_role(root, "root", Role.READER)
    people.change_role(root, "second", Role.READER)  # closed: nobody less to administer


def test_open_sessions_are_counted(
    world: World, people: People, accounts: Accounts, root: Actor
) -> None:
    def counted() -> dict[str, int]:
        return {person.name: person.open_sessions for person in people.list(root)}

    ended = accounts.sign_in("ada", PASSWORD).token
    accounts.sign_in("ada", PASSWORD)
    assert counted() == {"ada": 2, "root": 0}
    accounts.sign_out(ended)
    assert counted() == {"ada": 1, "root": 0}
    world.clock.forward(minutes=15)
    assert counted() == {"ada": 0, "root": 0}
