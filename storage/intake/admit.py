"""Make cases of de-identified objects: blobs first, then rows, in the caller's transaction.

Blobs are written while the objects come in, so that an upload of any length needs the memory
of one object. An address is a keyed hash of the content; that is how a repeat is recognised,
file by file, and it makes writing one twice harmless.
"""

import hashlib
from collections import defaultdict, deque
from collections.abc import Hashable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from sqlmodel import Session, col, or_, select

from storage.checks import begin
from storage.errors import StoreBusyError
from storage.imaging.volume import Plane, order_planes
from storage.intake.deidentify import Deidentified
from storage.intake.faces import RECOGNISABLE, shows_a_face
from storage.intake.facts import Facts
from storage.tables import Case, Image, Instance
from storage.vocabulary import CaseState


class Putting(Protocol):
    """What takes bytes in: `storage.blobs.BlobStore` or one of its batches."""

    def put(self, data: bytes) -> str:
        """Store bytes and return their address."""


class Blobs(Putting, Protocol):
    """What is needed of `storage.blobs.BlobStore`."""

    def batch(self) -> AbstractContextManager[Putting]:
        """Take many in; they can be read, and are durable, once the block ends."""

    def get(self, address: str) -> bytes:
        """Return the bytes of an address."""

    def exists(self, address: str) -> bool:
        """Tell whether there are bytes at an address."""

    def remove(self, address: str) -> None:
        """Delete the bytes of an address."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """An object whose bytes are in blobs already."""

    facts: Facts
    content_key: str
    dicom_blob: str
    pixel_blob: str
    sha256: str  # of the served pixels; empty for a slice: its stack is hashed as a whole
    study_day: int | None


Kept = dict[str, dict[str, _Kept]]  # by study, then by content
_AT_ONCE: Final = 2  # objects that are hashed, encrypted and written at the same time


def admit(
    session: Session,
    blobs: Blobs,
    items: Iterable[Deidentified],
    *,
    collection_id: UUID,
    uploaded_by: UUID,
    at: datetime,
) -> list[Case]:
    """Store objects as cases, one a study; the caller commits.

    Args:
        session: Open transaction.
        blobs: Where bytes go.
        items: Consumed one at a time.
        collection_id: The collection the cases join.
        uploaded_by: Whose upload it is.
        at: Now.

    Returns:
        The case of each study in the order they came. A study whose images are all in one of
        the collection's cases already gives that case, and nothing is added.

    Raises:
        TypeError: an item is not `Deidentified`.
        storage.errors.StorageFullError: no room for a blob.
    """
    return admit_kept(
        session, blobs, keep(blobs, items), collection_id=collection_id, uploaded_by=uploaded_by,
        at=at,
    )  # fmt: skip


def keep(blobs: Blobs, items: Iterable[Deidentified], kept: Kept | None = None) -> Kept:
    """Put objects into blobs as they come, for `admit_kept`: nobody waits for a transaction.

    All of them are durable on return, so a row that names one always finds it.

    Args:
        blobs: Where bytes go.
        items: Consumed one at a time.
        kept: Filled and returned; of a failure, it tells what may have been put.

    Raises:
        TypeError: an item is not `Deidentified`.
        storage.errors.StorageFullError: no room for a blob.
    """
    studies = {} if kept is None else kept
    seen: set[tuple[str, str]] = set()
    waiting: deque[Future[_Kept]] = deque()
    with blobs.batch() as batch, ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="keep") as threads:
        for item in items:
            if not isinstance(item, Deidentified):
                raise TypeError("only Deidentified values can be stored")
            identity = item.facts.study_key, item.content_key
            if identity not in seen:
                seen.add(identity)
                waiting.append(threads.submit(_keep, batch, item))
            if len(waiting) > _AT_ONCE:
                _note(studies, waiting.popleft().result())
        while waiting:
            _note(studies, waiting.popleft().result())
    return studies


def _note(studies: Kept, kept: _Kept) -> None:
    """Add one object to what is kept, after those that came before it."""
    studies.setdefault(kept.facts.study_key, {})[kept.content_key] = kept


def addresses_of(kept_studies: Kept) -> set[str]:
    """Return the addresses of everything that `keep` put."""
    each = [one for study in kept_studies.values() for one in study.values()]
    return {address for one in each for address in (one.dicom_blob, one.pixel_blob)}


def admit_kept(
    session: Session,
    blobs: Blobs,
    kept_studies: Kept,
    *,
    collection_id: UUID,
    uploaded_by: UUID,
    at: datetime,
) -> list[Case]:
    """Make cases of what `keep` returned, one a study, as `admit` does; the caller commits.

    Bytes of a repeat that no case needs are removed: those of a study that a person refused,
    or from before a person blanked a name.

    Raises:
        StoreBusyError: bytes were removed meanwhile, because another upload of them failed.
    """
    if not all(blobs.exists(address) for address in addresses_of(kept_studies)):
        raise StoreBusyError
    cases = []
    for study_key, by_content in kept_studies.items():
        kept = list(by_content.values())
        case = _earlier_case(session, collection_id, study_key, kept)
        if case is None:
            case = _new_case(kept, collection_id, uploaded_by, at)
            session.add(case)
            session.flush()
            _add_images(session, blobs, case, kept)
            begin(session, case, sum(each.facts.frames for each in kept))
        else:
            own = {address for each in kept for address in (each.dicom_blob, each.pixel_blob)}
            for address in unneeded(session, own):
                blobs.remove(address)
        cases.append(case)
    return cases


def unneeded(session: Session, addresses: set[str]) -> set[str]:
    """Return those addresses that no case needs; a refused case needs none of its own."""
    named = (
        select(Instance.dicom_blob, Instance.pixel_blob)
        .join(Image, col(Image.id) == col(Instance.image_id))
        .join(Case, col(Case.id) == col(Image.case_id))
        .where(
            col(Case.state) != CaseState.REFUSED,
            or_(col(Instance.dicom_blob).in_(addresses), col(Instance.pixel_blob).in_(addresses)),
        )
    )
    return addresses - {address for pair in session.exec(named) for address in pair}


def _keep(blobs: Putting, item: Deidentified) -> _Kept:
    """Put an object's bytes into blobs."""
    return _Kept(
        item.facts,
        item.content_key,
        blobs.put(item.dicom),
        blobs.put(item.pixels),
        "" if item.facts.stackable else hashlib.sha256(item.pixels).hexdigest(),
        item.study_day,
    )


