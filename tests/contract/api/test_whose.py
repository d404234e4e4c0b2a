"""Three people, every route that takes an id, every verb: nobody reaches what is another's.

"Not yours" and "not there" must be one answer, byte for byte, so that asking teaches nothing.
The routes are taken from the running application: a new one with an id in it fails here until
it has a line.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Final
from uuid import UUID, uuid4

import gradio as gr
import httpx
import pytest
import pytest_asyncio
from sqlmodel import SQLModel

from storage.tables import AuditEvent
from storage.vocabulary import CaseState, Protocol, Role
from tests.contract.api.doors import doors
from tests.flow.place import PASSWORD, Place
from tests.unit.intake.samples import film
from webapp.app import ROUTES
from webapp.auth.routes import API
from webapp.services.actor import Actor

pytestmark = pytest.mark.asyncio(loop_scope="module")

VERBS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
REQUEST_ID: Final = "x-request-id"
PEOPLE: Final = {"anna": Role.READER, "ben": Role.ADJUDICATOR, "tom": Role.TRAINEE}


@dataclass(frozen=True)
class Things:
    """What belongs to one person, or, with new ids, to nobody."""

    case: UUID
    held: UUID
    image: UUID
    draft: UUID
    export: UUID
    collection: str

    @classmethod
    def of_nobody(cls) -> "Things":
        return cls(uuid4(), uuid4(), uuid4(), uuid4(), uuid4(), str(uuid4()))


@dataclass
class Street:
    """Three people next door to each other, each with a collection of their own."""

    place: Place
    actors: dict[str, Actor]
    things: dict[str, Things]

    def program(self, name: str) -> httpx.AsyncClient:
        client = self.place.visitor()
        client.headers["authorization"] = f"Bearer {self._tokens[name]}"
        return client

    def __post_init__(self) -> None:
        admin = self.place.services.accounts.operator()
        self._tokens = {
            name: self.place.services.tokens.create(admin, name).secret for name in PEOPLE
        }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def street(place: Place) -> Street:
    accounts, world = place.services.accounts, place.world
    admin = accounts.operator()
    people = {
        n: place.services.people.add(admin, n, role, PASSWORD).person for n, role in PEOPLE.items()
    }
    actors = {n: Actor(p.id, n, p.role, "session") for n, p in people.items()}
    export = await asyncio.to_thread(place.services.exporting.make, admin, "trl-sft")
    things = {}
    for name, actor in actors.items():
        home = world.make_collection(actor, name=f"home of {name}", protocol=Protocol.TEACHING)
        case = world.make_case(home, actor)
        held = world.make_case(home, actor, state=CaseState.HELD, dicom=film())
        things[name] = Things(
            case.id,
            held.id,
            world.image_of(case).id,
            world.make_draft(case, actor).id,
            export.id,
            str(home.id),
        )
    return Street(place, actors, things)


def _key() -> dict[str, Any]:
    return {"idempotency_key": "the same key for everybody"}


CASES, DRAFTS, IMAGES = f"{API}/cases", f"{API}/drafts", f"{API}/images"
EXPORTS, STUDIES = f"{API}/exports", f"{API}/studies"
Door = tuple[str, str]

IN_THE_PATH: Final[dict[Door, tuple[str, Any]]] = {  # which id goes in, and what body goes with it
    ("GET", f"{CASES}/{{case_id}}"): ("case", None),
    ("GET", f"{CASES}/{{case_id}}/search"): ("case", None),
    ("POST", f"{CASES}/{{case_id}}/own-reads"): ("case", {**_key(), "text": "Normal."}),
    ("POST", f"{CASES}/{{case_id}}/questions"): ("case", {**_key(), "text": "What is there?"}),
    ("POST", f"{CASES}/{{case_id}}/batteries"): ("case", {**_key(), "battery": "chest-findings"}),
    ("GET", f"{CASES}/{{case_id}}/progress"): ("case", None),
    ("PUT", f"{CASES}/{{case_id}}/progress"): ("case", {"content": {"text": "half"}}),
    ("POST", f"{STUDIES}/{{case_id}}/attest"): ("held", {**_key(), "decision": "clean"}),
    ("GET", f"{IMAGES}/{{image_id}}"): ("image", None),
    ("GET", f"{IMAGES}/{{image_id}}/frames/{{n}}"): ("image", None),
    ("GET", f"{DRAFTS}/{{draft_id}}"): ("draft", None),
    ("POST", f"{DRAFTS}/{{draft_id}}/reviews"): ("draft", {**_key(), "based_on_revision": 0}),
    ("GET", f"{EXPORTS}/{{export_id}}/files/{{name:path}}"): ("export", None),
}
FOR_EVERYBODY: Final = {"/overread/{path:path}", "/static/{path:path}", "/assets/{path:path}"}
OWN_WINDOW: Final = {("GET", "/gradio_api/heartbeat/{session_hash}")}
NO_ID: Final = {
    ("POST", "/gradio_api/run/{api_name}"),
    ("GET", "/login/{provider}"),
    ("POST", "/login/{provider}"),
    ("GET", "/login/{provider}/callback"),
}
"""Names that the settings or the program give, of nobody's things."""
BY_NAME: Final = {("POST", f"{API}/dicomweb/{{collection}}/studies")}
"""Uploads name their collection. That a name is taken cannot be hidden: names are unique."""


