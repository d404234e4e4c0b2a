"""Use cases of whoever keeps the installation: its keys.

A run that is long leaves its event at the start, in a transaction of its own: no writer waits
for it, and a run that was killed has left its trace.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from storage.blobs import BlobStore
from storage.engine import Store
from storage.keys import seal_of
from storage.rotation import Progress, Rotated, count_by_kek, rotate
from storage.seals import Seal
from webapp.services.actor import Actor
from webapp.services.policy import Action
from webapp.services.work import use_case
from webapp.settings import WebSettings


@dataclass(frozen=True, slots=True)
class Place:
    """Where an installation keeps what is not in its database."""

    data_dir: Path
    key_file: Path
    seal: Seal | None
    heads_file: Path


def place_of(settings: WebSettings) -> Place:
    """Return where the settings say that it is."""
    return Place(settings.data_dir, settings.key_file, settings.key_seal, settings.audit_heads_file)


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
    """Keys."""

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
