"""How long saving a review and paging the worklist take in a store of 100,000 of each.

    python -m tests.bench.bench_store [ROWS]

Through the use cases, on SQLite with `synchronous=FULL`. Beside each number stands its floor,
measured in turn with it: a bare transaction of one insert into another file on the same disk.
On a busy machine `cpu` tells what the clock cannot.
"""

import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from sqlmodel import SQLModel

from storage.clock import utc_now
from storage.engine import Store
from storage.tables import (
    Case,
    Collection,
    Draft,
    Image,
    Membership,
    Message,
    Person,
    Review,
    SentenceMark,
)
from storage.vocabulary import CaseState, FinishReason, Protocol, Role, Verdict
from webapp.services.actor import Actor
from webapp.services.judging import ReviewInput
from webapp.services.reviewing import Reviewing
from webapp.services.worklist import Worklist

ROWS: Final = 100_000
SAMPLES: Final = 300
CHUNK: Final = 10_000
START: Final = datetime(2026, 1, 1, tzinfo=UTC)
TEXT: Final = "The heart is enlarged. There is a right pleural effusion. No pneumothorax is seen."
SPANS: Final = [[0, 22], [23, 57], [58, 82]]
MARKS: Final[list[dict[str, Any]]] = [
    {"index": 0, "ok": True},
    {
        "index": 1,
        "ok": False,
        "error": "incorrect_location",
        "subtype": "laterality",
        "clinically_significant": True,
        "replacement": "There is a left pleural effusion.",
    },
    {"index": 2, "ok": True},
]
READER, SECOND, ADMIN, COLLECTION = (UUID(int=number) for number in range(1, 5))


def _id(kind: int, number: int) -> UUID:
    """Return an id that is spread like a random one, and known."""
    return UUID(int=random.Random(kind << 32 | number).getrandbits(128), version=4)  # noqa: S311 - no secret


def fill(store: Store, rows: int) -> None:
    """Store that many cases, each with an image, a question, a draft and a review."""
    people = [(READER, "reader", Role.READER), (SECOND, "second", Role.READER)]
    with store.write() as session:
        for person_id, name, role in [*people, (ADMIN, "admin", Role.ADMIN)]:
            session.add(
                Person.model_validate(
                    {"id": person_id, "name": name, "role": role, "created_at": START}
                )
            )
        session.add(
            Collection.model_validate(
                {
                    "id": COLLECTION,
                    "name": "films",
                    "protocol": Protocol.AI_FIRST,
                    "created_at": START,
                }
            )
        )
        session.flush()
        for person_id, _, _ in people:
            fields = {"collection_id": COLLECTION, "person_id": person_id, "created_at": START}
            session.add(Membership.model_validate(fields))
    for first in range(0, rows, CHUNK):
        numbers = range(first, min(first + CHUNK, rows))
        with store.write() as session:
            for table, make in MAKERS:
                session.connection().execute(
                    SQLModel.metadata.tables[str(table.__tablename__)].insert(),
                    [make(number) for number in numbers],
                )


def _case(number: int) -> Mapping[str, Any]:
    return {
        "id": _id(1, number),
        "collection_id": COLLECTION,
        "state": CaseState.ADMITTED,
        "held_because": [],
        "patient_key": f"patient {number // 2}",
        "study_key": f"2.25.{number}",
        "content_key": f"content {number}",
        "modality": "DX",
        "body_part": "CHEST",
        "made_up": True,
        "uploaded_by": READER,
        "created_at": START + timedelta(seconds=number),
    }


def _image(number: int) -> Mapping[str, Any]:
    return {
        "id": _id(2, number),
        "case_id": _id(1, number),
        "number": 0,
        "modality": "DX",
        "rows": 1024,
        "columns": 1024,
        "frames": 1,
        "dtype": "uint8",
        "samples": 1,
        "slope": 1.0,
        "intercept": 0.0,
        "units": "US",
        "inverted": False,
        "windows": [{"name": "default", "center": 128, "width": 256}],
        "view_position": "PA",
        "lossy": False,
        "sha256": f"{number:064d}",
    }


def _message(number: int) -> Mapping[str, Any]:
    return {
        "id": _id(3, number),
        "case_id": _id(1, number),
        "person_id": READER,
        "text": "What do you see?",
        "template_id": "plain",
        "images": [],
        "flags": [],
        "idempotency_key": f"message {number}",
        "created_at": START + timedelta(seconds=number),
    }


