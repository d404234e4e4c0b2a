"""Queries on the search for text in pixels: who does it, how far it is, what it found.

One process at a time searches a case. It says so for a minute and again before that is over;
what a process left behind when it died is taken over by another one, from the last frame noted.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from uuid import UUID

from sqlmodel import Session, col, delete, or_, select

from storage.intake.pixel_text import TextBox
from storage.tables import Case, Image, PixelCheck, PixelText
from storage.vocabulary import CaseState


def begin(session: Session, case: Case, frames: int) -> None:
    """Have a new case searched; its state says so until `finished`."""
    case.state = CaseState.CHECKING
    session.add(case)
    session.flush()
    session.add(PixelCheck.model_validate({"case_id": case.id, "frames": frames}))
    session.flush()


def begin_again(session: Session, case: Case, frames: Sequence[tuple[Image, int]]) -> None:
    """Have some frames of a case searched anew; what was found in them is forgotten."""
    for image, frame in frames:
        session.exec(
            delete(PixelText).where(
                col(PixelText.image_id) == image.id, col(PixelText.frame) == frame
            )
        )
    check = session.get(PixelCheck, case.id) or PixelCheck(case_id=case.id, frames=0)
    check.frames, check.frames_done = len(frames), 0
    check.only = [(image.number, frame) for image, frame in frames]
    check.claimed_by, check.claimed_until = "", None
    case.state = CaseState.CHECKING
    session.add(check)
    session.add(case)
    session.flush()


def claim(
    session: Session,
    claimant: str,
    *,
    at: datetime,
    until: datetime,
    among: Collection[UUID] | None = None,
) -> PixelCheck | None:
    """Take the oldest case that waits and that no living process searches.

    Args:
        session: Open transaction.
        claimant: The process.
        at: Now.
        until: When others may take it over.
        among: Only one of these cases.
    """
    check = _next(session, at, among)
    if check is not None:
        check.claimed_by, check.claimed_until = claimant, until
        session.add(check)
        session.flush()
    return check


def take_over(session: Session, at: datetime, is_dead: Callable[[str], bool]) -> None:
    """Give back the claims of processes that are dead, before their minute is over."""
    for check in session.exec(select(PixelCheck).where(col(PixelCheck.claimed_until) >= at)):
        if is_dead(check.claimed_by):
            check.claimed_until = None
            session.add(check)
    session.flush()


def any_waits(session: Session, at: datetime, among: Collection[UUID] | None = None) -> bool:
    """Tell whether there is something to claim, without the writers' lock."""
    return _next(session, at, among) is not None


def _next(session: Session, at: datetime, among: Collection[UUID] | None) -> PixelCheck | None:
    statement = (
        select(PixelCheck)
        .join(Case, col(Case.id) == col(PixelCheck.case_id))
        .where(
            Case.state == CaseState.CHECKING,
            or_(col(PixelCheck.claimed_until).is_(None), col(PixelCheck.claimed_until) < at),
        )
        .order_by(col(Case.created_at), col(Case.id))
        .limit(1)
    )
    if among is not None:
        statement = statement.where(col(Case.id).in_(among))
    return session.exec(statement).first()


def note(
    session: Session,
    case_id: UUID,
    claimant: str,
    *,
    frames_done: int,
    found: Iterable[tuple[UUID, int, TextBox]],
    until: datetime | None,
) -> bool:
    """Keep what was found so far; False, and nothing is kept, once the case is somebody else's.

    Args:
        session: Open transaction.
        case_id: A claimed case.
        claimant: The process that claimed it.
        frames_done: Of all its frames.
        found: (image, frame, box) since the last note.
        until: The claim goes on; None gives it back.
    """
    check = session.get(PixelCheck, case_id)
    if check is None or check.claimed_by != claimant:
        return False
    check.frames_done, check.claimed_until = frames_done, until
    session.add(check)
    for image_id, frame, box in found:
        fields = {"image_id": image_id, "frame": frame, "marker": box.marker, **_edges(box)}
        session.add(PixelText.model_validate(fields))
    session.flush()
    return True


def texts_of(session: Session, image_ids: Collection[UUID]) -> dict[UUID, list[PixelText]]:
    """Return what was found in each of the images, by frame and from the top down."""
    texts: dict[UUID, list[PixelText]] = defaultdict(list)
    order = col(PixelText.frame), col(PixelText.row0), col(PixelText.column0)
    statement = select(PixelText).where(col(PixelText.image_id).in_(image_ids)).order_by(*order)
    for text in session.exec(statement):
        texts[text.image_id].append(text)
    return texts


def checks_of(session: Session, case_ids: Collection[UUID]) -> dict[UUID, PixelCheck]:
    """Return how far the search of each of these cases is; older cases were never searched."""
    statement = select(PixelCheck).where(col(PixelCheck.case_id).in_(case_ids))
    return {check.case_id: check for check in session.exec(statement)}


def still_checking(session: Session, case_ids: Collection[UUID]) -> set[UUID]:
    """Return those of the cases that are still being searched."""
    statement = select(Case.id).where(
        col(Case.id).in_(case_ids), col(Case.state) == CaseState.CHECKING
    )
    return set(session.exec(statement))


def _edges(box: TextBox) -> dict[str, int]:
    return {
        "column0": box.column0,
        "row0": box.row0,
        "column1": box.column1,
        "row1": box.row1,
    }
