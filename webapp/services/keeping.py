"""Use cases of whoever keeps the installation: its keys and its backups.

A run that is long leaves its event at the start, in a transaction of its own: no writer waits
for it, and a run that was killed has left its trace.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain, repeat
from pathlib import Path
from typing import Final

from sqlmodel import delete

from storage import backup
from storage.audit_heads import Heads
from storage.blobs import BlobStore
from storage.engine import Store
from storage.errors import StorageError
from storage.keys import seal_of
from storage.rotation import Progress, Rotated, count_by_kek, rotate
from storage.seals import Seal
from storage.sweeping import UNDER_WAY, sweep
from storage.tables import LoginSession
from webapp.services.actor import Actor
from webapp.services.folders import private_folder
from webapp.services.policy import Action
from webapp.services.work import app_version, use_case
from webapp.settings import WebSettings

SECOND_SWEEP: Final = UNDER_WAY + timedelta(minutes=5)
SWEEP_EVERY: Final = timedelta(days=1)
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an installation keeps what is not in its database."""

    data_dir: Path
    key_file: Path
    seal: Seal | None
    database_url: str = field(repr=False)
    heads_file: Path


def place_of(settings: WebSettings) -> Place:
    """Return where the settings say that it is."""
    return Place(
        data_dir=settings.data_dir,
        key_file=settings.key_file,
        seal=settings.key_seal,
        database_url=settings.database,
        heads_file=settings.audit_heads_file,
    )


@dataclass(frozen=True, slots=True)
class KekView:
    """A key that wraps the keys of stored objects; never the key itself."""

    id: str
    made_at: datetime | None
    active: bool
    objects: int


@dataclass(frozen=True, slots=True)
class KeysView:
    """The key file, without a secret."""

    seal: str  # none, environment or command
    keks: tuple[KekView, ...]
    unknown: int  # objects that name a key which is not in the file


@dataclass(frozen=True, slots=True)
class Keeping:
    """Keys and backups."""

    store: Store
    now: Callable[[], datetime]
    place: Place
    blobs: BlobStore

    def keys(self, actor: Actor | None) -> KeysView:
        """Return which keys there are and how many objects each one wraps."""
        with use_case(self, actor, Action.SHOW_KEYS, ("keys", "")):
            pass
        keks = self.blobs.keys.keks.current()
        counts = count_by_kek(self.blobs)
        views = tuple(
            KekView(kek.id.hex(), kek.made_at, kek is keks[-1], counts[kek.id.hex()])
            for kek in keks
        )
        unknown = counts.total() - sum(view.objects for view in views)
        return KeysView(seal_of(self.place.key_file), views, unknown)

    def rotate(self, actor: Actor | None, progress: Progress, *, unseal: bool = False) -> Rotated:
        """Wrap every object's key under a new key, or finish the run that was stopped.

        Args:
            actor: Who asks.
            progress: Told of every batch.
            unseal: Leave the key file without a seal.

        Raises:
            KeysBusyError: another rotation or a backup runs.
            KeyFileError: the keys cannot be read or written.
        """
        with use_case(self, actor, Action.ROTATE_KEYS, ("keys", "")):
            pass
        return rotate(
            self.place.key_file,
            self.place.seal,
            self.blobs.root,
            self.now(),
            progress,
            unseal=unseal,
        )

    def back_up(
        self, actor: Actor | None, out: Path, progress: Progress, *, with_keys: bool = False
    ) -> backup.Manifest:
        """Write everything to a folder, while others work.

        Args:
            actor: Who asks.
            out: Absent or empty.
            progress: Told while objects are copied.
            with_keys: Put the key file beside what it opens.

        Raises:
            BackupError: `out` holds something, or the database cannot be written out.
            KeysBusyError: keys are being replaced.
            StorageFullError: no room.
        """
        with use_case(self, actor, Action.BACK_UP, ("backup", "")):
            pass
        place = self.place
        heads = Heads(place.heads_file, self.blobs.keys.audit_heads)
        source = backup.Source(self.store, place.database_url, self.blobs, place.key_file, heads)
        with private_folder(place.data_dir) as work:
            return backup.make(
                source,
                out,
                work,
                with_keys=with_keys,
                at=self.now(),
                app_version=app_version(),
                progress=progress,
            )

    async def keep_swept(self) -> None:
        """Sweep at once, when what was young then no longer is, then daily, until cancelled."""
        for pause in chain([SECOND_SWEEP], repeat(SWEEP_EVERY)):
            await asyncio.to_thread(self.sweep_if_possible)
            await asyncio.sleep(pause.total_seconds())

    def sweep_if_possible(self) -> None:
        """Remove objects that no row names; what stands in the way is logged."""
        try:
            count = sweep(self.store, self.blobs, self.now())
        except StorageError as error:
            logger.warning("blobs.not_swept", extra={"code": error.code})
        except OSError:
            logger.exception("blobs.not_swept")
        else:
            if count:
                logger.warning("blobs.swept", extra={"count": count})

    def restored(self, actor: Actor | None) -> None:
        """Tell the trail of a restore; whoever was signed in at that time is signed in no more."""
        with use_case(self, actor, Action.RESTORE, ("backup", "")) as work:
            work.session.exec(delete(LoginSession))
