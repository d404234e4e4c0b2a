"""Pull studies out of a DICOMweb archive into a collection, through the same study door.

One study is one upload: its files lie in a private folder until all of it has come, and are
gone right after. Whether a study is here already is seen by the pseudonyms of its images, so a
pull that broke off goes on where it was, and nothing about the archive need be remembered.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import UUID

from sqlmodel import col, select

from storage.collections import collection_named
from storage.intake.limits import Limits
from storage.intake.pseudonyms import Pseudonyms
from storage.intake.scan import IMAGE_CLASSES
from storage.tables import Case, Image, Instance
from webapp.services.actor import Actor
from webapp.services.dicomweb import (
    INSTANCE,
    MODALITY,
    SERIES,
    SOP_CLASS,
    Archive,
    ArchiveError,
    ArchiveTooLargeError,
    Item,
    text,
)
from webapp.services.folders import private_folder
from webapp.services.parts import Parts
from webapp.services.policy import Action
from webapp.services.studies import Studies
from webapp.services.work import authorised

STUDY_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Pulled:
    """What became of one study; it is called by its place in the search, never by its UID.

    Attributes:
        study: 1 for the first study found.
        outcome: `pulled`, `present` (all of it was here), `empty` (no image that is read here)
            or `failed`.
        code: Why it failed.
        message: The same in words.
        files: Files that came.
        skipped: Instances that are no images or not of the modality asked for.
        outcomes: How many files were admitted, held and refused.
        codes: Why files were held or refused, counted.
        case_ids: The cases made.
    """

    study: int
    outcome: str
    code: str = ""
    message: str = ""
    files: int = 0
    skipped: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    case_ids: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one study is."""

    study: int
    studies: int
    files: int
    of_files: int
    bytes_in: int


@dataclass(frozen=True, slots=True)
class Pulling:
    """Takes studies over from an archive."""

    studies: Studies
    data_dir: Path
    limits: Limits = field(default_factory=Limits)

    def pull(
        self,
        actor: Actor,
        archive: Archive,
        collection: str,
        criteria: Mapping[str, str],
        *,
        most: int,
        told: Callable[[Progress], None],
    ) -> Iterator[Pulled]:
        """Search, then bring in every study that is not here yet.

        Args:
            actor: Who brings the data in.
            archive: Who is asked.
            collection: Where the cases go.
            criteria: Attributes as QIDO-RS takes them; a modality also chooses series.
            most: Studies; a search that finds more is refused before anything is retrieved.
            told: Called as files come in.

        Yields:
            One outcome a study; a failed one does not end the others.

        Raises:
            ArchiveError: the search failed, or finds more than `most`.
            NotAllowedError: the actor may not upload.
        """
        authorised(actor, Action.UPLOAD)
        found = archive.studies(criteria, most)
        if len(found) > most:
            raise ArchiveTooLargeError(
                f"The search finds more than {most:,} studies. Narrow it, or raise --limit."
            )
        modality = criteria.get("ModalitiesInStudy", "")
        for number, study in enumerate(found, 1):

            def tell(parts: Parts, wanted: int, number: int = number) -> None:
                told(Progress(number, len(found), len(parts.paths), wanted, parts.bytes_in))

            try:
                yield self._study(actor, archive, collection, (number, study), modality, tell)
            except ArchiveError as error:
                yield Pulled(number, "failed", error.code, str(error))

    def _study(
        self,
        actor: Actor,
        archive: Archive,
        collection: str,
        numbered: tuple[int, str],
        modality: str,
        tell: Callable[[Parts, int], None],
    ) -> Pulled:
        number, study = numbered
        items = archive.instances(study, self.limits.files)
        wanted = [item for item in items if _is_wanted(item, modality)]
        skipped = len(items) - len(wanted)
        if not wanted:
            return Pulled(number, "empty", skipped=skipped)
        if self._is_here(collection, study, wanted):
            return Pulled(number, "present", skipped=skipped)
        until = time.monotonic() + STUDY_SECONDS
        with private_folder(self.data_dir) as folder:
            parts = Parts(folder, self.limits.study_bytes, self.limits.files)
            for series in dict.fromkeys(text(item, SERIES) for item in wanted):
                archive.retrieve(study, series, parts, until, lambda: tell(parts, len(wanted)))
            tell(parts, len(wanted))
            if len(parts.paths) < len(wanted):
                raise ArchiveError("The archive sent fewer images than it lists.")
            outcomes = list(self.studies.receive(actor, parts.paths, collection, within_s=None))
        return Pulled(
            number,
            "pulled",
            files=len(outcomes),
            skipped=skipped,
            outcomes=dict(Counter(outcome.outcome for outcome in outcomes)),
            codes=dict(Counter(outcome.code for outcome in outcomes if outcome.code)),
            case_ids=tuple(dict.fromkeys(o.case_id for o in outcomes if o.case_id)),
        )

    def _is_here(self, collection: str, study: str, wanted: Sequence[Item]) -> bool:
        """Tell whether all wanted images of a study are in one case of the collection."""
        pseudonyms = Pseudonyms(self.studies.keys.pseudonym)
        uids = {pseudonyms.uid(text(item, INSTANCE)) for item in wanted}
        with self.studies.store.read() as session:
            home = collection_named(session, collection)
            if home is None:
                return False
            held = (
                select(Case.id, Instance.sop_instance_uid)
                .join(Image, col(Image.case_id) == col(Case.id))
                .join(Instance, col(Instance.image_id) == col(Image.id))
                .where(Case.collection_id == home.id, Case.study_key == pseudonyms.uid(study))
            )
            by_case: dict[UUID, set[str]] = {}
            for case_id, uid in session.exec(held):
                by_case.setdefault(case_id, set()).add(uid)
        return any(uids <= of_case for of_case in by_case.values())


def _is_wanted(item: Item, modality: str) -> bool:
    """Tell whether an instance is an image, as far as the archive says, and of the modality."""
    sop_class, own = text(item, SOP_CLASS), text(item, MODALITY)
    readable = not sop_class or sop_class in IMAGE_CLASSES
    return readable and bool(text(item, SERIES)) and (not modality or own in ("", modality))
