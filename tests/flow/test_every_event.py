"""Every use case and every refusal leaves its event: no more, no less.

The walk looks at the services' own public methods, so that a new one without a line here
fails. Long, since it is one list of all use cases.
"""

import asyncio
import inspect
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from anyio.to_thread import run_sync
from sqlmodel import SQLModel

from storage.tables import AuditEvent, Case, Draft, Image
from storage.vocabulary import Attestation, CaseState, Protocol, Role
from tests.flow.place import PASSWORD, Place
from tests.unit.intake.samples import film
from webapp.auth.routes import API
from webapp.services.actor import Actor
from webapp.services.errors import NotSignedInError
from webapp.services.federation import Vouched
from webapp.services.login_sessions import Voucher
from webapp.services.policy import Action
from webapp.services.reviewing import ReviewInput

SILENT = {
    ("accounts", "operator"): "finds out who works at the command line; the command has its event",
    ("accounts", "actor_of_session"): "finds out who asks; what is asked for has its event",
    ("accounts", "actor_of_token"): "finds out who asks; what is asked for has its event",
    ("accounts", "is_current"): "finds out whether somebody still may; what they do has its event",
    ("accounts", "has_password"): "tells of the asker only",
    ("federation", "vouched_by"): "goes before a sign-out, which has its event",
    ("accounts", "time_left"): "tells of the asker's own session only",
    ("worklist", "search"): "an open page asks by itself; opening the case has its event",
    ("serving", "ready"): "tells of no case and no person",
    ("serving", "models"): "tells of no case and no person",
    ("batteries", "ask"): "each of its questions has the two events of `asking.ask`",
    ("keeping", "keep_swept"): "removes what no row names; the log has how many",
    ("keeping", "sweep_if_possible"): "removes what no row names; the log has how many",
    ("exporting", "archive"): "asks `file` first, which has its event",
}
NOT_USE_CASES = {"store", "sandbox", "readers", "checking", "worker", "trail", "rates"}


@dataclass
class Stage:
    """What the calls are about."""

    place: Place
    folder: Path
    admin: Actor
    case: Case
    held: Case
    image: Image
    draft: Draft

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a service
        return getattr(self.place.services, name)


Call = Callable[[Stage, Actor | None], object]


async def _all_of(events: AsyncGenerator[object, None]) -> None:
    async for _ in events:
        pass


def _ask(s: Stage, actor: Actor | None) -> Awaitable[None]:
    return _all_of(s.asking.ask(actor, s.case.id, text="What?", idempotency_key=uuid4().hex))


def _made_export(s: Stage) -> UUID:
    return s.exporting.make(s.admin, "trl-dpo").id  # type: ignore[no-any-return]


def _token(s: Stage) -> UUID:
    return s.tokens.create(s.admin, "reader").id  # type: ignore[no-any-return]


