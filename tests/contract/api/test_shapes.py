"""The shapes programs rely on: lists, ids, times, errors, bytes, and the API's own description."""

import json
import re
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from storage.tables import Case, Draft
from storage.vocabulary import Role
from tests.flow.place import COLLECTION, Place
from webapp.auth.routes import API, API_ROUTES

pytestmark = pytest.mark.asyncio(loop_scope="module")

RFC3339_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@pytest.fixture
def case(place: Place) -> Case:
    operator = place.services.accounts.operator()
    found = place.services.collections.list(operator)
    (collection,) = [each for each in found if each.name == COLLECTION]
    return place.world.make_case(
        collection,  # type: ignore[arg-type] # it has the id
        place.people[Role.READER],
        frames=(bytes(range(64)), bytes(64)),
    )


@pytest.fixture
def draft(place: Place, case: Case) -> Draft:
    return place.world.make_draft(case, place.people[Role.READER])


def _review(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"idempotency_key": str(uuid4()), "based_on_revision": 0, **fields}


async def test_lists_have_items_and_a_cursor(place: Place, case: Case) -> None:
    assert case.id
    async with place.program(Role.ADMIN) as admin:
        for path in ("cases", "exports", "models"):
            answer = (await admin.get(f"{API}/{path}")).json()
            assert set(answer) == {"items", "next"}


async def test_the_worklist_goes_on_where_the_page_ended(place: Place, case: Case) -> None:
    async with place.program(Role.READER) as reader:
        everything = (await reader.get(f"{API}/cases", params={"limit": 100})).json()["items"]
        seen: list[str] = []
        cursor: str | None = None
        while True:
            params: dict[str, str] = {"limit": "1"} | ({"cursor": cursor} if cursor else {})
            page = (await reader.get(f"{API}/cases", params=params)).json()
            seen += [item["id"] for item in page["items"]]
            if (cursor := page["next"]) is None:
                break

    assert seen == [item["id"] for item in everything]
    assert str(case.id) in seen


async def test_a_case_has_its_fields(place: Place, case: Case) -> None:
    async with place.program(Role.READER) as reader:
        opened = (await reader.get(f"{API}/cases/{case.id}")).json()
        row = (await reader.get(f"{API}/cases")).json()["items"][0]

    common = {
        *("id", "collection", "collection_id", "state", "progress", "held_because", "modality"),
        *("body_part", "made_up", "protocol", "created_at", "own_read"),
    }
    assert set(opened) == common | {
        "images", "messages", "reviews", "checked", "found_text", "study_day",
    }  # fmt: skip
    assert set(row) == common | {"image_count", "frame_count", "checked"}
    assert RFC3339_UTC.fullmatch(opened["created_at"])
    assert (opened["state"], opened["progress"]) == ("admitted", "todo")


async def test_frames_are_the_stored_rows_and_may_be_kept_but_not_used_unasked(
    place: Place, case: Case
) -> None:
    image = place.world.image_of(case)
    async with place.program(Role.READER) as reader:
        geometry = (await reader.get(f"{API}/images/{image.id}")).json()
        first = await reader.get(f"{API}/images/{image.id}/frames/0")
        etag = {"if-none-match": first.headers["etag"]}
        again = await reader.get(f"{API}/images/{image.id}/frames/0", headers=etag)
        second = await reader.get(f"{API}/images/{image.id}/frames/1", headers=etag)
        beyond = await reader.get(f"{API}/images/{image.id}/frames/2")
        before = await reader.get(f"{API}/images/{image.id}/frames/-1")

    assert (geometry["rows"], geometry["columns"], geometry["dtype"]) == (8, 8, "uint8")
    assert first.content == bytes(range(64))
    assert first.headers["content-type"] == "application/octet-stream"
    assert first.headers["cache-control"] == "private, no-cache"
    assert (again.status_code, again.content) == (304, b"")
    assert (second.status_code, second.content) == (200, bytes(64))
    assert [beyond.status_code, before.status_code] == [404, 404]


async def test_a_draft_has_sentences_from_zero_and_the_notice(place: Place, draft: Draft) -> None:
    async with place.program(Role.READER) as reader:
        answer = (await reader.get(f"{API}/drafts/{draft.id}")).json()

    assert [(s["index"], s["text"]) for s in answer["sentences"]] == [
        (0, "The heart is enlarged."),
        (1, "There is a right effusion."),
    ]
    assert answer["notice"] == "draft – not for clinical use"
    assert set(Draft.model_fields) - {"shown_text"} <= set(answer) | {"shown_text"}


