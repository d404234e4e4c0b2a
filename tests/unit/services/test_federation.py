"""Sign-in on an identity provider's word: who gets an account, a role and a session."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from storage.tables import ApiToken, Identity, LoginSession, Person
from storage.vocabulary import Role
from tests.unit.services.world import World, done, on_both_databases, refused
from webapp.services.accounts import Accounts
from webapp.services.errors import (
    AccountClosedError,
    NoRoleError,
    PasswordSignInOffError,
    ServiceError,
    SignInReplayedError,
)
from webapp.services.federation import Federation, Vouched
from webapp.services.login_sessions import LONGEST_HINT, Voucher, sha256_of
from webapp.services.passwords import Passwords
from webapp.services.pending import LASTS, Pending, PendingSignIns
from webapp.services.people import People
from webapp.services.views import SignedIn

ISSUER = "https://login.hospital.example"
PASSWORD = "correct horse battery"
SignIn = Callable[..., SignedIn]


@pytest.fixture
def federation(world: World) -> Federation:
    pending = PendingSignIns(b"k" * 32, world.clock)
    return Federation(world.store, world.clock, world.trail(), pending)


@pytest.fixture
def accounts(world: World) -> Accounts:
    passwords = Passwords(time_cost=1, memory_kib=8)
    return Accounts(world.store, world.clock, passwords, world.trail())


@pytest.fixture
def people(world: World) -> People:
    return People(world.store, world.clock, Passwords(time_cost=1, memory_kib=8))


@pytest.fixture
def sign_in(world: World, federation: Federation) -> SignIn:
    """Sign somebody in, each time with another answer of the provider."""

    def signed_in(
        role: Role | None = Role.READER,
        subject: str = "7",
        label: str = "Ada",
        issuer: str = ISSUER,
        state: str = "",
        hint: str = "a.b.c",
    ) -> SignedIn:
        state = state or f"state {next(world.numbers)}"
        vouched = Vouched(issuer, subject, role, label)
        return federation.sign_in(vouched, Voucher("hospital", state, hint))

    return signed_in


@on_both_databases
def test_the_first_sign_in_makes_the_account_and_the_next_finds_it(
    world: World, accounts: Accounts, sign_in: SignIn
) -> None:
    first, again = sign_in(), sign_in(label="Ada Married")

    assert (first.person.name, first.person.role) == ("ada", Role.READER)
    assert again.person == first.person
    assert [p.password_hash for p in world.rows(Person)] == [None]
    actor = accounts.actor_of_session(again.token)
    assert actor is not None
    assert (actor.name, actor.role, actor.via) == ("ada", Role.READER, "session")
    assert world.events() == [
        done("person.role_taken"),
        done("person.signed_in"),
        done("person.signed_in"),
    ]


@pytest.mark.parametrize(
    ("subject", "issuer"),
    [
        pytest.param("8", ISSUER, id="another subject"),
        pytest.param("7", "https://login.elsewhere.example", id="another issuer"),
        pytest.param("7 ", ISSUER, id="a space more"),
    ],
)
def test_who_only_looks_alike_gets_another_account(
    sign_in: SignIn, subject: str, issuer: str
) -> None:
    ada = sign_in()
    other = sign_in(subject=subject, issuer=issuer)

    assert other.person.id != ada.person.id
    assert other.person.name == "ada-2"


def test_a_name_that_fits_a_local_account_does_not_open_it(
    world: World, accounts: Accounts, sign_in: SignIn
) -> None:
    operator = accounts.first_account("ada@hospital.example", PASSWORD)
    visitor = sign_in(label="ADA@hospital.example", role=Role.TRAINEE)

    assert visitor.person.id != operator.person.id
    assert visitor.person.name == "ada@hospital.example-2"
    assert [person.role for person in world.rows(Person)] == [Role.ADMIN, Role.TRAINEE]
    assert len(world.rows(Identity)) == 1


@pytest.mark.parametrize(
    ("label", "name"),
    [
        pytest.param("Dr Ada <script>", "dr-ada-script", id="no markup"),
        pytest.param("  ", "person", id="nothing"),
        pytest.param("…", "person", id="nothing readable"),
        pytest.param("x" * 500, "x" * 56, id="too long"),
        pytest.param("Zoë", "zoë", id="letters of any alphabet"),
        pytest.param("Zoe\u0308 \uff21da", "zoë-ada", id="letters in their normal form"),
        pytest.param("a\u200bd\u202ea", "a-d-a", id="nothing invisible"),
        pytest.param("a\u1160da", "a-da", id="no filler"),
    ],
)
def test_the_account_is_called_by_what_is_usable_of_the_name(
    sign_in: SignIn, label: str, name: str
) -> None:
    assert sign_in(label=label).person.name == name


def test_nobody_gets_an_account_without_a_role(world: World, sign_in: SignIn) -> None:
    with pytest.raises(NoRoleError):
        sign_in(role=None)

    assert world.rows(Person) == world.rows(Identity) == world.rows(LoginSession) == []
    assert world.events() == [refused("person.signed_in", "no_role")]


@pytest.mark.parametrize("role", [Role.ADMIN, Role.TRAINEE], ids=["higher", "lower"])
def test_another_role_is_taken_over_and_ends_the_other_sessions(
    world: World, accounts: Accounts, sign_in: SignIn, role: Role
) -> None:
    before = sign_in()
    after = sign_in(role=role)

    assert accounts.actor_of_session(before.token) is None
    actor = accounts.actor_of_session(after.token)
    assert actor is not None
    assert actor.role is role
    assert world.events()[-2:] == [done("person.role_taken"), done("person.signed_in")]


def test_the_same_role_leaves_the_other_sessions_alone(accounts: Accounts, sign_in: SignIn) -> None:
    before, after = sign_in(), sign_in()

    assert accounts.actor_of_session(before.token) is not None
    assert accounts.actor_of_session(after.token) is not None


def _api_token(person_id: UUID, secret: str, at: datetime) -> ApiToken:
    fields = {"token_sha256": sha256_of(secret), "person_id": person_id, "role": Role.READER}
    fields |= {"created_at": at, "expires_at": at + timedelta(days=90)}
    return ApiToken.model_validate(fields)


def test_who_lost_every_role_loses_sessions_and_tokens(
    world: World, accounts: Accounts, sign_in: SignIn
) -> None:
    before = sign_in()
    secret = "an API token"
    world.add(_api_token(before.person.id, secret, world.clock()))
    assert accounts.actor_of_token(secret) is not None

    with pytest.raises(NoRoleError):
        sign_in(role=None)

    assert accounts.actor_of_session(before.token) is None
    assert accounts.actor_of_token(secret) is None
    assert [row.revoked_at for row in world.rows(ApiToken)] == [world.clock()]
    assert world.events()[-2:] == [done("person.role_lost"), refused("person.signed_in", "no_role")]


def test_a_closed_account_stays_closed_whatever_the_provider_says(
    world: World, accounts: Accounts, people: People, sign_in: SignIn
) -> None:
    admin = world.make_actor(Role.ADMIN, "root")
    before = sign_in()
    people.disable(admin, "ada")

    assert accounts.actor_of_session(before.token) is None
    for role in (Role.READER, Role.ADMIN, None):
        with pytest.raises(AccountClosedError):
            sign_in(role=role)
    assert [p.role for p in world.rows(Person) if p.name == "ada"] == [Role.READER]


def test_one_answer_of_the_provider_begins_one_session(world: World, sign_in: SignIn) -> None:
    sign_in(state="one")

    with pytest.raises(SignInReplayedError):
        sign_in(state="one")
    with pytest.raises(SignInReplayedError):
        sign_in(state="one", subject="8", role=Role.ADMIN)
    assert len(world.rows(LoginSession)) == len(world.rows(Person)) == 1


@on_both_databases
def test_one_answer_that_comes_twice_at_once_begins_one_session(
    world: World, sign_in: SignIn
) -> None:
    together = threading.Barrier(2)

    def arrive() -> str:
        together.wait()
        try:
            return sign_in(state="one").token
        except SignInReplayedError:
            return ""

    with ThreadPoolExecutor(2) as people:
        tokens = [each.result() for each in (people.submit(arrive), people.submit(arrive))]

    assert len(list(filter(None, tokens))) == 1
    assert len(world.rows(LoginSession)) == len(world.rows(Identity)) == 1


def test_the_providers_token_is_kept_for_whoever_has_the_cookie_only(
    world: World, federation: Federation, accounts: Accounts, sign_in: SignIn
) -> None:
    signed_in = sign_in(hint="header.claims.signature")
    (row,) = world.rows(LoginSession)

    assert b"claims" not in row.logout_hint
    assert signed_in.token not in repr(row)
    assert federation.vouched_by(signed_in.token) == ("hospital", "header.claims.signature")
    assert federation.vouched_by("another value") == ("", "")
    accounts.sign_out(signed_in.token)
    assert federation.vouched_by(signed_in.token) == ("", "")
    assert world.rows(LoginSession)[0].logout_hint is None


def test_a_token_too_long_for_an_address_is_not_kept(
    federation: Federation, sign_in: SignIn
) -> None:
    signed_in = sign_in(hint="x" * (LONGEST_HINT + 1))

    assert federation.vouched_by(signed_in.token) == ("hospital", "")


def test_without_passwords_only_a_providers_word_counts(
    world: World, accounts: Accounts, sign_in: SignIn
) -> None:
    accounts.first_account("root", PASSWORD)
    by_password = accounts.sign_in("root", PASSWORD)
    by_word = sign_in()
    without = Accounts(
        world.store, world.clock, accounts.passwords, world.trail(), password_sign_in=False
    )

    with pytest.raises(PasswordSignInOffError):
        without.sign_in("root", PASSWORD)
    assert world.events()[-1] == refused("person.signed_in", "password_sign_in_off")
    assert without.actor_of_session(by_password.token) is None
    actor = without.actor_of_session(by_word.token)
    assert actor is not None
    assert not without.has_password(actor)


def test_a_provider_that_is_trusted_no_more_has_no_sessions(
    world: World, accounts: Accounts, sign_in: SignIn
) -> None:
    token = sign_in().token

    for known, stays in ({"hospital"}, True), ({"university"}, False), (set(), False):
        after = replace(accounts, providers=frozenset(known))
        assert (after.actor_of_session(token) is not None) is stays
    assert world.rows(LoginSession)[0].ended_at is None  # it may come back


def test_who_has_no_password_here_cannot_choose_one(
    world: World, accounts: Accounts, sign_in: SignIn
) -> None:
    actor = accounts.actor_of_session(sign_in().token)
    assert actor is not None

    for old in ("", "anything"):
        with pytest.raises(PasswordSignInOffError):
            accounts.change_password(actor, old, "a long enough password")
    assert world.rows(Person)[0].password_hash is None


PENDING = Pending("hospital", "https://reads.example/login/hospital/callback", "/read?case=3")


def test_a_pending_sign_in_comes_back_as_it_left(federation: Federation) -> None:
    opened = federation.pending.open(federation.pending.seal(PENDING))

    assert opened == PENDING


def test_two_pending_sign_ins_share_no_secret() -> None:
    one, two = (Pending("hospital", "https://reads.example", "/") for _ in range(2))

    assert {one.state, one.nonce, one.verifier}.isdisjoint({two.state, two.nonce, two.verifier})
    assert len(one.verifier) == 64  # RFC 7636: 43 to 128
    assert one.verifier not in repr(one)


def test_a_pending_sign_in_lasts_ten_minutes(world: World, federation: Federation) -> None:
    cookie = federation.pending.seal(PENDING)

    world.clock.forward(seconds=LASTS.total_seconds() - 1)
    assert federation.pending.open(cookie) == PENDING
    world.clock.forward(seconds=1)
    assert federation.pending.open(cookie) is None


def test_nobody_else_can_make_or_change_the_cookie(world: World, federation: Federation) -> None:
    cookie = federation.pending.seal(PENDING)
    foreign = PendingSignIns(b"x" * 32, world.clock).seal(PENDING)
    changed = cookie[:40] + ("A" if cookie[40] != "A" else "B") + cookie[41:]

    for bad in ("", "x", "é", foreign, changed, cookie[:-8], "A" * 4000):
        assert federation.pending.open(bad) is None
    assert PENDING.verifier not in cookie


def test_every_refusal_says_what_to_do() -> None:
    refusals: list[ServiceError] = [
        NoRoleError(),
        AccountClosedError(),
        SignInReplayedError(),
        PasswordSignInOffError(),
    ]
    assert len({refusal.code for refusal in refusals}) == len({str(r) for r in refusals}) == 4