BEFORE: dict[tuple[str, str], Callable[[Stage], object]] = {
    ("exporting", "file"): _made_export,
    ("tokens", "revoke"): _token,
    ("accounts", "sign_out"): lambda s: s.accounts.sign_in("reader", PASSWORD).token,
}
CALLS: dict[tuple[str, str], tuple[list[Action], Callable[..., object]]] = {
    ("accounts", "first_account"): (
        [Action.ENSURE_FIRST_ACCOUNT],
        lambda s, _actor: s.accounts.first_account("admin", None),
    ),
    ("accounts", "sign_in"): (
        [Action.SIGN_IN],
        lambda s, _actor: s.accounts.sign_in("reader", PASSWORD),
    ),
    ("federation", "sign_in"): (
        [Action.TAKE_ROLE, Action.SIGN_IN],  # two transactions: an account is made first
        lambda s, _actor: s.federation.sign_in(
            Vouched("https://login.example", "7", Role.READER, "ada"), Voucher("here", "state", "")
        ),
    ),
    ("accounts", "sign_out"): (
        [Action.SIGN_OUT],
        lambda s, _actor, token: s.accounts.sign_out(token),
    ),
    ("accounts", "change_password"): (
        [Action.CHANGE_OWN_PASSWORD],
        lambda s, actor: s.accounts.change_password(actor, PASSWORD, "another password"),
    ),
    ("people", "add"): (
        [Action.ADD_PERSON],
        lambda s, actor: s.people.add(actor, "new", Role.READER),
    ),
    ("people", "list"): ([Action.LIST_PEOPLE], lambda s, actor: s.people.list(actor)),
    ("people", "disable"): (
        [Action.DISABLE_PERSON],
        lambda s, actor: s.people.disable(actor, "trainee"),
    ),
    ("tokens", "create"): (
        [Action.CREATE_TOKEN],
        lambda s, actor: s.tokens.create(actor, "reader"),
    ),
    ("tokens", "list"): ([Action.LIST_TOKENS], lambda s, actor: s.tokens.list(actor)),
    ("tokens", "revoke"): (
        [Action.REVOKE_TOKEN],
        lambda s, actor, token: s.tokens.revoke(actor, token),
    ),
    ("collections", "list"): (
        [Action.LIST_COLLECTIONS],
        lambda s, actor: s.collections.list(actor),
    ),
    ("collections", "ensure"): (
        [Action.ENSURE_COLLECTION],
        lambda s, actor: s.collections.ensure(actor, "Abdomen"),
    ),
    ("collections", "add_member"): (
        [Action.ADD_MEMBER],
        lambda s, actor: s.collections.add_member(actor, "Read", "reader"),
    ),
    ("collections", "members"): (
        [Action.LIST_MEMBERS],
        lambda s, actor: s.collections.members(actor, "Read"),
    ),
    ("collections", "remove_member"): (
        [Action.REMOVE_MEMBER],
        lambda s, actor: s.collections.remove_member(actor, "Read", "reader"),
    ),
    ("people", "change_role"): (
        [Action.CHANGE_ROLE],
        lambda s, actor: s.people.change_role(actor, "trainee", Role.READER),
    ),
    ("people", "enable"): (
        [Action.ENABLE_PERSON],
        lambda s, actor: s.people.enable(actor, "trainee"),
    ),
    ("people", "end_sessions"): (
        [Action.END_SESSIONS],
        lambda s, actor: s.people.end_sessions(actor, "trainee"),
    ),
    ("people", "reset_password"): (
        [Action.RESET_PASSWORD],
        lambda s, actor: s.people.reset_password(actor, "trainee"),
    ),
    ("health", "report"): ([Action.OPEN_HEALTH], lambda s, actor: s.health.report(actor)),
    ("studies", "receive"): (
        [Action.UPLOAD],
        lambda s, actor: list(s.studies.receive(actor, [], "Read")),
    ),
    ("studies", "receive_instances"): (
        [Action.UPLOAD],
        lambda s, actor: s.studies.receive_instances(actor, [], "Read"),
    ),
    ("studies", "attest"): (
        [Action.ATTEST],
        lambda s, actor: s.studies.attest(actor, s.held.id, Attestation.CLEAN, [], "k"),
    ),
    ("studies", "export_study"): (
        [Action.EXPORT_STUDY],
        lambda s, actor: s.studies.export_study(actor, s.case.id, s.folder / "study"),
    ),
    ("worklist", "page"): ([Action.LIST_CASES], lambda s, actor: s.worklist.page(actor)),
    ("worklist", "case"): ([Action.OPEN_CASE], lambda s, actor: s.worklist.case(actor, s.case.id)),
    ("worklist", "next"): ([Action.CLAIM_CASE], lambda s, actor: s.worklist.next(actor)),
    ("images", "geometry"): (
        [Action.OPEN_IMAGE],
        lambda s, actor: s.images.geometry(actor, s.image.id),
    ),
    ("images", "frame"): (
        [Action.OPEN_IMAGE],
        lambda s, actor: s.images.frame(actor, s.image.id, 0),
    ),
    ("images", "picture"): (
        [],  # the event of `frame`, a moment ago, stands for this look as well
        lambda s, actor: s.images.picture(actor, s.image.id, 0),
    ),
    ("reading", "commit_own_read"): (
        [Action.COMMIT_OWN_READ],
        lambda s, actor: s.reading.commit_own_read(
            actor, s.case.id, text="Normal.", findings=(), confidence=3, idempotency_key="k"
        ),
    ),
    ("reading", "save_progress"): (
        [Action.SAVE_PROGRESS],
        lambda s, actor: s.reading.save_progress(actor, s.case.id, {"text": "half"}),
    ),
    ("reading", "progress"): (
        [Action.OPEN_PROGRESS],
        lambda s, actor: s.reading.progress(actor, s.case.id),
    ),
    ("asking", "ask"): ([Action.ASK, Action.STORE_DRAFT], _ask),  # two transactions by nature
    ("asking", "draft"): ([Action.OPEN_DRAFT], lambda s, actor: s.asking.draft(actor, s.draft.id)),
    ("reviewing", "submit"): (
        [Action.REVIEW],
        lambda s, actor: s.reviewing.submit(actor, s.draft.id, ReviewInput("k", 0)),
    ),
    ("reviewing", "history"): (
        [Action.OPEN_REVIEWS],
        lambda s, actor: s.reviewing.history(actor, s.draft.id),
    ),
    ("exporting", "make"): (
        [Action.EXPORT],
        lambda s, actor: s.exporting.make(actor, "trl-sft"),
    ),
    ("exporting", "list"): ([Action.OPEN_EXPORT], lambda s, actor: s.exporting.list(actor)),
    ("exporting", "file"): (
        [Action.OPEN_EXPORT],
        lambda s, actor, export: s.exporting.file(actor, export, "manifest.json"),
    ),
    ("auditing", "page"): ([Action.OPEN_AUDIT], lambda s, actor: s.auditing.page(actor)),
    ("auditing", "export"): (
        [Action.EXPORT_AUDIT],
        lambda s, actor: list(s.auditing.export(actor, "csv")),
    ),
    ("auditing", "verify"): ([Action.VERIFY_AUDIT], lambda s, actor: s.auditing.verify(actor)),
    ("keeping", "keys"): ([Action.SHOW_KEYS], lambda s, actor: s.keeping.keys(actor)),
    ("keeping", "rotate"): (
        [Action.ROTATE_KEYS],
        lambda s, actor: s.keeping.rotate(actor, lambda _at, _of: None),
    ),
    ("keeping", "back_up"): (
        [Action.BACK_UP],
        lambda s, actor: s.keeping.back_up(actor, s.folder / "backup", lambda _at, _of: None),
    ),
    ("keeping", "restored"): ([Action.RESTORE], lambda s, actor: s.keeping.restored(actor)),
    ("exporting", "write_to"): (
        [Action.EXPORT],
        lambda s, actor: s.exporting.write_to(actor, "trl-kto", s.folder / "export"),
    ),
}
WITHOUT_AN_ACTOR = {("federation", "sign_in")} | {
    ("accounts", name) for name in ("first_account", "sign_in", "sign_out")
}