def _address(template: str, things: Things) -> str:
    which, _ = IN_THE_PATH[next(door for door in IN_THE_PATH if door[1] == template)]
    filled = template.replace("{n}", "0").replace("{name:path}", "manifest.json")
    head, _, rest = filled.partition("{")
    return head + str(getattr(things, which)) + rest.partition("}")[2]


def _told(answer: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    headers = {name: value for name, value in answer.headers.items() if name != REQUEST_ID}
    return answer.status_code, headers, answer.content


def _everything(place: Place, besides: Actor | None = None) -> dict[str, list[dict[str, Any]]]:
    """Return every row but for the trail, which notes each attempt, and those of one person."""
    tables = [mapper.class_ for mapper in SQLModel._sa_registry.mappers]
    rows = {
        table.__tablename__: [row.model_dump() for row in place.world.rows(table)]
        for table in tables
        if table is not AuditEvent
    }
    return {
        name: sorted(
            (r for r in found if besides is None or r.get("person_id") != besides.id), key=str
        )
        for name, found in rows.items()
    }


async def test_every_route_with_an_id_has_a_line(place: Place) -> None:
    seen = {
        (method, path)
        for method, path in doors(place.gate.app.routes)  # type: ignore[attr-defined] # FastAPI
        if "{" in path and (route := ROUTES.find(method, path)) and route.roles != frozenset()
    }
    known = set(IN_THE_PATH) | OWN_WINDOW | NO_ID | BY_NAME
    strangers = {door for door in seen if door[1] not in FOR_EVERYBODY} - known
    assert {door for door in strangers if not door[1].startswith("/svelte")} == set()
    assert set(IN_THE_PATH) <= seen


@pytest.mark.parametrize("template", sorted({path for _, path in IN_THE_PATH}))
async def test_not_yours_and_not_there_are_one_answer_and_nothing_changes(
    street: Street, template: str
) -> None:
    before = _everything(street.place)
    nobodys = Things.of_nobody()
    for asker, owner in permutations(PEOPLE, 2):
        async with street.program(asker) as client:
            for verb in VERBS:
                _, body = IN_THE_PATH.get((verb, template), ("", None))
                foreign, absent = [
                    await client.request(verb, _address(template, things), json=body)
                    for things in (street.things[owner], nobodys)
                ]
                assert _told(foreign) == _told(absent), (asker, owner, verb)
                assert foreign.status_code in {403, 404}, (asker, owner, verb)
    assert _everything(street.place) == before


@pytest.mark.parametrize(
    ("door", "owner"),
    [
        pytest.param(door, "ben" if "attest" in door[1] else "anna", id=f"{door[0]} {door[1]}")
        for door in IN_THE_PATH
        if "export" not in door[1]
    ],
)
async def test_its_owner_is_served_by_the_same_request(
    street: Street, door: Door, owner: str
) -> None:
    method, template = door
    case, actor = street.things[owner].case, street.actors[owner]
    if "drafts" in template or "questions" in template or "batteries" in template:
        reading = street.place.services.reading
        await asyncio.to_thread(
            reading.commit_own_read, actor, case, text="Normal.", **_key()
        )  # a repeat returns the first
    _, body = IN_THE_PATH[door]
    async with street.program(owner) as client:
        answer = await client.request(method, _address(template, street.things[owner]), json=body)
    assert 200 <= answer.status_code < 300


async def test_a_trainee_does_not_see_a_colleagues_draft(street: Street) -> None:
    collections, admin = street.place.services.collections, street.place.services.accounts
    world, anna = street.place.world, street.actors["anna"]
    shared = world.make_collection(anna, street.actors["tom"], name="a shared one")
    draft = world.make_draft(world.make_case(shared, anna), anna)
    assert collections.list(admin.operator())
    async with street.program("tom") as tom:
        for path in (f"{DRAFTS}/{{}}", f"{DRAFTS}/{{}}/reviews"):
            method = "POST" if "reviews" in path else "GET"
            body = IN_THE_PATH["POST", f"{DRAFTS}/{{draft_id}}/reviews"][1]
            foreign, absent = [
                await tom.request(method, path.format(each), json=body)
                for each in (draft.id, uuid4())
            ]
            assert _told(foreign) == _told(absent)
            assert foreign.status_code == 404


async def test_ids_in_queries_and_bodies_are_no_way_around(street: Street) -> None:
    before = _everything(street.place)
    for asker, owner in permutations(PEOPLE, 2):
        mine, theirs = street.things[asker], street.things[owner]
        own_case = f"{CASES}/{mine.case}/questions"
        async with street.program(asker) as client:
            for things in (theirs, Things.of_nobody()):
                listed = await client.get(CASES, params={"collection": things.collection})
                taken = await client.post(f"{CASES}/next", json={"collection": things.collection})
                asked = await client.post(
                    own_case,
                    json={**_key(), "text": "?", "images": [{"image_id": str(things.image)}]},
                )
                if things is theirs:
                    foreign = [_told(answer) for answer in (listed, taken, asked)]
            assert foreign == [_told(answer) for answer in (listed, taken, asked)]
            assert [answer[0] for answer in foreign[:2]] == [404, 404]
            assert foreign[2][0] in {404, 409, 422}
    assert _everything(street.place) == before


def _calls(blocks: gr.Blocks, given: str) -> Iterator[dict[str, Any]]:
    """Yield a call of every handler of every page, each field holding `given`."""
    for number, fn in blocks.fns.items():
        yield {"fn_index": number, "data": [given] * len(fn.inputs), "session_hash": uuid4().hex}


async def test_no_upload_goes_to_a_foreign_collection(street: Street) -> None:
    before = _everything(street.place)
    name = "home of anna"
    dicom = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + film() + b"\r\n--x--\r\n"
    related = {"content-type": 'multipart/related; type="application/dicom"; boundary=x'}
    async with street.program("ben") as ben:
        answers = [
            await ben.post(STUDIES, files={"files": ("a.dcm", film())}, data={"collection": name}),
            await ben.post(f"{API}/dicomweb/{name}/studies", content=dicom, headers=related),
        ]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert _everything(street.place) == before


async def test_no_handler_of_a_page_shows_or_changes_what_is_foreign(
    street: Street, blocks: gr.Blocks
) -> None:
    before = _everything(street.place, street.actors["ben"])
    theirs, nobodys = street.things["anna"], Things.of_nobody()
    async with street.place.person("ben") as ben:
        told: list[list[tuple[int, str]]] = []
        for things in (theirs, nobodys):
            told.append([])
            for call in _calls(blocks, str(things.draft)):  # the case is in the page's address
                answer = await ben.post(
                    "/gradio_api/run/predict", params={"case": str(things.case)}, json=call
                )
                told[-1].append((answer.status_code, _without(answer, things.draft, things.case)))
    assert told[0] == told[1]
    assert not [text for _, text in told[0] if "effusion" in text and "DRAFT" in text]
    answered = sum(status == 200 for status, _ in told[0])
    assert answered > 20
    assert _everything(street.place, street.actors["ben"]) == before


def _without(answer: httpx.Response, *ids: object) -> str:
    """Return an answer without how long it took and without what was asked."""
    body = answer.json()
    for field in ("duration", "average_duration"):
        body.pop(field, None)
    text = json.dumps(body, sort_keys=True)
    for each in ids:
        text = text.replace(str(each), "what was asked for")
    return text


@pytest_asyncio.fixture(loop_scope="module")
async def event(street: Street) -> AsyncIterator[tuple[str, str]]:
    """Yield a session and an event in it that are anna's."""
    session = uuid4().hex
    async with street.place.person("anna") as anna:
        joined = await anna.post(
            "/gradio_api/queue/join",
            json={"fn_index": 0, "data": [], "session_hash": session},
        )
        yield session, joined.json()["event_id"]


async def test_sessions_and_events_of_pages_are_their_owners(
    street: Street, event: tuple[str, str]
) -> None:
    session, event_id = event
    async with street.place.person("ben") as ben:

        async def post(path: str, **body: Any) -> httpx.Response:  # noqa: ANN401 - JSON
            return await ben.post(f"/gradio_api/{path}", json=body)

        for names in ({}, {"session_hash": uuid4().hex}):
            foreign = await post("cancel", **names, event_id=event_id)
            absent = await post("cancel", **names, event_id=uuid4().hex)
            assert _told(foreign) == _told(absent)
            assert foreign.status_code == 404
        reset = await post("reset", event_id=event_id)
        assert _told(reset) == _told(await post("reset", event_id=uuid4().hex))
        refused = [
            reset,
            await post("cancel", session_hash=session, event_id=event_id),
            await post("queue/join", fn_index=0, data=[], session_hash=session),
            await post("run/predict", fn_index=0, data=[], session_hash=session),
            await ben.get("/gradio_api/queue/data", params={"session_hash": session}),
            await ben.get(f"/gradio_api/heartbeat/{session}"),
        ]
    assert {answer.status_code for answer in refused} == {404}
    assert len({answer.content for answer in refused}) == 1
