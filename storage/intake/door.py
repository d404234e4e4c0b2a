"""The one entrance: paths in, one result a file out, in the order the files came.

Files are decoded by several children at once while the caller stores what is ready, and no
more than a few are in memory at a time.
"""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Self

from storage.intake.archive import Found, find_files
from storage.intake.deidentify import Deidentified, deidentify
from storage.intake.limits import Limits
from storage.intake.pseudonyms import Pseudonyms
from storage.intake.refusals import SENTENCES, RefusedFileError
from storage.intake.sandbox import Crew, Sandbox
from storage.intake.scan import kind_of
from storage.keys import Keys
from storage.vocabulary import CaseState

HELD_SENTENCE: Final = (
    "Before anyone reads this image, a person must confirm that nothing in it names the patient."
)
FACE_SENTENCE: Final = (
    "A face could be rebuilt from these thin slices of a head; before anyone reads them, a person "
    "must decide whether they may be kept."
)
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of one file.

    Attributes:
        path_index: Which of the paths given it came from.
        entry: Its number within a folder or archive; None for a single file.
        outcome: `admitted`, `held` or `refused`.
        code: Why it is held or refused; empty when admitted.
        message: The same as a sentence a clinician may read.
        study_key: Pseudonymous study of an image that was not refused, as `Case.study_key`.
        instance: SOP class and pseudonymous SOP instance of an image that was not refused.
        item: What to store; None when refused, and in copies made by `without_item`.
        name: Where it lies within its folder or archive; only ever told to who sent it.
    """

    path_index: int
    entry: int | None
    outcome: CaseState
    code: str = ""
    message: str = ""
    study_key: str = ""
    instance: tuple[str, str] = ("", "")
    item: Deidentified | None = field(default=None, repr=False)
    name: str = field(default="", repr=False)

    def without_item(self) -> Self:
        """Return a copy that is small enough to keep."""
        return replace(self, item=None)


def receive(
    paths: Sequence[Path], *, keys: Keys, sandbox: Sandbox, limits: Limits | None = None
) -> Iterator[FileResult]:
    """Take in DICOM, NIfTI, PNG and JPEG files, folders of them and zip archives.

    Args:
        paths: Files that nobody else is writing, in the order of the upload.
        keys: For pseudonyms and content keys.
        sandbox: Where files are decoded.
        limits: Of the upload; the sandbox's own by default.

    Yields:
        One result a file, in order; an archive that is refused as a whole gives one.

    Raises:
        storage.intake.sandbox.SandboxError: no file can be decoded on this machine.
    """
    pseudonyms = Pseudonyms(keys.pseudonym)
    seen: dict[str, str] = {}
    with (
        sandbox.crew() as crew,
        ThreadPoolExecutor(sandbox.workers, thread_name_prefix="intake") as threads,
    ):
        waiting: deque[Future[FileResult]] = deque()
        for found in find_files(paths, limits or sandbox.limits):
            waiting.append(threads.submit(_take, found, pseudonyms, crew))
            if len(waiting) > sandbox.workers:
                yield _unless_doubled(waiting.popleft().result(), seen)
        while waiting:
            yield _unless_doubled(waiting.popleft().result(), seen)


def _take(found: Found, pseudonyms: Pseudonyms, crew: Crew) -> FileResult:
    """De-identify one file, or say why not."""
    try:
        if found.refused:
            raise RefusedFileError(found.refused)
        kind_of(found.data[:132])  # most of what is no image never reaches a child
        item = deidentify(found.data, pseudonyms=pseudonyms, crew=crew)
    except RefusedFileError as refusal:
        logger.info("intake.refused", extra={"code": refusal.code})
        return _refused(found, refusal.code)
    facts = item.facts
    held = CaseState.HELD if facts.held else CaseState.ADMITTED
    return FileResult(
        path_index=found.path_index,
        entry=found.entry,
        outcome=held,
        code=facts.held[0] if facts.held else "",
        message=HELD_SENTENCE if facts.held else "",
        study_key=facts.study_key,
        instance=(facts.sop_class, facts.sop_instance_uid),
        item=item,
        name=found.name,
    )


def _unless_doubled(result: FileResult, seen: dict[str, str]) -> FileResult:
    """Refuse an image that shares its identity, but not its content, with an earlier one."""
    if result.item is None:
        return result
    uid, content = result.item.facts.sop_instance_uid, result.item.content_key
    if seen.setdefault(uid, content) != content:
        return _refused(result, "duplicate_instance")
    return result


def _refused(file: Found | FileResult, code: str) -> FileResult:
    """Return the result of a refusal."""
    refused = CaseState.REFUSED
    return FileResult(file.path_index, file.entry, refused, code, SENTENCES[code], name=file.name)
