"""Own reads stand for ever; half-written work is kept until it is finished."""

from typing import Any

import pytest

from storage.errors import AlreadyCommittedError, IdempotencyConflictError, NotFoundError
from storage.tables import OwnRead
from storage.vocabulary import CaseState, Role
from tests.unit.services.world import NOBODY, World, done, on_both_databases, refused
from webapp.services.errors import (
    CaseRefusedError,
    HeldError,
    InvalidRequestError,
    NotSignedInError,
)
from webapp.services.reading import Reading

FINDING = {"finding": "effusion", "state": "present", "side": "right", "confidence": 4}


@pytest.fixture
def reading(world: World) -> Reading:
    return Reading(world.store, world.clock)


def test_own_read_is_kept_as_it_was_written(world: World, reading: Reading) -> None:
    trainee = world.make_actor(Role.TRAINEE)
    case = world.make_case(world.make_collection(trainee), trainee)
    view = reading.commit_own_read(
        trainee,
        case.id,
        text="Right effusion.\r\nElse normal.",
        findings=[FINDING, {"finding": "pneumothorax", "state": "absent"}],
        confidence=4,
        idempotency_key="k",
    )
    assert view.text == "Right effusion.\nElse normal."
    assert view.findings == (
        FINDING,
        {"finding": "pneumothorax", "state": "absent", "side": None, "confidence": None},
    )
    assert (view.confidence, view.committed_at) == (4, world.clock())
    assert world.events() == [done("own_read.committed")]
    assert world.last_event().object_id == str(case.id)


@on_both_databases
def test_same_call_twice_gives_the_first_result(world: World, reading: Reading) -> None:
    reader = world.make_actor(Role.READER)
    case = world.make_case(world.make_collection(reader), reader)
    first, second = (
        reading.commit_own_read(
            reader, case.id, text="Normal.", findings=[FINDING], idempotency_key="k"
        )
        for _ in range(2)
    )
    assert first == second
    assert len(world.rows(OwnRead)) == 1


def test_same_key_with_another_text_is_refused(world: World, reading: Reading) -> None:
    reader = world.make_actor(Role.READER)
    case = world.make_case(world.make_collection(reader), reader)
    reading.commit_own_read(reader, case.id, text="Normal.", idempotency_key="k")
    with pytest.raises(IdempotencyConflictError):
        reading.commit_own_read(reader, case.id, text="Effusion.", idempotency_key="k")
    assert [row.text for row in world.rows(OwnRead)] == ["Normal."]


def test_second_own_read_is_refused(world: World, reading: Reading) -> None:
    reader, colleague = world.make_actor(Role.READER), world.make_actor(Role.READER)
    case = world.make_case(world.make_collection(reader, colleague), reader)
    reading.commit_own_read(reader, case.id, text="Normal.", idempotency_key="k")
    with pytest.raises(AlreadyCommittedError):
        reading.commit_own_read(reader, case.id, text="Normal.", idempotency_key="other")
    reading.commit_own_read(colleague, case.id, text="Effusion.", idempotency_key="k")
    assert len(world.rows(OwnRead)) == 2
    assert refused("own_read.committed", "own_read_committed") in world.events()


@pytest.mark.parametrize(
    ("state", "error"),
    [(CaseState.HELD, HeldError), (CaseState.CHECKING, HeldError),
     (CaseState.REFUSED, CaseRefusedError)],
)  # fmt: skip
def test_case_that_is_not_admitted_is_not_read(
    world: World, reading: Reading, state: CaseState, error: type[Exception]
) -> None:
    reader = world.make_actor(Role.READER)
    case = world.make_case(world.make_collection(reader), reader, state=state)
    with pytest.raises(error):
        reading.commit_own_read(reader, case.id, text="Normal.", idempotency_key="k")
    assert world.rows(OwnRead) == []


