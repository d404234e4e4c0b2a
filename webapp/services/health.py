"""The state of the installation, for administrators: what answers, what is full, what is kept.

Each line says in words what was found and whether somebody has to act. It tells of no case and
no person, yet of the machine, so it is not for everybody.
"""

import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from storage.audit import newest
from storage.blobs import BlobStore
from storage.engine import Store
from storage.errors import HeadsDamagedError, StorageError
from storage.keys import Keys
from storage.seals import Seal
from webapp.services.actor import Actor
from webapp.services.policy import Action
from webapp.services.serving import Serving
from webapp.services.trail import KEEP_HEAD_EVERY, Trail
from webapp.services.work import app_version, use_case

LEAST_FREE_BYTES: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class HealthLine:
    """One part and how it is."""

    part: str
    state: Literal["ok", "act"]
    detail: str


@dataclass(frozen=True, slots=True)
class Health:
    """Looks at the parts, one by one."""

    store: Store
    now: Callable[[], datetime]
    blobs: BlobStore
    serving: Serving
    trail: Trail
    data_dir: Path
    key_file: Path
    key_seal: Seal | None = None

    def report(self, actor: Actor | None) -> tuple[HealthLine, ...]:
        """Return a line for each part. Not for the event loop: it asks the model server.

        Raises:
            StoreBusyError: the database does not answer at all.
        """
        with use_case(self, actor, Action.OPEN_HEALTH):
            pass
        return (
            HealthLine("Overread", "ok", f"version {app_version()}"),
            self._database(),
            self._worker(),
            self._disk(),
            self._blobs(),
            self._trail(),
            self._keys(),
        )

    def _database(self) -> HealthLine:
        kind = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
        engine = self.store.engine
        return HealthLine(
            "Database", "ok", f"{kind.get(engine.dialect.name, engine.dialect.name)} answers"
        )

    def _worker(self) -> HealthLine:
        found = self.serving.ready()
        if not found.worker:
            return HealthLine("Model server", "act", f"does not answer: {found.worker_reason}")
        return HealthLine("Model server", "ok", f"{found.details.get('model', 'a model')} answers")

    def _disk(self) -> HealthLine:
        space = shutil.disk_usage(self.data_dir)
        enough = space.free >= LEAST_FREE_BYTES
        said = f"{space.free / 1e9:,.1f} GB free of {space.total / 1e9:,.1f} GB"
        return HealthLine("Disk", "ok" if enough else "act", said)

    def _blobs(self) -> HealthLine:
        count = sum(1 for _ in self.blobs.addresses())
        return HealthLine("Stored objects", "ok", f"{count:,}, each encrypted")

    def _trail(self) -> HealthLine:
        try:
            heads = self.trail.heads.read()
        except HeadsDamagedError as error:
            return HealthLine("Audit trail", "act", str(error))
        with self.store.read() as session:
            event = newest(session)
        events = 0 if event is None else event.seq
        if not heads:
            return HealthLine("Audit trail", "act", f"{events:,} events; its head is not kept yet")
        late = self.now() - heads[-1].at > 2 * KEEP_HEAD_EVERY and events > heads[-1].seq + 1
        kept = f"{heads[-1].at:%d %b %Y %H:%M} UTC, at event {heads[-1].seq:,}"
        said = f"{events:,} events; head last kept outside the database {kept}"
        return HealthLine("Audit trail", "act" if late else "ok", said)

    def _keys(self) -> HealthLine:
        try:
            Keys.load(self.key_file, self.key_seal)
            mode = stat.S_IMODE(self.key_file.stat().st_mode)
        except (StorageError, OSError):
            said = f"{self.key_file.name} cannot be read: after a restart nothing could be opened"
            return HealthLine("Keys", "act", said)
        return HealthLine("Keys", "ok", f"{self.key_file.name}, mode {mode:04o}; is it backed up?")