def use_cases(place: Place) -> Iterator[tuple[str, str]]:
    """Yield every public method of every service."""
    for part in fields(place.services):
        if part.name in NOT_USE_CASES:
            continue
        service = getattr(place.services, part.name)
        for name, _ in inspect.getmembers(type(service), inspect.isfunction):
            if not name.startswith("_") and not _is_inner(service, name):
                yield part.name, name


def _is_inner(service: object, name: str) -> bool:
    """Whether a base class offers it to its use cases only."""
    return name not in vars(type(service))


@pytest.fixture
def stage(place: Place, tmp_path: Path) -> Stage:
    world = place.world
    admin = place.people[Role.ADMIN]
    collection = world.make_collection(admin, name="Read", protocol=Protocol.AI_FIRST)
    case = world.make_case(collection, admin, dicom=film())
    held = world.make_case(collection, admin, state=CaseState.HELD, dicom=film())
    draft = world.make_draft(case, admin)
    return Stage(place, tmp_path, admin, case, held, world.image_of(case), draft)


def _events(place: Place) -> list[AuditEvent]:
    found = place.world.rows(AuditEvent)
    return sorted(found, key=lambda event: event.seq)


async def _called(call: Callable[..., object], *given: object) -> None:
    result = await run_sync(call, *given)  # some go back to the loop
    if inspect.isawaitable(result):
        await result


async def test_every_use_case_leaves_one_event_and_so_does_its_refusal(stage: Stage) -> None:
    place = stage.place
    walked = set(use_cases(place))
    assert walked - set(SILENT) == set(CALLS)

    for name, (actions, call) in CALLS.items():
        given = [await asyncio.to_thread(BEFORE[name], stage)] if name in BEFORE else []
        if name not in WITHOUT_AN_ACTOR:
            before = len(_events(place))
            with pytest.raises(NotSignedInError):
                await _called(call, stage, None, *given)
            (refusal,) = _events(place)[before:]
            assert (refusal.outcome.value, refusal.code) == ("refused", "not_signed_in"), name
        before = len(_events(place))
        await _called(call, stage, stage.admin, *given)
        found = _events(place)[before:]
        assert [event.action for event in found] == [action.value for action in actions], name


