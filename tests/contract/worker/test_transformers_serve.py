"""The web side against `transformers serve`, a server of somebody else's, on a model we exported.

Random weights say nothing sensible, and what they say has to arrive all the same.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from safetensors.torch import load_file, save_file

from inference.client import WorkerClient
from inference.errors import ChoicesNotKeptError, RequestRefusedError, WorkerUnavailableError
from inference.protocol import Ask, Decoding, Finished, Turn, WorkerHealth
from inference.worker.export import export_vllm
from storage.blobs import BlobStore
from storage.engine import Store
from storage.keys import Keys
from storage.tables import Draft
from storage.vocabulary import FinishReason, Role
from tests.unit.families.conftest import import_golden
from tests.unit.services.world import World
from tests.unit.worker.samples import png
from webapp.services.asking import Asking
from webapp.services.views import DoneEvent, TokenEvent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # it imports the model libraries anew
PATIENCE = 250.0  # seconds
MODEL = "exported"
ENDLESS = 100_000  # tokens; more than the test has time for
BYTES_END = 3 + 256  # ids of the unknown, the first, the last, and the bytes
QUESTION = Turn("user", "Is the heart enlarged?", images=(png(1),))


@dataclass(frozen=True)
class Server:
    """A running `transformers serve`."""

    url: str
    process: "subprocess.Popen[str]"
    log: Path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the exported model and an empty hub cache."""
    folder = tmp_path_factory.mktemp("served")
    import_golden("llavamed", folder / "ours")
    export_vllm(folder / "ours", folder / MODEL)
    weights = folder / MODEL / "model.safetensors"
    tensors = load_file(weights)
    # No end and no single bytes: random ones are no UTF-8, at which the server's stream breaks off.
    tensors["language_model.lm_head.weight"][:BYTES_END] = 0.0
    save_file(tensors, weights, metadata={"format": "pt"})
    (folder / "hub").mkdir()
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    """Start the server once, and at the end kill it while it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_CACHE": str(folder / "hub"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": "1",
    }
    program = Path(sys.executable).with_name("transformers")
    arguments = ["serve", MODEL, "--host", "127.0.0.1", "--port", f"{port}", "--device", "cpu"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(  # noqa: S603  # the installed program
            [program, *arguments], cwd=folder, env=environment, stdout=log, stderr=log, text=True
        )
    server = Server(f"http://127.0.0.1:{port}", process, folder / "log")
    try:
        _await_health(server)
        yield server
        asyncio.run(_killed_while_it_answers(server))
    finally:
        process.kill()
        process.wait()


def _await_health(server: Server) -> None:
    deadline = time.monotonic() + PATIENCE
    with httpx.Client(base_url=server.url) as http:
        while True:
            try:
                http.get("/health").raise_for_status()
            except httpx.HTTPError:
                assert server.process.poll() is None, server.log.read_text()
                assert time.monotonic() < deadline, server.log.read_text()
                time.sleep(0.2)
            else:
                return


async def _killed_while_it_answers(server: Server) -> None:
    client = WorkerClient(server.url)
    async with aclosing(client.stream(_ask(QUESTION, tokens=ENDLESS))) as answer:
        await anext(answer)
        server.process.kill()
        with pytest.raises(WorkerUnavailableError, match=r"connection broke|broke off"):
            async for _ in answer:
                pass
    await asyncio.to_thread(server.process.wait)
    with pytest.raises(WorkerUnavailableError, match="nothing answers"):
        await client.models()
    await client.aclose()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[WorkerClient]:
    client = WorkerClient(server.url)
    yield client
    await client.aclose()


def _ask(*turns: Turn, tokens: int = 8, choices: tuple[str, ...] = ()) -> Ask:
    return Ask(turns, decoding=Decoding(max_tokens=tokens, temperature=0.0), choices=choices)


async def _answer(client: WorkerClient, ask: Ask) -> tuple[str, Finished]:
    said = ""
    async with aclosing(client.stream(ask)) as answer:
        async for item in answer:
            if isinstance(item, Finished):
                return said, item
            said += item.text
    raise AssertionError("the answer has no end")


async def test_a_picture_is_asked_about_and_what_is_not_reported_stays_unknown(
    client: WorkerClient,
) -> None:
    said, finished = await _answer(client, _ask(QUESTION))
    assert said == finished.text != ""
    assert finished.finish_reason == "length"
    made = finished.provenance
    assert made.model == f"{MODEL}@main"
    assert made.completion_tokens == 8
    assert made.prompt_tokens is not None
    assert made.prompt_tokens > 9  # positions of the picture
    assert (made.family, made.weights_sha256, made.engine, made.rendered_prompt) == (None,) * 4
    other, _ = await _answer(client, _ask(Turn("user", QUESTION.text, images=(png(2),))))
    assert other != said


async def test_a_system_text_reaches_the_prompt_and_a_conversation_goes_on(
    client: WorkerClient,
) -> None:
    bare, short = await _answer(client, _ask(QUESTION))
    _, longer = await _answer(client, _ask(Turn("system", "Say what is unsure."), QUESTION))
    assert short.provenance.prompt_tokens is not None
    assert longer.provenance.prompt_tokens is not None
    assert longer.provenance.prompt_tokens > short.provenance.prompt_tokens
    turns = (QUESTION, Turn("assistant", bare or "."), Turn("user", "And the lungs?"))
    _, last = await _answer(client, _ask(*turns))
    assert last.finish_reason == "length"


async def test_it_lists_the_hubs_cache_and_not_what_it_serves(client: WorkerClient) -> None:
    assert await client.models() == []
    assert await client.health() == WorkerHealth("ready")


async def test_choices_are_refused_because_it_has_none(client: WorkerClient) -> None:
    with pytest.raises(ChoicesNotKeptError, match="does not keep to the answers"):
        await _answer(client, _ask(QUESTION, choices=("present", "absent")))


async def test_leaving_stops_the_computation(client: WorkerClient, server: Server) -> None:
    async with aclosing(client.stream(_ask(QUESTION, tokens=ENDLESS))) as answer:
        await anext(answer)
    said, finished = await _answer(client, _ask(QUESTION, tokens=1))  # one question at a time:
    assert said  # the next is answered only once the last is given up
    assert finished.provenance.completion_tokens == 1
    assert server.process.poll() is None


async def test_another_model_is_refused_without_repeating_anything(client: WorkerClient) -> None:
    with pytest.raises(RequestRefusedError, match="HTTP 400") as caught:
        await _answer(client, Ask((Turn("user", "Mrs Canary"),), model="another"))
    assert "Canary" not in str(caught.value)


async def test_what_it_cannot_read_is_an_error_without_its_text(client: WorkerClient) -> None:
    with pytest.raises(WorkerUnavailableError, match="HTTP 500"):
        await _answer(client, _ask(Turn("user", "?", images=(b"Mrs Canary",))))


async def test_a_question_about_a_case_becomes_a_draft(
    client: WorkerClient, tmp_path: Path, migrated_sqlite: Path
) -> None:
    store = Store.open(f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'overread.db')}")
    world = World(store, BlobStore(tmp_path / "blobs", Keys.derive(b"k" * 32)))
    reader = world.make_actor(Role.READER)
    case = world.make_case(world.make_collection(reader), reader)
    asking = Asking(store, world.blobs, world.clock, client, Decoding(max_tokens=6, temperature=0))
    events = [
        event
        async for event in asking.ask(reader, case.id, text="Effusion?", idempotency_key="one")
    ]
    assert isinstance(events[-1], DoneEvent)
    shown = "".join(event.text for event in events if isinstance(event, TokenEvent))
    assert shown == events[-1].draft.shown_text
    with pytest.raises(ChoicesNotKeptError):
        async for _ in asking.ask(
            reader, case.id, text="Effusion?", idempotency_key="two", choices=("yes", "no")
        ):
            pass
    (draft,) = world.rows(Draft)
    assert (draft.model_id, draft.family, draft.weights_sha256) == (f"{MODEL}@main", None, None)
    assert draft.finish_reason in {FinishReason.STOP, FinishReason.LENGTH}
    assert [turn["role"] for turn in draft.messages] == ["system", "user"]
    assert draft.choices is None
    store.close()
