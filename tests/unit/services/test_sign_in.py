"""Sessions and tokens: whom a secret stands for, and until when."""

from uuid import UUID

import pytest
from sqlmodel import select

from storage.errors import NotFoundError
from storage.tables import ApiToken, LoginSession, Person
from storage.vocabulary import Role
from tests.unit.services.world import NOBODY, World, done, refused, someone_else
from webapp.services.accounts import Accounts
from webapp.services.actor import Actor
from webapp.services.errors import (
    InvalidRequestError,
    NotAllowedError,
    NotSignedInError,
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


@pytest.fixture
def admin(world: World) -> Actor:
    return world.make_actor(Role.ADMIN, "root")


@pytest.fixture
def ada(people: People, admin: Actor) -> Actor:
    added = people.add(admin, "ada", Role.READER, PASSWORD)
    return Actor(added.person.id, "ada", Role.READER, "session")


def set_role(world: World, person_id: UUID, role: Role) -> None:
    with world.store.write() as session:
        session.exec(select(Person).where(Person.id == person_id)).one().role = role


def test_cookie_stands_for_the_person(accounts: Accounts, ada: Actor) -> None:
    signed_in = accounts.sign_in("ada", PASSWORD)
    actor = accounts.actor_of_session(signed_in.token, request_id="r7")
    assert actor is not None
    assert (actor.id, actor.role, actor.via, actor.request_id) == (
        ada.id,
        Role.READER,
        "session",
        "r7",
    )


@pytest.mark.usefixtures("ada")
def test_secret_is_not_in_the_database(world: World, accounts: Accounts) -> None:
    signed_in = accounts.sign_in("ada", PASSWORD)
    assert len(signed_in.token) >= 43  # 256 bits in base64
    stored = world.rows(LoginSession)[0]
    assert signed_in.token not in repr(stored)
    assert PASSWORD not in repr(world.rows(Person))


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(
    ("name", "password"),
    [
        pytest.param("ada", "wrong password", id="wrong password"),
        pytest.param("nobody", PASSWORD, id="unknown name"),
        pytest.param("root", "", id="account without a password"),
        pytest.param("ada\x00", PASSWORD, id="NUL in the name"),
        pytest.param("ada", "\ud800" * 12, id="lone surrogates"),
        pytest.param("x" * 100_000, "y" * 100_000, id="very long"),
    ],
)
def test_failed_sign_in_says_nothing_and_starts_nothing(
    world: World, accounts: Accounts, name: str, password: str
) -> None:
    with pytest.raises(SignInFailedError, match="The name or the password is not right"):
        accounts.sign_in(name, password, request_id="r9")
    assert world.rows(LoginSession) == []
    assert world.events()[-1] == refused("person.signed_in", "sign_in_failed")
    assert world.last_event().request_id == "r9"


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize("name", ["ada", "nobody"], ids=["known name", "unknown name"])
def test_sixth_attempt_waits_even_with_the_right_password(
    world: World, accounts: Accounts, name: str
) -> None:
    for _ in range(5):
        with pytest.raises(SignInFailedError):
            accounts.sign_in(name, "wrong password")
    with pytest.raises(TooManyAttemptsError) as refusal:
        accounts.sign_in(name, PASSWORD)
    assert 1 <= refusal.value.wait_seconds <= 31
    assert world.events()[-1] == refused("person.signed_in", "too_many_attempts")


@pytest.mark.usefixtures("ada")
def test_pause_ends_and_doubles_when_it_goes_on(world: World, accounts: Accounts) -> None:
    for _ in range(5):
        with pytest.raises(SignInFailedError):
            accounts.sign_in("ada", "wrong password")
    world.clock.forward(seconds=31)
    with pytest.raises(SignInFailedError):
        accounts.sign_in("ada", "wrong password")
    world.clock.forward(seconds=31)
    with pytest.raises(TooManyAttemptsError):
        accounts.sign_in("ada", PASSWORD)
    world.clock.forward(seconds=31)
    assert accounts.sign_in("ada", PASSWORD)


@pytest.mark.usefixtures("ada")
def test_success_forgets_earlier_failures(accounts: Accounts) -> None:
    for _ in range(3):
        for _ in range(4):
            with pytest.raises(SignInFailedError):
                accounts.sign_in("ada", "wrong password")
        assert accounts.sign_in("ada", PASSWORD)


@pytest.mark.usefixtures("ada")
def test_signing_out_ends_the_session_once(world: World, accounts: Accounts) -> None:
    token = accounts.sign_in("ada", PASSWORD).token
    accounts.sign_out(token)
    accounts.sign_out(token)
    accounts.sign_out("never was one")
    assert accounts.actor_of_session(token) is None
    assert [event for event in world.events() if event[0] == "person.signed_out"] == [
        done("person.signed_out")
    ]


@pytest.mark.usefixtures("ada")
def test_idle_session_ends_after_15_minutes(world: World, accounts: Accounts) -> None:
    token = accounts.sign_in("ada", PASSWORD).token
    for _ in range(3):
        world.clock.forward(minutes=14)
        assert accounts.actor_of_session(token) is not None
    world.clock.forward(minutes=15)
    assert accounts.actor_of_session(token) is None


@pytest.mark.usefixtures("ada")
def test_busy_session_ends_after_12_hours(world: World, accounts: Accounts) -> None:
    token = accounts.sign_in("ada", PASSWORD).token
    for _ in range(71):
        world.clock.forward(minutes=10)
        assert accounts.actor_of_session(token) is not None
    world.clock.forward(minutes=10)
    assert accounts.actor_of_session(token) is None


@pytest.mark.usefixtures("ada")
def test_being_seen_is_written_once_a_minute(world: World, accounts: Accounts) -> None:
    token = accounts.sign_in("ada", PASSWORD).token
    start = world.clock()
    world.clock.forward(seconds=59)
    accounts.actor_of_session(token)
    assert world.rows(LoginSession)[0].last_seen_at == start
    world.clock.forward(seconds=1)
    accounts.actor_of_session(token)
    assert world.rows(LoginSession)[0].last_seen_at == world.clock()


def test_changed_role_counts_at_the_next_request(
    world: World, accounts: Accounts, tokens: Tokens, ada: Actor
) -> None:
    session = accounts.sign_in("ada", PASSWORD).token
    token = tokens.create(ada, "ada").secret
    set_role(world, ada.id, Role.TRAINEE)
    for actor in (accounts.actor_of_session(session), accounts.actor_of_token(token)):
        assert actor is not None
        assert actor.role is Role.TRAINEE


@pytest.mark.usefixtures("ada")
def test_unknown_cookie_and_token_stand_for_nobody(accounts: Accounts) -> None:
    for secret in ("", "nonsense", "\ud800", "x" * 10_000):
        assert accounts.actor_of_session(secret) is None
        assert accounts.actor_of_token(secret) is None


def test_session_and_token_are_not_interchangeable(
    accounts: Accounts, tokens: Tokens, ada: Actor
) -> None:
    assert accounts.actor_of_token(accounts.sign_in("ada", PASSWORD).token) is None
    assert accounts.actor_of_session(tokens.create(ada, "ada").secret) is None


@pytest.mark.usefixtures("ada")
def test_hash_made_with_older_parameters_is_renewed(world: World) -> None:
    before = {person.name: person.password_hash for person in world.rows(Person)}["ada"]
    stronger = Accounts(
        world.store, world.clock, Passwords(time_cost=2, memory_kib=8), world.trail()
    )
    assert stronger.sign_in("ada", PASSWORD)
    after = {person.name: person.password_hash for person in world.rows(Person)}["ada"]
    assert after != before
    assert stronger.sign_in("ada", PASSWORD)


def test_token_has_the_role_it_was_given(accounts: Accounts, tokens: Tokens, ada: Actor) -> None:
    new = tokens.create(ada, "ada", Role.TRAINEE, 30)
    actor = accounts.actor_of_token(new.secret)
    assert actor is not None
    assert (actor.id, actor.role, actor.via) == (ada.id, Role.TRAINEE, "token")


def test_token_expires(world: World, accounts: Accounts, tokens: Tokens, ada: Actor) -> None:
    secret = tokens.create(ada, "ada", days=1).secret
    world.clock.forward(hours=23)
    assert accounts.actor_of_token(secret) is not None
    world.clock.forward(hours=1)
    assert accounts.actor_of_token(secret) is None


@pytest.mark.parametrize(
    ("role", "days"),
    [
        pytest.param(Role.ADMIN, 90, id="above the account"),
        pytest.param(None, 0, id="no days"),
        pytest.param(None, 366, id="more than a year"),
    ],
)
def test_token_beyond_the_limits_is_refused(
    world: World, tokens: Tokens, ada: Actor, role: Role | None, days: int
) -> None:
    with pytest.raises(InvalidRequestError):
        tokens.create(ada, "ada", role, days)
    assert world.rows(ApiToken) == []
    assert world.events()[-1] == refused("token.created", "invalid_request")


def test_lower_token_does_not_make_a_higher_one(tokens: Tokens, admin: Actor) -> None:
    as_reader = someone_else(admin, Role.READER)
    assert tokens.create(as_reader, "root").role is Role.READER
    with pytest.raises(InvalidRequestError):
        tokens.create(as_reader, "root", Role.ADMIN)


@pytest.mark.usefixtures("admin")
def test_tokens_of_others_are_the_admins_business(world: World, tokens: Tokens, ada: Actor) -> None:
    with pytest.raises(NotAllowedError):
        tokens.create(ada, "root")
    with pytest.raises(NotSignedInError):
        tokens.create(None, "ada")
    assert world.rows(ApiToken) == []


def test_admin_makes_a_token_for_another(
    accounts: Accounts, people: People, tokens: Tokens, admin: Actor, ada: Actor
) -> None:
    actor = accounts.actor_of_token(tokens.create(admin, "ada").secret)
    assert actor is not None
    assert actor.id == ada.id
    assert actor.role is Role.READER
    with pytest.raises(NotFoundError):
        tokens.create(admin, "nobody")
    people.disable(admin, "ada")
    with pytest.raises(NotFoundError):
        tokens.create(admin, "ada")


def test_each_sees_own_tokens_and_the_admin_all(tokens: Tokens, admin: Actor, ada: Actor) -> None:
    own = tokens.create(ada, "ada").id
    roots = tokens.create(admin, "root").id
    assert [token.id for token in tokens.list(ada)] == [own]
    assert {token.id for token in tokens.list(admin)} == {own, roots}
    with pytest.raises(NotSignedInError):
        tokens.list(None)


def test_revoked_token_is_out_at_once(
    world: World, accounts: Accounts, tokens: Tokens, ada: Actor
) -> None:
    new = tokens.create(ada, "ada")
    tokens.revoke(ada, new.id)
    first = world.rows(ApiToken)[0].revoked_at
    world.clock.forward(hours=1)
    tokens.revoke(ada, new.id)
    assert accounts.actor_of_token(new.secret) is None
    assert world.rows(ApiToken)[0].revoked_at == first


def test_foreign_and_unknown_tokens_cannot_be_revoked_or_told_apart(
    accounts: Accounts, tokens: Tokens, admin: Actor, ada: Actor
) -> None:
    roots = tokens.create(admin, "root")
    with pytest.raises(NotFoundError) as foreign:
        tokens.revoke(ada, roots.id)
    with pytest.raises(NotFoundError) as unknown:
        tokens.revoke(ada, NOBODY)
    assert str(foreign.value) == str(unknown.value)
    assert accounts.actor_of_token(roots.secret) is not None
    with pytest.raises(NotSignedInError):
        tokens.revoke(None, roots.id)
    tokens.revoke(admin, roots.id)


@pytest.mark.usefixtures("ada")
def test_time_left_is_told_without_counting_as_being_there(
    world: World, accounts: Accounts
) -> None:
    token = accounts.sign_in("ada", PASSWORD).token

    def look(*, seen: bool) -> tuple[int, int] | None:
        actor = accounts.actor_of_session(token, seen=seen)
        return None if actor is None else tuple(accounts.time_left(actor))  # type: ignore[return-value]

    assert look(seen=True) == (15 * 60, 120)
    world.clock.forward(minutes=14)
    assert look(seen=False) == (60, 120)
    assert look(seen=True) == (15 * 60, 120)
    world.clock.forward(minutes=15)
    assert look(seen=False) is None


@pytest.mark.usefixtures("ada")
def test_time_left_never_goes_beyond_twelve_hours(world: World, accounts: Accounts) -> None:
    token = accounts.sign_in("ada", PASSWORD).token
    for _ in range(71):
        world.clock.forward(minutes=10)
        assert accounts.actor_of_session(token) is not None
    actor = accounts.actor_of_session(token)
    assert actor is not None
    assert accounts.time_left(actor).signed_out_in_s == 10 * 60
    world.clock.forward(minutes=10)
    assert accounts.actor_of_session(token) is None


def test_a_token_has_no_session_to_be_left(accounts: Accounts, ada: Actor) -> None:
    for nobody in (None, ada):
        with pytest.raises(NotSignedInError):
            accounts.time_left(nobody)
