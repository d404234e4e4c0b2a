"""Use cases of looking at images: layout, raw frames, pictures.

Scrolling reads many frames of one image; the trail gets one event for them every few minutes,
not one a frame. The right to see is asked for every frame all the same.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlmodel import Session

from storage.blobs import BlobStore
from storage.cases import instances_of
from storage.engine import Store
from storage.errors import NotFoundError
from storage.tables import Image, Instance
from storage.vocabulary import CaseState
from webapp.services.access import known_case
from webapp.services.actor import Actor
from webapp.services.errors import CaseRefusedError
from webapp.services.pictures import checked_window, frame_bytes, instance_of, png
from webapp.services.policy import Action
from webapp.services.present import geometry_view
from webapp.services.views import GeometryView
from webapp.services.work import REFUSALS, authorised, use_case

ONE_LOOK: Final = timedelta(minutes=5)
REMEMBERED_LOOKS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Looks:
    """Who has looked at which image lately, in this process."""

    _since: dict[tuple[UUID, UUID], datetime] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def is_going_on(self, person_id: UUID, image_id: UUID, at: datetime) -> bool:
        """Tell whether the trail has a recent event for this person and image."""
        with self._lock:
            since = self._since.get((person_id, image_id))
        return since is not None and at - since < ONE_LOOK

    def begin(self, person_id: UUID, image_id: UUID, at: datetime) -> None:
        """Note that the trail has one now."""
        with self._lock:
            self._since.pop((person_id, image_id), None)
            self._since[person_id, image_id] = at
            while len(self._since) > REMEMBERED_LOOKS:
                self._since.pop(next(iter(self._since)))


@dataclass(frozen=True, slots=True)
class Images:
    """Layout and pixels of the images of cases."""

    store: Store
    blobs: BlobStore
    now: Callable[[], datetime]
    looks: Looks = field(default_factory=Looks)

    def geometry(self, actor: Actor | None, image_id: UUID) -> GeometryView:
        """Return how the frames of an image are laid out, and its windows.

        Raises:
            NotFoundError: there is no such image, or it is not the actor's.
        """
        with use_case(self, actor, Action.OPEN_IMAGE, ("image", image_id)) as work:
            image = _image(work.session, work.actor, image_id)
            return geometry_view(image, instances_of(work.session, [image_id])[image_id])

    def frame(self, actor: Actor | None, image_id: UUID, n: int) -> bytes:
        """Return the little-endian rows of frame `n`, counted from 0.

        Raises:
            NotFoundError: there is no such image or frame, or it is not the actor's.
            BlobDamagedError: the stored pixels fail their check.
        """
        image, instance = self._look(actor, image_id, n)
        return frame_bytes(self.blobs, image, instance, n)

    def picture(
        self,
        actor: Actor | None,
        image_id: UUID,
        frame: int,
        window: object = None,
        *,
        watermark: bool = True,
    ) -> bytes:
        """Return one frame as PNG.

        Args:
            actor: Who asks.
            image_id: Which image.
            frame: Counted from 0.
            window: `center` and `width`; without them the image's first window.
            watermark: False only for what goes to a model.

        Raises:
            NotFoundError: there is no such image or frame, or it is not the actor's.
            InvalidRequestError: the window cannot be used.
            BlobDamagedError: the stored pixels fail their check.
        """
        image, instance = self._look(actor, image_id, frame)
        chosen = checked_window(image, window)
        return png(self.blobs, image, instance, frame, chosen, watermark=watermark)

    def _look(self, actor: Actor | None, image_id: UUID, frame: int) -> tuple[Image, Instance]:
        at = self.now()
        if actor is not None and self.looks.is_going_on(actor.id, image_id, at):
            with suppress(*REFUSALS), self.store.read() as session:  # a refusal goes on below
                image = _image(session, authorised(actor, Action.OPEN_IMAGE), image_id)
                return image, _instance(session, image, frame)
        with use_case(self, actor, Action.OPEN_IMAGE, ("image", image_id)) as work:
            image = _image(work.session, work.actor, image_id)
            instance = _instance(work.session, image, frame)
        self.looks.begin(work.actor.id, image_id, at)
        return image, instance


def _image(session: Session, actor: Actor, image_id: UUID) -> Image:
    image = session.get(Image, image_id)
    if image is None:
        raise NotFoundError("image")
    try:
        case, _ = known_case(session, actor, image.case_id)
    except NotFoundError:
        raise NotFoundError("image") from None
    if case.state is CaseState.REFUSED:
        raise CaseRefusedError
    return image


def _instance(session: Session, image: Image, frame: int) -> Instance:
    if frame >= image.frames:  # a database takes no number of any length
        raise NotFoundError("frame")
    return instance_of(session, image.id, frame)
