"""All use cases of one installation, put together once and passed to whoever calls them."""

from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from inference.errors import InferenceError, WorkerUnavailableError
from inference.protocol import Ask, Finished, ServedModel, Token, WorkerHealth
from storage.audit_heads import Heads
from storage.blobs import BlobStore
from storage.clock import utc_now
from storage.engine import Store
from storage.intake.sandbox import READING, Sandbox
from storage.keys import Keys
from webapp.services.accounts import Accounts
from webapp.services.asking import Asking
from webapp.services.auditing import Auditing
from webapp.services.batteries import Batteries
from webapp.services.checking import Checking, Searcher
from webapp.services.collections import Collections
from webapp.services.exporting import Exporting
from webapp.services.federation import Federation
from webapp.services.health import Health
from webapp.services.images import Images
from webapp.services.keeping import Keeping, place_of
from webapp.services.passwords import Passwords
from webapp.services.pending import PendingSignIns
from webapp.services.people import People
from webapp.services.rates import Rates
from webapp.services.reading import Reading
from webapp.services.reviewing import Reviewing
from webapp.services.serving import Serving, WorkerPort
from webapp.services.studies import Studies
from webapp.services.tokens import Tokens
from webapp.services.trail import Trail
from webapp.services.worklist import Worklist
from webapp.settings import WebSettings


class Worker(WorkerPort, Protocol):
    """A model server that is closed at the end, in the loop that asked it."""

    async def aclose(self) -> None:
        """Close the connections."""


class NoWorker:
    """For commands that ask no model."""

    async def stream(self, _ask: Ask) -> AsyncGenerator[Token | Finished, None]:
        """Refuse."""
        for refusal in (WorkerUnavailableError(),):
            raise refusal
        yield Token("")

    async def battery(
        self, _asks: Sequence[Ask]
    ) -> AsyncGenerator[tuple[int, Finished | InferenceError], None]:
        """Refuse."""
        for refusal in (WorkerUnavailableError(),):
            raise refusal
        yield 0, WorkerUnavailableError()

    async def models(self) -> list[ServedModel]:
        """Refuse."""
        raise WorkerUnavailableError

    async def health(self) -> WorkerHealth:
        """Say that there is none."""
        return WorkerHealth("unreachable")

    async def aclose(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True, slots=True)
class Services:
    """One object for each part of what people do; `close` when done."""

    store: Store
    sandbox: Sandbox
    readers: Sandbox  # children that look for text in pixels
    worker: Worker
    accounts: Accounts
    people: People
    tokens: Tokens
    federation: Federation
    collections: Collections
    studies: Studies
    checking: Checking
    worklist: Worklist
    images: Images
    reading: Reading
    asking: Asking
    batteries: Batteries
    reviewing: Reviewing
    exporting: Exporting
    serving: Serving
    trail: Trail
    auditing: Auditing
    keeping: Keeping
    rates: Rates
    health: Health

    def close(self) -> None:
        """Close the database and end all children; for those who asked no model."""
        self.checking.stop()
        self.readers.close()
        self.sandbox.close()
        self.store.close()

    async def aclose(self) -> None:
        """Close the connections to the model server as well."""
        await self.worker.aclose()
        self.close()


def build_services(
    settings: WebSettings,
    worker: Worker | None = None,
    *,
    now: Callable[[], datetime] = utc_now,
    providers: Collection[str] | None = None,
    passwords: Passwords | None = None,
    searcher: Searcher | None = None,
) -> Services:
    """Open an installation: its keys, its database, its blobs.

    Args:
        settings: Where they are, and how long sessions last.
        worker: Who answers questions; without one, questions are refused.
        now: The clock.
        providers: Ids of the identity providers whose sessions count; None: all that there are.
        passwords: How passwords are hashed; tests pass a cheaper way.
        searcher: Looks for text in pixels; tests share one whose children are loaded already.

    Raises:
        KeyFileError: the keys are missing or not private.
        StoreVersionError: the database is from a newer release.
        StoreBusyError: the database cannot be reached.
    """
    keys = Keys.load(settings.key_file, settings.key_seal)
    blobs = BlobStore(settings.blob_dir, keys)
    store = Store.open(settings.database)
    answering = worker or NoWorker()
    trail = Trail(store, now, Heads(settings.audit_heads_file, keys.audit_heads))
    sandbox, readers = Sandbox(), Sandbox(children=READING)
    checking = Checking(store, blobs, now, searcher or readers)
    session_length = timedelta(hours=settings.session_hours)
    session_idle = timedelta(minutes=settings.session_idle_minutes)
    hashing = passwords or Passwords()
    rates = Rates(now)
    serving = Serving(store, blobs, worker=answering, now=now)
    return Services(
        store=store,
        sandbox=sandbox,
        readers=readers,
        worker=answering,
        accounts=Accounts(
            store,
            now,
            hashing,
            trail,
            session_idle=session_idle,
            session_length=session_length,
            password_sign_in=settings.local_accounts == "on",
            providers=None if providers is None else frozenset(providers),
        ),
        people=People(store, now, hashing, session_idle),
        federation=Federation(
            store, now, trail, PendingSignIns(keys.sign_in, now), session_length=session_length
        ),
        tokens=Tokens(store, now),
        collections=Collections(store, now),
        studies=Studies(
            *(store, blobs, keys, now, sandbox, checking),
            second_person_attests=settings.second_person_attests == "on",
            rates=rates,
        ),
        checking=checking,
        worklist=Worklist(store, now),
        images=Images(store, blobs, now),
        reading=Reading(store, now),
        asking=Asking(store, blobs, worker=answering, now=now, rates=rates),
        batteries=Batteries(store, blobs, worker=answering, now=now, rates=rates),
        reviewing=Reviewing(store, now),
        exporting=Exporting(store, blobs, keys, now, rates),
        serving=serving,
        trail=trail,
        auditing=Auditing(store, now, trail, rates),
        keeping=Keeping(store, now, place_of(settings), blobs),
        rates=rates,
        health=Health(
            *(store, now, blobs, serving, trail),
            data_dir=settings.data_dir,
            key_file=settings.key_file,
            key_seal=settings.key_seal,
        ),
    )