def _earlier_case(
    session: Session, collection_id: UUID, study_key: str, kept: Sequence[_Kept]
) -> Case | None:
    """Return the case that holds all of these images already."""
    statement = (
        select(Case)
        .where(Case.collection_id == collection_id, Case.study_key == study_key)
        .order_by(col(Case.created_at), col(Case.id))
    )
    content_key = _content_key(kept)
    for case in session.exec(statement):
        held = (
            select(Instance.dicom_blob)
            .join(Image, col(Image.id) == col(Instance.image_id))
            .where(Image.case_id == case.id)
        )
        if case.content_key == content_key or {each.dicom_blob for each in kept} <= set(
            session.exec(held)
        ):
            return case
    return None


def _new_case(kept: Sequence[_Kept], collection_id: UUID, uploaded_by: UUID, at: datetime) -> Case:
    """Return the row of a new case, with why a person must look in any case.

    One held image or a recognisable face holds the study; text in its pixels is looked for first.
    """
    held = sorted({code for each in kept for code in each.facts.held})
    if any(shows_a_face([each.facts for each in stack]) for stack in _stacks(kept)):
        held.append(RECOGNISABLE)
    first = kept[0].facts
    parts = [each.facts.body_part for each in kept if each.facts.body_part]
    days = [each.study_day for each in kept if each.study_day is not None]
    return Case.model_validate(
        {
            "collection_id": collection_id,
            "state": CaseState.CHECKING,
            "held_because": held,
            "patient_key": first.patient_key,
            "study_key": first.study_key,
            "content_key": _content_key(kept),
            "modality": first.modality,
            "body_part": parts[0] if parts else "",
            "study_day": min(days, default=None),
            "made_up": all(each.facts.made_up for each in kept),
            "uploaded_by": uploaded_by,
            "created_at": at,
        }
    )