async def test_looking_on_after_the_right_was_taken_leaves_its_refusal(stage: Stage) -> None:
    place, reader = stage.place, stage.place.people[Role.READER]
    stage.collections.add_member(stage.admin, "Read", "reader")
    stage.images.frame(reader, stage.image.id, 0)
    before = len(_events(place))

    with pytest.raises(Exception, match="no such"):
        stage.images.frame(reader, stage.image.id, 7)

    (refusal,) = _events(place)[before:]
    assert (refusal.action, refusal.outcome.value) == ("image.opened", "refused")


@dataclass
class Knock:
    """A request that is refused, and the event it must leave."""

    code: str
    status: int
    path: str
    method: str = "GET"
    role: Role | None = Role.READER
    headers: tuple[tuple[str, str], ...] = ()
    content: bytes = b""
    action: str = "request.refused"


KNOCKS = {
    "nobody": Knock("not_signed_in", 401, f"{API}/cases", role=None),
    "nobody, at a page": Knock(
        "not_signed_in", 303, "/", role=None, headers=(("accept", "text/html"),)
    ),
    "a token that is none": Knock(
        "not_signed_in", 401, f"{API}/cases", role=None, headers=(("authorization", "Bearer x"),)
    ),
    "a role too low": Knock("not_allowed", 403, f"{API}/exports"),
    "a door shut for all": Knock("not_found", 404, "/gradio_api/info"),
    "no such door": Knock("not_found", 404, "/wp-login.php"),
    "another host": Knock("unknown_host", 421, "/", role=None, headers=(("host", "evil.example"),)),
    "another origin": Knock(
        "foreign_origin", 403, "/login", "POST", None, (("origin", "http://evil.example"),)
    ),
    "too large": Knock(
        "too_large", 413, f"{API}/cases/next", "POST", content=b"x" * (2 * 1024 * 1024 + 1)
    ),
    "a body that is no JSON": Knock(
        "http_422",
        422,
        f"{API}/cases/next",
        "POST",
        content=b"{",
        headers=(("content-type", "application/json"),),
    ),
    "an id that is none": Knock("http_404", 404, f"{API}/cases/{'x' * 36}"),
    "no upload": Knock("http_422", 422, f"{API}/studies", "POST"),
    "a wrong password": Knock(
        "sign_in_failed",
        401,
        "/login",
        "POST",
        None,
        content=b"name=reader&password=wrong",
        action="person.signed_in",
    ),
    "not there": Knock("not_found", 404, f"{API}/cases/{UUID(int=5)}", action="case.opened"),
}


@pytest.mark.parametrize("knock", [pytest.param(each, id=name) for name, each in KNOCKS.items()])
async def test_every_refusal_over_http_leaves_one_event(place: Place, knock: Knock) -> None:
    before = len(_events(place))
    client = place.visitor() if knock.role is None else place.program(knock.role)

    async with client:
        answer = await client.request(
            knock.method, knock.path, headers=dict(knock.headers), content=knock.content
        )

    (event,) = _events(place)[before:]
    assert (answer.status_code, event.code) == (knock.status, knock.code)
    assert (event.action, event.outcome.value) == (knock.action, "refused")
    assert event.request_id == answer.headers["x-request-id"]
    assert event.came_from == "127.0.0.0/24"
    assert event.via == ("token" if knock.role else "")


async def test_a_flood_of_nameless_refusals_is_counted_and_leaves_readers_alone(
    place: Place,
) -> None:
    before = len(_events(place))
    async with place.visitor() as nobody:
        for _ in range(200):
            await nobody.get(f"{API}/cases")
    async with place.program(Role.READER) as reader:
        assert (await reader.get(f"{API}/exports")).status_code == 403
    place.world.clock.forward(minutes=1)
    place.services.trail.settle()

    found = _events(place)[before:]
    assert Counter((event.code, event.count) for event in found) == {
        ("not_signed_in", 1): 20,
        ("not_allowed", 1): 1,
        ("many_refusals", 180): 1,
    }


def _holds(rows: list[SQLModel], text: str) -> bool:
    return any(text in str(value) for row in rows for value in row.model_dump().values())


async def test_nothing_that_was_typed_reaches_the_trail(place: Place) -> None:
    name = "SMITH^JOHN"
    async with place.visitor() as nobody:
        await nobody.post("/login", data={"name": name, "password": name})
        await nobody.get(f"/{name}", params={"patient": name}, headers={"user-agent": name})
    async with place.program(Role.READER) as reader:
        await reader.get(f"{API}/cases/{name}")
        await reader.get(f"{API}/cases", params={"collection": name})
        await reader.post(f"{API}/cases/next", json={"collection": name})

    assert not _holds(place.world.rows(AuditEvent), name)
