"""Which worker answers: one elsewhere, the running `serve`'s, or one of our own.

A running `serve` leaves its worker's address and key in the data folder, readable by this
account alone, so that `overread ask` need not load the model a second time.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inference.client import WorkerClient
from inference.errors import InferenceError, WorkerUnavailableError
from inference.protocol import Ask, Finished, ServedModel, Token, WorkerHealth
from webapp.cli.output import CommandError
from webapp.cli.supervisor import Address, Supervisor, worker_program
from webapp.settings import WebSettings

PATIENCE_SECONDS: Final = 180.0  # a large model loads that long; a small one, two seconds
PREFIX: Final = "OVERREAD_"


@dataclass(frozen=True, slots=True)
class Supervised:
    """The embedded worker: its client, and what its supervisor knows when it is down."""

    client: WorkerClient
    supervisor: Supervisor

    async def stream(self, ask: Ask) -> AsyncGenerator[Token | Finished, None]:
        """Ask it; see `WorkerClient.stream`."""
        try:
            async with aclosing(self.client.stream(ask)) as answer:
                async for item in answer:
                    yield item
        except WorkerUnavailableError as error:
            if self.supervisor.reason:
                raise WorkerUnavailableError(self.supervisor.reason) from error
            raise

    async def battery(
        self, asks: Sequence[Ask]
    ) -> AsyncGenerator[tuple[int, Finished | InferenceError], None]:
        """Ask it several; see `WorkerClient.battery`. What it died of is each one's error."""
        async with aclosing(self.client.battery(asks)) as results:
            async for index, result in results:
                if isinstance(result, WorkerUnavailableError) and self.supervisor.reason:
                    yield index, WorkerUnavailableError(self.supervisor.reason)
                else:
                    yield index, result

    async def models(self) -> list[ServedModel]:
        """List what it serves; see `WorkerClient.models`."""
        return await self.client.models()

    async def health(self) -> WorkerHealth:
        """Say how it is; a dead one has the reason of its death."""
        health = await self.client.health()
        if health.state != "unreachable":
            return health
        if self.supervisor.reason:
            return WorkerHealth("failed", self.supervisor.reason)
        return WorkerHealth("loading")

    async def aclose(self) -> None:
        """Close the connections to it."""
        await self.client.aclose()


Worker = WorkerClient | Supervised


@contextmanager
def serving_worker(settings: WebSettings) -> Iterator[Worker]:
    """Yield the worker of `serve`; an embedded one is announced in the data folder."""
    if settings.worker_url is not None:
        yield _elsewhere(settings)
        return
    with _embedded(settings) as (worker, address):
        note = _note_file(settings)
        try:
            _write_note(note, address)
            yield worker
        finally:
            note.unlink(missing_ok=True)


@contextmanager
def any_worker(settings: WebSettings, note: Callable[[str], None]) -> Iterator[Worker]:
    """Yield a worker that answers, wherever it is; start one if there is none.

    Raises:
        CommandError: the model could not be loaded here.
    """
    found = _elsewhere(settings) if settings.worker_url is not None else _running(settings)
    if found is not None:
        yield found
        return
    note("Loading the model …")
    with _embedded(settings) as (worker, address):
        _await_ready(worker, address)
        yield worker


def worker_state(settings: WebSettings) -> WorkerHealth | None:
    """Return how the worker is; None when there is none elsewhere and `serve` does not run."""
    client = _elsewhere(settings) if settings.worker_url is not None else _running(settings)
    return None if client is None else asyncio.run(_health_of(client))


async def _health_of(client: WorkerClient) -> WorkerHealth:
    try:
        return await client.health()
    finally:
        await client.aclose()


def _elsewhere(settings: WebSettings) -> WorkerClient:
    key = settings.worker_key
    return WorkerClient(str(settings.worker_url), None if key is None else key.get_secret_value())


@contextmanager
def _embedded(settings: WebSettings) -> Iterator[tuple[Supervised, Address]]:
    address = Address.choose()
    program = worker_program(settings.model, address.port)
    if program is None:
        raise CommandError(
            "The model worker is not installed here. Install it with `pip install "
            "'overread[worker]'`, or set OVERREAD_WORKER_URL to a server that runs a model."
        )
    environment = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
    supervisor = Supervisor(
        program,
        environment={**environment, "OVERREAD_WORKER_KEY": address.key},
        echo=sys.stderr if settings.log_level in {"debug", "info"} else None,
    )
    supervisor.start()
    try:
        yield Supervised(WorkerClient(address.url, address.key), supervisor), address
    finally:
        supervisor.stop()


def _await_ready(worker: Supervised, address: Address) -> None:
    async def wait() -> WorkerHealth:
        client = WorkerClient(address.url, address.key)
        until = time.monotonic() + PATIENCE_SECONDS
        try:
            while (health := await client.health()).state != "ready":
                if worker.supervisor.reason or health.state == "failed":
                    return WorkerHealth("failed", health.reason or worker.supervisor.reason)
                if time.monotonic() > until:
                    return WorkerHealth("failed", "it took too long to load")
                await asyncio.sleep(0.1)
            return health
        finally:
            await client.aclose()

    health = asyncio.run(wait())
    if health.state != "ready":
        raise CommandError(f"The model could not be started: {health.reason}")


def _note_file(settings: WebSettings) -> Path:
    return settings.data_dir / "worker.json"


def _write_note(path: Path, address: Address) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({"pid": os.getpid(), "port": address.port, "key": address.key}, file)


def _running(settings: WebSettings) -> WorkerClient | None:
    """Return the worker of a `serve` that runs on this data folder."""
    try:
        found = json.loads(_note_file(settings).read_text())
        os.kill(found["pid"], 0)  # a note may outlive a `serve` that was killed
        return WorkerClient(Address(found["port"], found["key"]).url, found["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
