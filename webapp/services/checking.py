"""Looking for text in the pixels of new studies, in the background, until none waits.

A study comes in with the state `checking`. One thread of the web process takes one study after
the other; so does a command that must wait for the outcome. Progress is kept while it goes, so
that a study left behind by a process that ended is taken up where it was.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import UUID, uuid4

from sqlmodel import Session

from storage.audit import append_event
from storage.blobs import BlobStore
from storage.cases import images_of, instances_of
from storage.checks import any_waits, checks_of, claim, note, still_checking, take_over, texts_of
from storage.engine import Store
from storage.errors import BlobDamagedError, StorageError
from storage.imaging.window import Window
from storage.intake.pixel_text import Frames, Searching, TextBox
from storage.intake.refusals import RefusedFileError
from storage.intake.sandbox import SandboxError
from storage.tables import Case, Image, Instance, PixelCheck
from storage.vocabulary import CaseState, Outcome
from webapp.services.pictures import frame_values
from webapp.services.policy import Action
from webapp.services.work import app_version

CLAIM: Final = timedelta(seconds=60)
RENEW_S: Final = 15.0
NOTE_S: Final = 1.0  # between notes of progress
LOOK_S: Final = 5.0  # between looks for what another process left behind
RETRY_S: Final = 30.0  # after children could not be started
POLL_S: Final = 0.05
PATIENT_POLL_S: Final = 0.25  # of who waits for as long as it takes
TEXT: Final = "text_in_pixels"
UNREAD: Final = "pixels_unread"
Told = Callable[[int, int], None]  # frames done, of how many
logger = logging.getLogger(__name__)


class Searcher(Protocol):
    """What is needed of a `storage.intake.sandbox.Sandbox` of `READING` children."""

    def crew(self) -> AbstractContextManager[Searching]:
        """Give one study its own children."""


class _EndedError(Exception):
    """The search of a case ends before it is through; it stays to be checked."""


@dataclass(frozen=True, slots=True)
class _Frame:
    image: Image
    instance: Instance
    number: int


@dataclass(slots=True)
class _Search:
    """One claimed case on its way."""

    case_id: UUID
    frames: list[_Frame]
    done: int
    deadline: float | None
    noted: float = field(default_factory=time.monotonic)
    found: list[tuple[UUID, int, TextBox]] = field(default_factory=list)

    def kept(self) -> None:
        """Forget what was found, once it is committed and not before."""
        self.found, self.noted = [], time.monotonic()


class Checking:
    """Searches what waits: in a thread of its own once started, else whenever asked."""

    def __init__(
        self,
        store: Store,
        blobs: BlobStore,
        now: Callable[[], datetime],
        searcher: Searcher,
    ) -> None:
        """Do nothing yet."""
        self.store, self.blobs, self.now, self.searcher = store, blobs, now, searcher
        self.claimant = f"{socket.gethostname()[:24]}:{os.getpid()}:{uuid4().hex[:8]}"
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Search in the background from now on, beginning with what was left behind."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._keep, name="pixel-text", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the background search after the piece it is at; the rest waits for a next start."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def settle(
        self, case_ids: Collection[UUID], within_s: float | None = None, told: Told | None = None
    ) -> None:
        """Wait until none of these cases is being checked, or for so many seconds.

        Without a background search in this process, the caller's thread does it.

        Args:
            case_ids: Cases; those that are not being checked are settled.
            within_s: Give up after so many seconds; None waits for as long as it takes.
            told: Told of progress over all of them.

        Raises:
            storage.intake.sandbox.SandboxError: nothing can be searched on this machine.
        """
        deadline = None if within_s is None else time.monotonic() + within_s
        self._wake.set()
        while not self._stop.is_set() and (waiting := self._waiting(case_ids, told)):
            if deadline is not None and time.monotonic() >= deadline:
                return
            if self._thread is not None or not self._check_next(waiting, deadline, told):
                time.sleep(PATIENT_POLL_S if deadline is None else POLL_S)

    def _waiting(self, case_ids: Collection[UUID], told: Told | None) -> set[UUID]:
        with self.store.read() as session:
            waiting = still_checking(session, case_ids)
            checks = checks_of(session, case_ids).values() if told else ()
        if told is not None:
            told(sum(each.frames_done for each in checks), sum(each.frames for each in checks))
        return waiting

    def _is_dead(self, claimant: str) -> bool:
        """Tell whether a claim is of a process of this machine that has ended.

        Being wrong costs time only: who lost a claim notes nothing any more.
        """
        host, _, process = claimant.rpartition(":")[0].rpartition(":")
        if claimant == self.claimant or host != self.claimant.split(":")[0]:
            return False
        if process == str(os.getpid()):  # as in a container, where numbers begin anew
            return True
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            return True
        except (ValueError, OverflowError, PermissionError):
            pass
        return False

    def _keep(self) -> None:
        taken_over = False
        while not self._stop.is_set():
            pause = LOOK_S
            try:
                if not taken_over:
                    with self.store.write() as session:
                        take_over(session, self.now(), self._is_dead)
                    taken_over = True
                while not self._stop.is_set() and self._check_next(None, None, None):
                    pass
            except SandboxError:
                pause = RETRY_S
            except StorageError as error:
                logger.warning("pixels.not_checked", extra={"code": error.code})
            except Exception:  # this thread must outlive whatever a database may say
                logger.exception("pixels.not_checked")
                pause = RETRY_S
            self._wake.wait(pause)
            self._wake.clear()

    def _check_next(
        self, among: Collection[UUID] | None, deadline: float | None, told: Told | None
    ) -> bool:
        """Search the oldest case that waits; False if there is none."""
        search = self._claimed(among, deadline)
        if search is None:
            return False
        try:
            self._search(search, told)
        except _EndedError:
            pass
        except (RefusedFileError, BlobDamagedError) as error:
            logger.warning("pixels.unread", extra={"code": error.code})
            self._finish(search, UNREAD)
        except StorageError:  # the store or the children fail, not this case
            raise
        except Exception:
            logger.exception("pixels.unread")
            self._finish(search, UNREAD)
        finally:
            self._give_back(search)
        return True

    def _claimed(self, among: Collection[UUID] | None, deadline: float | None) -> _Search | None:
        at = self.now()
        with self.store.read() as session:
            if not any_waits(session, at, among):
                return None
        with self.store.write() as session:
            check = claim(session, self.claimant, at=at, until=at + CLAIM, among=among)
            if check is None:
                return None
            return _Search(check.case_id, _frames(session, check), check.frames_done, deadline)

    def _search(self, search: _Search, told: Told | None) -> None:
        with self.searcher.crew() as crew:
            frames = Frames(crew, lambda: self._going_on(search))
            for each in search.frames[search.done :]:
                image = each.image
                values = frame_values(self.blobs, image, each.instance, each.number)
                boxes = frames.search(values, _window(image), image.slope, image.intercept)
                search.found += [(image.id, each.number, box) for box in boxes]
                search.done += 1
                if told is not None:
                    told(search.done, len(search.frames))
                if time.monotonic() - search.noted >= NOTE_S:
                    self._note(search)
                self._going_on(search)
        self._finish(search, "")

    def _going_on(self, search: _Search) -> None:
        """Renew the claim from time to time.

        Raises:
            _EndedError: this process stops, or time is up, or the case is no longer its own.
        """
        late = search.deadline is not None and time.monotonic() >= search.deadline
        if self._stop.is_set() or late:
            raise _EndedError
        if time.monotonic() - search.noted >= RENEW_S:
            self._note(search)

    def _note(self, search: _Search) -> None:
        with self.store.write() as session:
            self._keep_found(session, search, self.now() + CLAIM)
        search.kept()

    def _keep_found(self, session: Session, search: _Search, until: datetime | None) -> None:
        kept = note(
            session,
            search.case_id,
            self.claimant,
            frames_done=search.done,
            found=search.found,
            until=until,
        )
        if not kept:
            raise _EndedError

    def _finish(self, search: _Search, code: str) -> None:
        """Admit the case, or hold it for a person."""
        with suppress(_EndedError), self.store.write() as session:
            self._keep_found(session, search, None)
            case = session.get(Case, search.case_id)
            if case is None or case.state is not CaseState.CHECKING:
                return
            texts = texts_of(session, [image.id for image in images_of(session, case.id)])
            written = any(not text.marker for of_image in texts.values() for text in of_image)
            codes = [TEXT] * written + [code] * bool(code)
            case.held_because = [*case.held_because, *codes]
            case.state = CaseState.HELD if case.held_because else CaseState.ADMITTED
            session.add(case)
            append_event(
                session,
                actor_id=None,
                role=None,
                action=Action.SEARCH_PIXELS.value,
                object_type="case",
                object_id=str(case.id),
                outcome=Outcome.SUCCESS,
                code=codes[0] if codes else "",
                at=self.now(),
                app_version=app_version(),
            )
        search.kept()
        logger.info("pixels.checked", extra={"count": search.done})

    def _give_back(self, search: _Search) -> None:
        """Let another process go on at once, if this one is not through."""
        with suppress(_EndedError, StorageError), self.store.write() as session:
            self._keep_found(session, search, None)


def _frames(session: Session, check: PixelCheck) -> list[_Frame]:
    """Return the frames to search, in their order."""
    images = images_of(session, check.case_id)
    instances = instances_of(session, [image.id for image in images])
    every = [
        _Frame(image, instance, instance.first_frame + frame)
        for image in images
        for instance in instances[image.id]
        for frame in range(instance.frames)
    ]
    if check.only is None:
        return every
    chosen = {(number, frame) for number, frame in check.only}
    return [each for each in every if (each.image.number, each.number) in chosen]


def _window(image: Image) -> Window | None:
    return Window.from_json(image.windows[0]) if image.samples == 1 and image.windows else None
