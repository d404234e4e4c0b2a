"""Answers held to a JSON schema, whatever the model would rather say."""

import hashlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.errors import AnswerFailedError, RequestRefusedError, WorkerBusyError
from inference.worker.engine.engine import Engine
from inference.worker.engine.grammars import MAX_WAITING, Grammars
from tests.unit.worker.conftest import SMALL, StartEngine
from tests.unit.worker.fake import EOS, FIRST_BYTE, SIZE, FakeModel
from tests.unit.worker.receiving import Receiver
from tests.unit.worker.samples import question

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "finding": {"enum": ["absent", "present", "größer"]},
        "percent": {"type": "integer", "minimum": 0, "maximum": 100},
        "why": {"type": "string", "maxLength": 12},
        "sizes": {"type": "array", "items": {"type": "number"}, "maxItems": 2},
    },
    "required": ["finding", "why"],
}
TEXT = json.dumps(SCHEMA)
STRING = json.dumps({"type": "string"})
# Compiles for ever: lists of lists of long strings.
HOSTILE = json.dumps(
    {
        "type": "array",
        "maxItems": 1000,
        "items": {
            "type": "array",
            "maxItems": 1000,
            "items": {"type": "string", "maxLength": 1000},
        },
    }
)


@pytest.fixture(scope="module")
def held() -> Iterator[Engine]:
    """An engine for all examples of a property; its model may end an answer by itself."""
    torch.set_num_threads(1)
    engine = Engine(FakeModel(), SMALL)
    engine.start()
    yield engine
    engine.stop(drain_seconds=0.0)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), temperature=st.sampled_from([0.0, 0.7, 2.0]))
def test_a_finished_answer_parses_and_validates(
    held: Engine, seed: int, temperature: float
) -> None:
    ask = question(f"number {seed}", max_tokens=60, temperature=temperature, seed=seed)
    ended = Receiver(held, replace(ask, json_schema=TEXT)).ended()
    if ended.finish_reason == "stop":
        jsonschema.validate(json.loads(ended.text), SCHEMA)
    else:
        assert (ended.finish_reason, len(ended.token_ids)) == ("length", 60)


def test_an_answer_ends_where_nothing_may_follow(held: Engine) -> None:
    schema = json.dumps({"const": "present"})
    ended = Receiver(held, replace(question("Is it?", 1), json_schema=schema)).ended()
    assert (ended.text, ended.finish_reason) == ('"present"', "stop")
    assert EOS not in ended.token_ids


def test_an_answer_that_could_go_on_ends_with_the_models_own_end(held: Engine) -> None:
    schema = json.dumps({"type": "integer"})
    seen = [
        Receiver(
            held, replace(question("n", temperature=2.0, seed=seed), json_schema=schema)
        ).ended()
        for seed in range(12)
    ]
    assert any(each.token_ids[-1] == EOS for each in seen)
    assert all(isinstance(json.loads(each.text), int) for each in seen)


def test_the_record_says_which_schema(held: Engine) -> None:
    receiver = Receiver(held, replace(question("n", max_tokens=4), json_schema=TEXT))
    receiver.ended()
    sha256 = hashlib.sha256(TEXT.encode()).hexdigest()
    assert receiver.ticket.rule.as_dict()["json_schema_sha256"] == sha256


def test_answers_with_and_without_a_schema_share_a_batch(held: Engine) -> None:
    free = question("talk", 1, max_tokens=20)
    alone = Receiver(held, free).ended().text
    bound = replace(question("talk", 1, max_tokens=60), json_schema=TEXT)
    receivers = [Receiver(held, ask) for ask in (free, bound, free, bound)]
    ended = [receiver.ended() for receiver in receivers]
    assert (ended[0].text, ended[2].text) == (alone, alone)
    assert ended[1].text == ended[3].text
    assert ended[1].text.lstrip().startswith("{")


def test_no_number_that_is_none_is_taken(start_engine: StartEngine) -> None:
    class Broken(FakeModel):
        def logits(self, hidden: torch.Tensor) -> torch.Tensor:
            return super().logits(hidden) * float("nan")

    with pytest.raises(AnswerFailedError):
        start_engine(Broken()).answer(replace(question("n"), json_schema=STRING))


@pytest.mark.parametrize(
    "more",
    [pytest.param({"choices": ("a",)}, id="choices"), pytest.param({"stop": ("a",)}, id="stop")],
)
def test_a_schema_excludes_other_wishes(held: Engine, more: dict[str, Any]) -> None:
    with pytest.raises(RequestRefusedError, match="excludes"):
        held.answer(replace(question("n"), json_schema=TEXT, **more))


def test_a_model_whose_tokens_are_unknown_refuses_schemas(start_engine: StartEngine) -> None:
    class Silent(FakeModel):
        def token_bytes(self) -> list[bytes | None]:
            return []

    with pytest.raises(RequestRefusedError, match="held to a schema"):
        start_engine(Silent()).answer(replace(question("n"), json_schema=TEXT))


def test_half_a_character_is_never_the_end() -> None:
    path = Grammars(FakeModel()).begin(STRING)
    likes = torch.zeros(SIZE)
    for text, wanted in (
        (b'"', True),
        (b"\xc3", True),
        (b'"', False),
        (b"\xa9", True),
        (b'"', True),
    ):
        token_id = FIRST_BYTE + text[0]
        likes[:] = 0
        likes[token_id] = 1
        allowed = path.restrict(likes)
        assert bool(torch.isfinite(allowed[token_id])) == wanted
        if wanted:
            path.advance(token_id)
    assert path.complete


def test_a_schema_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[bytes] = []
    run = subprocess.run

    def counted(*arguments: Any, **more: Any) -> Any:  # noqa: ANN401  # subprocess.run's
        ran.append(more["input"])
        return run(*arguments, **more)

    monkeypatch.setattr(subprocess, "run", counted)
    grammars = Grammars(FakeModel())
    for schema in (STRING, TEXT, STRING, TEXT):
        grammars.begin(schema)
    assert len(ran) == 2


def test_a_hostile_schema_holds_nobody_up_and_is_refused(start_engine: StartEngine) -> None:
    engine = start_engine(FakeModel(eos=False))
    refused: list[str] = []

    def ask() -> None:
        try:
            engine.answer(replace(question("n"), json_schema=HOSTILE))
        except RequestRefusedError as error:
            refused.append(str(error))

    asking = threading.Thread(target=ask)
    asking.start()
    while asking.is_alive():
        assert Receiver(engine, question("beside", max_tokens=3)).ended().finish_reason == "length"
    assert "too many different" in refused[0]
    ask()  # known by now: refused without compiling
    assert refused[0] == refused[1]


def test_few_wait_for_a_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    grammars = Grammars(FakeModel())
    enough, go_on = threading.Semaphore(0), threading.Event()

    def slow(*_arguments: Any, **_more: Any) -> subprocess.CompletedProcess[bytes]:  # noqa: ANN401
        enough.release()
        go_on.wait(20)
        return subprocess.CompletedProcess([sys.executable], 1, b"", b"")

    monkeypatch.setattr(subprocess, "run", slow)

    def ask(number: int) -> None:
        with pytest.raises(RequestRefusedError):
            grammars.begin(json.dumps({"const": number}))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(MAX_WAITING)]
    for thread in threads:
        thread.start()
    assert enough.acquire(timeout=20)
    deadline = time.monotonic() + 20
    while grammars.waiting < MAX_WAITING:
        assert time.monotonic() < deadline
    with pytest.raises(WorkerBusyError):
        grammars.begin(STRING)
    go_on.set()
    for thread in threads:
        thread.join()