def test_foreign_unknown_and_signed_out_write_nothing(world: World, reading: Reading) -> None:
    reader, other = world.make_actor(Role.READER), world.make_actor(Role.READER)
    case = world.make_case(world.make_collection(other), other)
    for case_id in (case.id, NOBODY):
        with pytest.raises(NotFoundError):
            reading.commit_own_read(reader, case_id, text="Normal.", idempotency_key="k")
        with pytest.raises(NotFoundError):
            reading.save_progress(reader, case_id, {"text": "x"})
        with pytest.raises(NotFoundError):
            reading.progress(reader, case_id)
    with pytest.raises(NotSignedInError):
        reading.commit_own_read(None, case.id, text="Normal.", idempotency_key="k")
    assert world.rows(OwnRead) == []


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"text": "  "}, id="nothing said"),
        pytest.param({"text": "a\x00b"}, id="NUL"),
        pytest.param({"text": "a\ud800b"}, id="lone surrogate"),
        pytest.param({"text": "x" * 20_001}, id="too long"),
        pytest.param({"text": 5}, id="no text"),
        pytest.param({"findings": [{"finding": "a\u202eb"}]}, id="finding that runs backwards"),
        pytest.param({"findings": [{"finding": "a\nb"}]}, id="finding of two lines"),
        pytest.param({"confidence": 0}, id="confidence 0"),
        pytest.param({"confidence": 6}, id="confidence 6"),
        pytest.param({"confidence": True}, id="confidence true"),
        pytest.param({"confidence": 2.5}, id="confidence 2.5"),
        pytest.param({"idempotency_key": ""}, id="no key"),
        pytest.param({"idempotency_key": "k" * 129}, id="key too long"),
        pytest.param({"findings": [{"state": "present"}]}, id="finding without a name"),
        pytest.param({"findings": [{"finding": "x", "state": "maybe"}]}, id="unknown state"),
        pytest.param({"findings": [{"finding": "x", "side": "up"}]}, id="unknown side"),
        pytest.param({"findings": [{"finding": "x", "sied": "left"}]}, id="unknown field"),
        pytest.param({"findings": ["x"]}, id="finding that is no object"),
        pytest.param({"findings": "x"}, id="findings that are no list"),
        pytest.param({"findings": [FINDING] * 101}, id="too many findings"),
    ],
)
def test_bad_own_read_is_refused(world: World, reading: Reading, fields: dict[str, Any]) -> None:
    reader = world.make_actor(Role.READER)
    case = world.make_case(world.make_collection(reader), reader)
    given = {"text": "Normal.", "idempotency_key": "k", **fields}
    with pytest.raises(InvalidRequestError):
        reading.commit_own_read(reader, case.id, **given)
    assert world.rows(OwnRead) == []
    assert world.events()[-1] == refused("own_read.committed", "invalid_request")


def test_findings_alone_are_a_read(world: World, reading: Reading) -> None:
    reader = world.make_actor(Role.READER)
    case = world.make_case(world.make_collection(reader), reader)
    view = reading.commit_own_read(
        reader, case.id, text="", findings=[FINDING], idempotency_key="k"
    )
    assert view.text == ""


def test_identity_typed_into_a_read_is_flagged(world: World, reading: Reading) -> None:
    reader = world.make_actor(Role.READER)
    case = world.make_case(world.make_collection(reader), reader)
    reading.commit_own_read(reader, case.id, text="Mrs Jones has it.", idempotency_key="k")
    assert [flag["rule"] for flag in world.rows(OwnRead)[0].flags] == ["identifier.name"]


@on_both_databases
def test_half_written_work_is_found_again_by_its_writer(world: World, reading: Reading) -> None:
    ada, ben = world.make_actor(Role.READER), world.make_actor(Role.READER)
    case = world.make_case(world.make_collection(ada, ben), ada)
    assert reading.progress(ada, case.id) is None
    reading.save_progress(ada, case.id, {"text": "Right eff"})
    world.clock.forward(seconds=5)
    reading.save_progress(ada, case.id, {"text": "Right effusion", "marks": [{"index": 0}]})
    assert reading.progress(ada, case.id) == {"text": "Right effusion", "marks": [{"index": 0}]}
    assert reading.progress(ben, case.id) is None


@pytest.mark.parametrize(
    "content",
    [
        pytest.param([], id="list"),
        pytest.param({"x": "y" * 300_000}, id="too large"),
        pytest.param({"x": float("nan")}, id="NaN"),
        pytest.param({"x": float("inf")}, id="infinity"),
        pytest.param({"x": "\x00"}, id="NUL"),
        pytest.param({"\ud800": 1}, id="surrogate in a name"),
        pytest.param({"x": object()}, id="no JSON"),
    ],
)
def test_half_written_work_that_cannot_be_stored_is_refused(
    world: World, reading: Reading, content: dict[str, Any]
) -> None:
    reader = world.make_actor(Role.READER)
    case = world.make_case(world.make_collection(reader), reader)
    reading.save_progress(reader, case.id, {"kept": True})
    with pytest.raises(InvalidRequestError):
        reading.save_progress(reader, case.id, content)
    assert reading.progress(reader, case.id) == {"kept": True}


def test_deep_nesting_is_refused(world: World, reading: Reading) -> None:
    reader = world.make_actor(Role.READER)
    case = world.make_case(world.make_collection(reader), reader)
    content: dict[str, Any] = {}
    for _ in range(5_000):
        content = {"x": content}
    with pytest.raises(InvalidRequestError):
        reading.save_progress(reader, case.id, content)
