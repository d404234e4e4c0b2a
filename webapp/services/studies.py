"""Use cases of the study door: bring files in, decide about held pixels, write a study out."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from sqlmodel import Session, select

from storage.blobs import BlobStore
from storage.cases import images_of, instances_of
from storage.checks import texts_of
from storage.collections import collection_named
from storage.engine import Store
from storage.errors import IdempotencyConflictError, StorageError
from storage.exports.sinks import folder_export
from storage.intake.admit import Kept, addresses_of, admit_kept, keep, unneeded
from storage.intake.attest import admit_held, refuse_held
from storage.intake.deidentify import Deidentified
from storage.intake.door import FACE_SENTENCE, HELD_SENTENCE, FileResult, receive
from storage.intake.faces import RECOGNISABLE
from storage.intake.sandbox import Sandbox, SandboxError
from storage.keys import Keys
from storage.tables import Attestation, Case, Collection
from storage.vocabulary import Attestation as Decision
from storage.vocabulary import CaseState
from webapp.services import inputs
from webapp.services.access import collection_open_to, known_case, readable_case
from webapp.services.actor import Actor
from webapp.services.checking import TEXT, UNREAD, Checking, Told
from webapp.services.collections import DEFAULT_PROTOCOL, make_collection, name_to_fill
from webapp.services.errors import (
    CaseRefusedError,
    InvalidRequestError,
    NotHeldError,
    SecondPersonRequiredError,
    TextLeftError,
)
from webapp.services.masks import mask_boxes, stored_masks
from webapp.services.pictures import checked_window, png
from webapp.services.policy import Action
from webapp.services.rates import Paced, Rates
from webapp.services.views import CaseView, FileOutcomeView, InstanceOutcomeView
from webapp.services.work import REFUSALS, Work, authorised, record, use_case
from webapp.services.worklist import opened

logger = logging.getLogger(__name__)

ANSWER_WITHIN_S: Final = 10.0  # a film or two are searched by then
HELD_SENTENCES: Final = {
    RECOGNISABLE: FACE_SENTENCE,
    TEXT: (
        "Text was found in the pixels; a person must decide whether it may stay before anyone "
        "reads this image."
    ),
    UNREAD: (
        "The pixels could not be searched for text; a person must look at every image before "
        "anyone reads it."
    ),
}
CHECKING_SENTENCE: Final = (
    "The pixels are being searched for text; the case opens, or is held, when that is through."
)
LONGEST_INNER_NAME: Final = 1_024


@dataclass(frozen=True, slots=True)
class Studies:
    """Studies on their way in and out."""

    store: Store
    blobs: BlobStore
    keys: Keys
    now: Callable[[], datetime]
    sandbox: Sandbox
    checking: Checking
    second_person_attests: bool = False  # whoever uploaded a study may not attest it
    rates: Rates = field(default_factory=Rates)

    def receive(
        self,
        actor: Actor | None,
        paths: Sequence[Path],
        collection: str,
        names: Sequence[str] | None = None,
        *,
        tell_inner_names: bool = False,
        within_s: float | None = ANSWER_WITHIN_S,
        told: Told | None = None,
    ) -> Iterator[FileOutcomeView]:
        """Take files in: decode and de-identify them, then store what may be, in one go.

        Args:
            actor: Who uploads; becomes a member of a collection that is made for it.
            paths: Files, folders and zip archives that nobody else is writing.
            collection: Its name; made with the default protocol if there is none.
            names: What to call each path in its outcome; by default the path's last part.
            tell_inner_names: Call a file of a folder or archive by its name there instead of
                by its number: for a sender on this machine, who has the folder before them.
            within_s: How long to wait for the search of pixels for text, which goes on in the
                background; what is not through by then is `checking`. None: until it is.
            told: Told how many frames of how many are searched.

        Returns:
            One outcome a file, in order, once everything is stored.

        Raises:
            NotFoundError: there is such a collection, and it is not the actor's.
            InvalidRequestError: the collection's name cannot be used.
            StorageFullError: no room; no case was made.
        """
        results, cases = self._taken(actor, paths, collection)
        cases = self._settled(cases, within_s, told)
        called = partial(_called, names or [path.name for path in paths], inner=tell_inner_names)
        return iter(_outcomes(results, cases, called))

    def receive_instances(
        self, actor: Actor | None, paths: Sequence[Path], collection: str
    ) -> tuple[InstanceOutcomeView, ...]:
        """Take DICOM files in as `receive` does; say of each what it is called here.

        Raises:
            NotFoundError: there is such a collection, and it is not the actor's.
            InvalidRequestError: the collection's name cannot be used.
            StorageFullError: no room; no case was made.
        """
        results, cases = self._taken(actor, paths, collection)
        cases = self._settled(cases, ANSWER_WITHIN_S, None)
        outcomes = _outcomes(results, cases, lambda _: "")
        return tuple(
            InstanceOutcomeView(
                outcome.outcome,
                outcome.code,
                *(("", "") if outcome.outcome == CaseState.REFUSED else result.instance),
            )
            for result, outcome in zip(results, outcomes, strict=True)
        )

    def _taken(
        self, actor: Actor | None, paths: Sequence[Path], collection: str
    ) -> tuple[list[FileResult], dict[str, Case]]:
        """Take files in; return what became of each, and the case of each study."""
        kept: Kept = {}
        results: list[FileResult] = []
        try:
            uploader = authorised(actor, Action.UPLOAD)
            self.rates.check(uploader, Paced.UPLOADS)
            with self.store.read() as session:
                collection = name_to_fill(session, uploader, collection)
            keep(self.blobs, self._received(paths, results), kept)
        except REFUSALS as refusal:
            self._remove_unneeded(addresses_of(kept))
            record(self, actor, Action.UPLOAD, ("", ""), refusal.code)
            raise
        if not kept:
            code = results[0].code if results else "empty"
            record(self, actor, Action.UPLOAD, ("", ""), code)
            return results, {}
        try:
            cases = self._admitted(actor, collection, kept)
        except REFUSALS:
            self._remove_unneeded(addresses_of(kept))
            raise
        by_study = {case.study_key: case for case in cases}
        logger.info("study.received", extra={"files": len(results), "count": len(cases)})
        return results, by_study

    def _settled(
        self, cases: Mapping[str, Case], within_s: float | None, told: Told | None
    ) -> dict[str, Case]:
        """Wait for the search of pixels; return the cases as they are then."""
        ids = [case.id for case in cases.values()]
        with suppress(SandboxError):  # they are kept, and searched as soon as that is possible
            self.checking.settle(ids, within_s, told)
        with self.store.read() as session:
            return {key: session.get_one(Case, case.id) for key, case in cases.items()}

    def attest(
        self,
        actor: Actor | None,
        case_id: UUID,
        decision: Decision | str,
        masks: Sequence[Mapping[str, Any]],
        idempotency_key: str,
    ) -> CaseView:
        """Decide about the pixels of a held case.

        What `mask` blanked is searched for text once more. That is waited for a little; a case
        of many frames is `checking` meanwhile.

        Args:
            actor: Who looked.
            case_id: A held case.
            decision: `clean` admits it, `mask` blanks boxes first, `refuse` ends it.
            masks: For `mask`: objects with `image_id`, `coords` (column0, row0, column1, row1,
                0 being the first pixel's centre) and perhaps `frames`; without them the box is
                blanked on every frame, since a name is rarely on one only.
            idempotency_key: A repeat with the same decision returns the case as it is.

        Raises:
            NotFoundError: there is no such case, or it is not the actor's.
            NotHeldError: it waits for no decision.
            SecondPersonRequiredError: the actor uploaded it, and that is not enough here.
            IdempotencyConflictError: the key came before with something else.
            InvalidRequestError: a box cannot be what was meant.
            TextLeftError: the boxes are blanked, and text is still found; the case stays held.
        """
        with use_case(self, actor, Action.ATTEST, ("case", case_id)) as work:
            case, collection = known_case(work.session, work.actor, case_id)
            key = inputs.key(idempotency_key)
            chosen = inputs.word(decision, Decision, "decision")
            images = images_of(work.session, case_id)
            boxes = mask_boxes(masks, images)
            if bool(boxes) is not (chosen is Decision.MASK):
                raise InvalidRequestError("Boxes belong to the decision `mask`, and only to it.")
            content = {"case_id": case_id, "decision": chosen, "masks": stored_masks(boxes)}
            if _is_repeat(work, key, content):
                return opened(work, case, collection)
            self._require_decidable(work, case)
            seen = [image.sha256 for image in images]
            if chosen is Decision.REFUSE:
                unused = refuse_held(work.session, case)
            else:
                unused = admit_held(work.session, self.blobs, case, boxes)
            fields = {
                **content,
                "person_id": work.actor.id,
                "image_sha256": seen,
                "idempotency_key": key,
                "created_at": work.at,
            }
            work.session.add(Attestation.model_validate(fields))
            work.session.flush()
            view = opened(work, case, collection)
        self._remove_unneeded(unused)  # only now: before the commit they could still be needed
        return self._searched_again(work.actor, view) if chosen is Decision.MASK else view

    def _searched_again(self, actor: Actor, view: CaseView) -> CaseView:
        self.checking.settle([view.id], ANSWER_WITHIN_S)
        with self.store.read() as session:
            case = session.get_one(Case, view.id)
            texts = texts_of(session, [image.id for image in view.images])
        left = {(t.image_id, t.frame) for each in texts.values() for t in each if not t.marker}
        if case.state is CaseState.HELD and left:
            refusal = TextLeftError(len(left))
            record(self, actor, Action.ATTEST, ("case", case.id), refusal.code)
            raise refusal
        return replace(view, state=case.state, held_because=tuple(case.held_because))

    def export_study(self, actor: Actor | None, case_id: UUID, out: Path) -> list[Path]:
        """Write the stored, de-identified study as DICOM, and every frame as PNG with the notice.

        Args:
            actor: Who takes it out.
            case_id: An admitted case.
            out: Absent or empty.

        Returns:
            The files, in order.

        Raises:
            NotFoundError: there is no such case.
            HeldError: its pixels wait for a decision.
            ExportFolderError: `out` holds other files.
            BlobDamagedError: a stored object fails its check; nothing was written.
        """
        with use_case(self, actor, Action.EXPORT_STUDY, ("case", case_id)) as work:
            readable_case(work.session, work.actor, case_id)
            images = images_of(work.session, case_id)
            instances = instances_of(work.session, [image.id for image in images])
        written: list[str] = []
        with folder_export(out, "study") as sink:
            for image in images:
                window = checked_window(image, None)
                for instance in instances[image.id]:
                    stem = f"{image.number + 1:02d}/{instance.first_frame + 1:04d}"
                    sink.add(f"{stem}.dcm", BytesIO(self.blobs.get(instance.dicom_blob)))
                    written.append(f"{stem}.dcm")
                    for frame in range(instance.frames):
                        at = instance.first_frame + frame
                        name = f"{image.number + 1:02d}/{at + 1:04d}.png"
                        picture = png(self.blobs, image, instance, at, window, watermark=True)
                        sink.add(name, BytesIO(picture))
                        written.append(name)
        return [out / name for name in written]

    def _admitted(self, actor: Actor | None, collection: str, kept: Kept) -> list[Case]:
        with use_case(self, actor, Action.UPLOAD) as work:
            home = _collection(work, collection)
            cases = admit_kept(
                work.session,
                self.blobs,
                kept,
                collection_id=home.id,
                uploaded_by=work.actor.id,
                at=work.at,
            )
            work.about = ("case", cases[0].id) if len(cases) == 1 else ("collection", home.id)
        return cases

    def _remove_unneeded(self, addresses: set[str]) -> None:
        """Leave no bytes behind that no case needs.

        Inside a transaction: another upload has named them by then, or will miss them and say
        so. What cannot be done now is logged.
        """
        if not addresses:
            return
        try:
            with self.store.write() as session:
                for address in unneeded(session, addresses):
                    self.blobs.remove(address)
        except StorageError as error:
            logger.warning("blobs.left_behind", extra={"count": len(addresses), "code": error.code})

    def _received(self, paths: Sequence[Path], results: list[FileResult]) -> Iterator[Deidentified]:
        """Yield what can be stored while the results are noted."""
        for result in receive(paths, keys=self.keys, sandbox=self.sandbox):
            results.append(result.without_item())
            if result.item is not None:
                yield result.item

    def _require_decidable(self, work: Work, case: Case) -> None:
        if case.state is CaseState.REFUSED:
            raise CaseRefusedError
        if case.state is not CaseState.HELD:
            raise NotHeldError
        if self.second_person_attests and case.uploaded_by == work.actor.id:
            raise SecondPersonRequiredError


def _collection(work: Work, name: str) -> Collection:
    if collection_named(work.session, name) is None:
        return make_collection(work.session, work.actor, name, DEFAULT_PROTOCOL, work.at)
    return collection_open_to(work.session, work.actor, name)


def _called(names: Sequence[str], result: FileResult, *, inner: bool) -> str:
    """Return what to call a file to its sender."""
    name = names[result.path_index]
    if result.entry is None:
        return name
    if not inner:
        return f"{name} #{result.entry + 1}"
    shown = "".join(letter if letter.isprintable() else "?" for letter in result.name)
    return f"{name}/{shown[:LONGEST_INNER_NAME]}"


def _outcomes(
    results: Sequence[FileResult],
    cases: Mapping[str, Case],
    called: Callable[[FileResult], str],
) -> Iterator[FileOutcomeView]:
    """Say of each file what became of it: of a stored one, what became of its study."""
    for result in results:
        case = cases.get(result.study_key)
        outcome, code, message = result.outcome, result.code, result.message
        if case is not None and result.outcome is not CaseState.REFUSED:
            outcome = case.state
            if outcome is CaseState.REFUSED:
                code, message = CaseRefusedError.code, str(CaseRefusedError())
            elif outcome is CaseState.ADMITTED:
                code, message = "", ""
            elif outcome is CaseState.CHECKING:
                code, message = "", CHECKING_SENTENCE
            else:
                code = code or case.held_because[0]
                message = message or HELD_SENTENCES.get(code, HELD_SENTENCE)
        yield FileOutcomeView(
            file=called(result),
            outcome=outcome.value,
            code=code,
            message=message,
            case_id=None if case is None or result.outcome is CaseState.REFUSED else case.id,
        )


def _is_repeat(work: Work, key: str, content: Mapping[str, Any]) -> bool:
    repeated = _attestation(work.session, work.actor.id, key)
    if repeated is None:
        return False
    if any(getattr(repeated, name) != value for name, value in content.items()):
        raise IdempotencyConflictError
    return True


def _attestation(session: Session, person_id: UUID, key: str) -> Attestation | None:
    statement = select(Attestation).where(
        Attestation.person_id == person_id, Attestation.idempotency_key == key
    )
    return session.exec(statement).first()