def _content_key(kept: Sequence[_Kept]) -> str:
    """Return one key for the contents of all files, whatever their order."""
    keys = "\n".join(sorted(each.content_key for each in kept))
    return hashlib.sha256(keys.encode()).hexdigest()


def _add_images(session: Session, blobs: Blobs, case: Case, kept: Sequence[_Kept]) -> None:
    """Add the rows of a study's stacks."""
    in_order = sorted(
        _stacks(kept),
        key=lambda stack: min((e.facts.series_number, e.facts.instance_number) for e in stack),
    )
    for number, stack in enumerate(in_order):
        planes = [
            Plane(each.facts.position, each.facts.orientation, each.facts.instance_number)
            for each in stack
        ]
        ordered = [stack[index] for index in order_planes(planes).order]
        image = _image(case, number, ordered, _digest(blobs, ordered))
        session.add(image)
        session.flush()
        first_frame = 0
        for each in ordered:
            session.add(_instance(image, first_frame, each))
            first_frame += each.facts.frames
    session.flush()


def _stacks(kept: Sequence[_Kept]) -> list[list[_Kept]]:
    """Group a study's objects into stacks, in the order in which they came."""
    stacks: dict[Hashable, list[_Kept]] = defaultdict(list)
    for each in kept:
        stacks[_stack_key(each.facts)].append(each)
    return list(stacks.values())


def _stack_key(facts: Facts) -> Hashable:
    """Return what slices of one stack share; any other object is an image of its own."""
    if not facts.stackable:
        return facts.sop_instance_uid
    direction = tuple(round(cosine, 2) for cosine in facts.orientation or ())
    return (
        facts.series_key, facts.rows, facts.columns, facts.samples, facts.dtype, facts.slope,
        facts.intercept, facts.units, facts.inverted, facts.row_spacing_mm,
        facts.column_spacing_mm, direction,
    )  # fmt: skip


def _digest(blobs: Blobs, ordered: Sequence[_Kept]) -> str:
    """Return SHA-256 over all served bytes of a stack in its order."""
    if len(ordered) == 1 and ordered[0].sha256:
        return ordered[0].sha256
    digest = hashlib.sha256()
    reading: deque[Future[bytes]] = deque()
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="digest") as threads:
        for each in ordered:
            reading.append(threads.submit(blobs.get, each.pixel_blob))
            if len(reading) > _AT_ONCE:
                digest.update(reading.popleft().result())
        for read in reading:
            digest.update(read.result())
    return digest.hexdigest()


def _image(case: Case, number: int, ordered: Sequence[_Kept], sha256: str) -> Image:
    """Return the row of one stack; its windows are those of the middle slice."""
    facts = ordered[len(ordered) // 2].facts
    return Image.model_validate(
        {
            "case_id": case.id,
            "number": number,
            "modality": facts.modality,
            "rows": facts.rows,
            "columns": facts.columns,
            "frames": sum(each.facts.frames for each in ordered),
            "dtype": facts.dtype,
            "samples": facts.samples,
            "slope": facts.slope,
            "intercept": facts.intercept,
            "units": facts.units,
            "inverted": facts.inverted,
            "row_spacing_mm": facts.row_spacing_mm,
            "column_spacing_mm": facts.column_spacing_mm,
            "orientation": list(facts.orientation) if facts.orientation else None,
            "windows": list(facts.windows),
            "view_position": facts.view,
            "lossy": any(each.facts.lossy for each in ordered),
            "sha256": sha256,
        }
    )


def _instance(image: Image, first_frame: int, kept: _Kept) -> Instance:
    """Return the row of one DICOM object."""
    return Instance.model_validate(
        {
            "image_id": image.id,
            "first_frame": first_frame,
            "frames": kept.facts.frames,
            "sop_instance_uid": kept.facts.sop_instance_uid,
            "position": list(kept.facts.position) if kept.facts.position else None,
            "dicom_blob": kept.dicom_blob,
            "pixel_blob": kept.pixel_blob,
        }
    )