@pytest.mark.parametrize(
    ("review", "verdict"),
    [
        pytest.param({}, "accept_as_is", id="nothing said"),
        pytest.param({"verdict": "reject"}, "reject", id="rejected"),
        pytest.param({"final_text": "No effusion."}, "minor_edit", id="rewritten"),
        pytest.param({"missing": [{"text": "Nodule."}]}, "major_edit", id="something missing"),
        pytest.param(
            {"sentences": [{"index": 0, "ok": False, "error": "incorrect_location"}]},
            "minor_edit",
            id="a wrong sentence",
        ),
    ],
)
async def test_a_review_returns_id_revision_and_verdict(
    place: Place, draft: Draft, review: dict[str, Any], verdict: str
) -> None:
    async with place.program(Role.READER) as reader:
        answer = await reader.post(f"{API}/drafts/{draft.id}/reviews", json=_review(**review))

    assert answer.status_code == 201
    assert set(answer.json()) == {"id", "revision", "verdict"}
    assert (answer.json()["revision"], answer.json()["verdict"]) == (1, verdict)


async def test_two_windows_cannot_overwrite_each_other(place: Place, draft: Draft) -> None:
    address = f"{API}/drafts/{draft.id}/reviews"
    async with place.program(Role.READER) as reader:
        first = _review(final_text="One.")
        assert (await reader.post(address, json=first)).json()["revision"] == 1
        stale = await reader.post(address, json=_review(final_text="Two."))
        repeated = await reader.post(address, json=first)
        other = await reader.post(address, json={**first, "final_text": "Three."})
        next_one = await reader.post(address, json=_review(final_text="Two.", based_on_revision=1))

    assert (stale.status_code, stale.json()["error"]["code"]) == (409, "stale_revision")
    assert (repeated.status_code, repeated.json()["revision"]) == (201, 1)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_conflict")
    assert next_one.json()["revision"] == 2


async def test_an_own_read_is_committed_once(place: Place, case: Case) -> None:
    address = f"{API}/cases/{case.id}/own-reads"
    finding = {"finding": "effusion", "state": "present", "side": "right", "confidence": 4}
    body = {"idempotency_key": "o1", "text": "Effusion.", "findings": [finding], "confidence": 4}
    async with place.program(Role.TRAINEE) as trainee:
        first = await trainee.post(address, json=body)
        again = await trainee.post(address, json=body)
        other = await trainee.post(address, json={**body, "idempotency_key": "o2"})

    assert first.status_code == 201
    assert again.json() == first.json()
    assert (other.status_code, other.json()["error"]["code"]) == (409, "own_read_committed")


async def test_a_trainee_reviews_in_teaching_collections_only(place: Place, case: Case) -> None:
    draft = place.world.make_draft(case, place.people[Role.TRAINEE])
    async with place.program(Role.TRAINEE) as trainee:
        answer = await trainee.post(f"{API}/drafts/{draft.id}/reviews", json=_review())

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_allowed")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "cases/{case}/own-reads", {"text": "x"}),
        ("POST", "cases/{case}/own-reads", {"idempotency_key": "k", "text": 7}),
        ("POST", "cases/{case}/own-reads", {"idempotency_key": "k", "text": "x", "zz": 1}),
        ("POST", "cases/{case}/own-reads", {"idempotency_key": "k", "text": "\u0000"}),
        ("POST", "cases/{case}/questions", {"idempotency_key": "k", "text": "x", "choices": "a"}),
        ("POST", "drafts/{draft}/reviews", {"idempotency_key": "k", "based_on_revision": "0"}),
        ("POST", "drafts/{draft}/reviews", {"idempotency_key": "k", "based_on_revision": True}),
        (
            "POST",
            "drafts/{draft}/reviews",
            {"idempotency_key": "k", "based_on_revision": 0, "sentences": [{"index": 99}]},
        ),
        ("PUT", "cases/{case}/progress", {"content": [1]}),
        ("GET", "cases?limit=0", None),
        ("GET", "cases?limit=many", None),
        ("GET", "cases?state=unheard-of", None),
        ("GET", "cases?cursor=%00", None),
    ],
)
async def test_wrong_input_is_refused_in_one_shape_and_not_repeated(
    place: Place, draft: Draft, method: str, path: str, body: dict[str, Any] | None
) -> None:
    address = f"{API}/{path.format(case=draft.case_id, draft=draft.id)}"
    async with place.program(Role.READER) as reader:
        answer = await reader.request(method, address, json=body)

    assert answer.status_code == 422
    assert set(answer.json()) == {"error"}
    assert set(answer.json()["error"]) == {"code", "message"}
    assert "unheard-of" not in answer.text
    assert "zz" not in answer.text


async def test_exports_are_refused_for_unknown_formats(place: Place) -> None:
    async with place.program(Role.ADMIN) as admin:
        answer = await admin.post(f"{API}/exports", json={"format": "xml"})
        nothing = await admin.get(f"{API}/exports/{uuid4()}/files/../../keys.json")
        no_zip = await admin.get(f"{API}/exports/{uuid4()}/files/export.zip")

    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_request")
    assert nothing.status_code == 404
    assert (no_zip.status_code, no_zip.json()["error"]["code"]) == (404, "not_found")