def _draft(number: int) -> Mapping[str, Any]:
    return {
        "id": _id(4, number),
        "message_id": _id(3, number),
        "case_id": _id(1, number),
        "person_id": READER,
        "model_id": "overread-demo",
        "template_id": "plain",
        "template_sha256": "b" * 64,
        "messages": [{"role": "user", "text": "What do you see?", "images": []}],
        "decoding": {"temperature": 0},
        "images": [],
        "safety_policy": "1",
        "flags": [],
        "raw_text": TEXT,
        "shown_text": TEXT,
        "sentences": SPANS,
        "finish_reason": FinishReason.STOP,
        "latency_ms": 900,
        "created_at": START + timedelta(seconds=number),
    }


def _review(number: int) -> Mapping[str, Any]:
    return {
        "id": _id(5, number),
        "draft_id": _id(4, number),
        "case_id": _id(1, number),
        "reviewer_id": READER,
        "revision": 1,
        "verdict": Verdict.ACCEPT_AS_IS,
        "verdict_inferred": True,
        "final_text": TEXT,
        "comment": "",
        "timing": {},
        "own_read_first": False,
        "flags": [],
        "idempotency_key": f"review {number}",
        "created_at": START + timedelta(seconds=number),
    }


def _mark(number: int) -> Mapping[str, Any]:
    return {
        "id": _id(6, number),
        "review_id": _id(5, number),
        "number": 0,
        "sentence_index": 0,
        "ok": True,
        "clinically_significant": False,
        "region_ids": [],
    }


MAKERS: Final[list[tuple[type[SQLModel], Callable[[int], Mapping[str, Any]]]]] = [
    (Case, _case),
    (Image, _image),
    (Message, _message),
    (Draft, _draft),
    (Review, _review),
    (SentenceMark, _mark),
]


def bare_insert(path: Path) -> Iterator[None]:
    """Yield after each durable transaction of one insert of a kilobyte."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE floor (content TEXT)")
        while True:
            connection.execute("INSERT INTO floor VALUES (?)", ("x" * 1000,))
            yield


@dataclass(slots=True)
class Times:
    """Milliseconds of each call, by the clock and by the processor."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def add(self, call: Callable[[], object]) -> None:
        """Time one call."""
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        self.wall.append((time.perf_counter() - wall) * 1000)
        self.cpu.append((time.process_time() - cpu) * 1000)


def main(rows: int) -> None:
    """Fill a store, measure, and print a table."""
    with tempfile.TemporaryDirectory(prefix="overread-bench-") as folder:
        store = Store.open(f"sqlite:///{Path(folder) / 'overread.db'}")
        started = time.perf_counter()
        fill(store, rows)
        size = (Path(folder) / "overread.db").stat().st_size / 1e6
        say(f"{rows:,} cases, drafts and reviews: {size:.0f} MB in SQLite, "
            f"filled in {time.perf_counter() - started:.0f} s\n")  # fmt: skip
        measure(store, Path(folder), rows)
        store.close()


def measure(store: Store, folder: Path, rows: int) -> None:
    """Measure on a filled store and print each number beside its floor."""
    second = Actor(SECOND, "second", Role.READER, "session")
    admin = Actor(ADMIN, "admin", Role.ADMIN, "session")
    reviewing, worklist = Reviewing(store, utc_now), Worklist(store, utc_now)
    numbers = iter(random.Random(1).sample(range(rows), SAMPLES))  # noqa: S311 - no secret
    insert = bare_insert(folder / "floor.db")

    def save() -> None:
        number = next(numbers)
        reviewing.submit(second, _id(4, number), ReviewInput(f"key {number}", 0, sentences=MARKS))

    deep = worklist.page(second)
    for _ in range(200):
        deep = worklist.page(second, cursor=deep.next)
    measured: dict[str, Callable[[], object]] = {
        "saving a review": save,
        "worklist, a reader's first page": partial(worklist.page, second),
        "worklist, an administrator's first page": partial(worklist.page, admin),
        "worklist, a reader's page 201": partial(worklist.page, second, cursor=deep.next),
        "worklist, what a reader has to do": partial(worklist.page, second, state="todo"),
        "worklist, what a reader has done": partial(worklist.page, second, state="done"),
    }
    say(f"{'ms':<42}{'p50':>7}{'p95':>7}{'cpu p50':>9}{'floor p50':>11}{'floor p95':>11}")
    for name, call in measured.items():
        times, floor = Times(), Times()
        for _ in range(SAMPLES):
            times.add(call)
            floor.add(lambda: next(insert))
        say(
            f"{name:<42}{_part(times.wall, 50):>7.1f}{_part(times.wall, 95):>7.1f}"
            f"{_part(times.cpu, 50):>9.1f}"
            f"{_part(floor.wall, 50):>11.1f}{_part(floor.wall, 95):>11.1f}"
        )


def _part(times: list[float], percent: int) -> float:
    return sorted(times)[min(len(times) - 1, len(times) * percent // 100)]


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