async def test_not_yours_and_not_there_are_one_answer(place: Place) -> None:
    accounts = place.services.accounts
    elsewhere = place.world.make_collection()
    case = place.world.make_case(elsewhere, place.people[Role.ADMIN])
    draft = place.world.make_draft(case, place.people[Role.ADMIN])
    image = place.world.image_of(case)
    made_up = UUID(int=1)
    doors = {
        case.id: ("cases/{}", "cases/{}/progress"),
        image.id: ("images/{}", "images/{}/frames/0"),
        draft.id: ("drafts/{}",),
    }
    assert accounts.operator().role is Role.ADMIN
    for role in (Role.TRAINEE, Role.READER, Role.ADJUDICATOR):
        async with place.program(role) as outsider:
            for thing, paths in doors.items():
                for path in paths:
                    theirs = await outsider.get(f"{API}/{path.format(thing)}")
                    nobodys = await outsider.get(f"{API}/{path.format(made_up)}")
                    assert theirs.status_code == nobodys.status_code == 404
                    assert theirs.json() == nobodys.json()
            posts: list[tuple[str, dict[str, Any]]] = [
                ("cases/{}/own-reads", {"idempotency_key": "k", "text": "x"}),
                ("cases/{}/questions", {"idempotency_key": "k", "text": "x"}),
            ]
            for path, body in posts:
                theirs = await outsider.post(f"{API}/{path.format(case.id)}", json=body)
                nobodys = await outsider.post(f"{API}/{path.format(made_up)}", json=body)
                assert theirs.status_code == nobodys.status_code == 404
                assert theirs.json() == nobodys.json()


async def test_health_says_what_is_up(place: Place) -> None:
    async with place.visitor() as visitor:
        live = await visitor.get(f"{API}/health/live")
    async with place.program(Role.TRAINEE) as trainee:
        ready = await trainee.get(f"{API}/health/ready")

    assert (live.status_code, live.json()) == (200, {"status": "live"})
    assert ready.status_code == 200
    assert {k: ready.json()[k] for k in ("ready", "database", "blobs", "worker")} == {
        "ready": True,
        "database": True,
        "blobs": True,
        "worker": True,
    }


async def test_the_description_names_every_route_and_no_other(place: Place) -> None:
    async with place.program(Role.TRAINEE) as trainee:
        described: dict[str, Any] = (await trainee.get(f"{API}/openapi.json")).json()

    named = {
        (method.upper(), re.sub(r":path", "", path))
        for path, methods in described["paths"].items()
        for method in methods
    }
    expected = {(r.method, r.path.replace(":path", "")) for r in API_ROUTES}
    assert named == expected - {("GET", f"{API}/openapi.json")}
    assert "text/event-stream" in json.dumps(described)


async def test_uploads_are_bounded_and_leave_nothing_behind(place: Place) -> None:
    large = b"\x00" * (place.settings.max_upload_bytes + 1)
    async with place.program(Role.READER) as reader:
        answer = await reader.post(
            f"{API}/studies", files={"files": ("big", large)}, data={"collection": COLLECTION}
        )
        empty = await reader.post(f"{API}/studies", files={"files": ("none", b"")}, data={})
        nothing = await reader.post(f"{API}/studies", data={"collection": COLLECTION})

    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert (empty.status_code, empty.json()["error"]["code"]) == (422, "invalid_request")
    assert nothing.status_code == 422
    tmp = place.settings.data_dir / "tmp"
    assert not tmp.exists() or list(tmp.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing in it"),
        pytest.param(b"hello, this is a text", id="not an image"),
        pytest.param(b"\x00" * 128 + b"DICM" + b"\x02\x00", id="a cut DICOM file"),
        pytest.param(b"%PDF-1.7 ...", id="a PDF"),
    ],
)
async def test_a_bad_file_is_an_outcome_with_a_code(place: Place, content: bytes) -> None:
    files = [("files", ("scan SMITH^JOHN.dcm", content)), ("files", ("second", content))]
    async with place.program(Role.READER) as reader:
        answer = await reader.post(
            f"{API}/studies", files=files, data={"collection": COLLECTION}, timeout=60
        )

    assert answer.status_code == 200
    first, second = answer.json()["items"]
    assert set(first) == {"file", "outcome", "code", "message", "case_id"}
    assert (first["outcome"], first["case_id"]) == ("refused", None)
    assert first["code"] == second["code"] != ""
    assert "SMITH" not in first["message"]


async def test_a_stream_is_not_for_other_methods(place: Place, case: Case) -> None:
    async with place.program(Role.READER) as reader:
        answers: list[httpx.Response] = [
            await reader.request(method, f"{API}/cases/{case.id}/questions")
            for method in ("GET", "PUT", "DELETE", "OPTIONS", "PATCH")
        ]

    assert [answer.status_code for answer in answers] == [404] * 5
