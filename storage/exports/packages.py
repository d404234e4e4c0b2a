"""Write an export: rows by split, the full records beside them, pictures, and a manifest.

Nothing in it tells when or by whom it was made: equal data give equal bytes.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Final

from sqlmodel import Session

from storage.blobs import BlobStore, full_disk_is_refused
from storage.durable import make_private
from storage.exports.lines import Lines, described, line
from storage.exports.readings import Reading, Selection, case_files, own_reads, readings
from storage.exports.records import (
    SCHEMA_VERSION,
    Pseudonym,
    case_record,
    own_read_record,
    picture_path,
    pseudonyms,
    record,
)
from storage.exports.rows import Skipped, training_row
from storage.exports.sinks import MANIFEST, Sink
from storage.exports.splits import SHARES, Split, splits
from storage.identifying import identifying
from storage.keys import Keys
from storage.notice import NOTICE
from storage.sentences import VERSION as SENTENCES_VERSION
from storage.vocabulary import CaseState, ExportFormat

FORMAT_VERSION: Final = "1"
TERMS: Final = (
    "Images and texts keep the terms under which this installation received them, and a model's "
    "licence may limit what its drafts are used for. Not a medical device; not for clinical use."
)


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be exported; `model_notes` says of a model id what its licence is."""

    format: ExportFormat
    selection: Selection = field(default_factory=Selection)
    model_notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Written:
    """What came out: rows by split, and sha256 and size (bytes) of every file by its path.

    `skipped` counts the reviews that gave no row, by reason.
    """

    counts: Mapping[str, int]
    skipped: Mapping[str, int]
    files: Mapping[str, Mapping[str, Any]]
    manifest_sha256: str


def write_export(
    session: Session, blobs: BlobStore, keys: Keys, order: Order, sink: Sink
) -> Written:
    """Write every file of an export into the sink, the manifest last.

    Raises:
        BlobDamagedError: a picture fails its check or is missing.
        StorageFullError: no room.
    """
    with full_disk_is_refused(), ExitStack() as stack:
        make_private(blobs.root)
        package = _Package(stack, order, pseudonyms(keys), blobs.root)
        package.take(readings(session, order.selection, splits(session)))
        if order.format is ExportFormat.FULL:
            package.add_lines(
                "cases.jsonl",
                (
                    case_record(file, package.pseudonym)
                    for file in case_files(session, order.selection)
                ),
            )
            package.add_lines(
                "own_reads.jsonl",
                (
                    own_read_record(case, own_read, package.pseudonym)
                    for case, own_read in own_reads(session, order.selection)
                    if not identifying(own_read.flags)
                ),
            )
        return package.finish(blobs, sink)


class _Package:
    """The files of one export while they are written."""

    def __init__(
        self, stack: ExitStack, order: Order, pseudonym: Pseudonym, spool_folder: Path
    ) -> None:
        self.pseudonym = pseudonym
        self._spool_folder = spool_folder
        self._stack = stack
        self._order = order
        self._files: dict[str, Lines] = {}
        self._pictures: dict[str, str] = {}  # sha256 -> blob
        self._counts = dict.fromkeys((split.value for split in Split), 0)
        self._skipped: Counter[str] = Counter()
        self._models: Counter[str] = Counter()  # canonical JSON of what made the drafts

    def take(self, found: Iterable[Reading]) -> None:
        """Write every reading to the file it belongs to, or count why it has none."""
        take = self._take_full if self._order.format is ExportFormat.FULL else self._take_training
        for name in self._layout():
            self._lines(name)
        for reading in found:
            take(reading)

    def add_lines(self, name: str, records: Iterable[Mapping[str, Any]]) -> None:
        """Write a file of one JSON object a line."""
        lines = self._lines(name)
        for one in records:
            lines.add(one)

    def finish(self, blobs: BlobStore, sink: Sink) -> Written:
        """Hand all files to the sink and return what was written."""
        files: dict[str, Mapping[str, Any]] = {}
        for name, content in self._contents(blobs):
            files[name] = described(content)
            sink.add(name, content)
        manifest = BytesIO(_manifest(self._about(), files))
        of_manifest = described(manifest)
        sink.add(MANIFEST, manifest)
        return Written(
            self._counts, self._skipped, files | {MANIFEST: of_manifest}, of_manifest["sha256"]
        )

    def _take_full(self, reading: Reading) -> None:
        if reading.identifying:
            self._skipped[Skipped.IDENTIFYING] += 1
            return
        name = "unreviewed.jsonl" if reading.review is None else "records.jsonl"
        self._lines(name).add(record(reading, self.pseudonym))
        if reading.review is not None:
            self._counts[reading.split] += 1
        if reading.case.state is CaseState.ADMITTED:
            self._count_draft(reading)

    def _take_training(self, reading: Reading) -> None:
        row = training_row(self._order.format, reading)
        if isinstance(row, Skipped):
            self._skipped[row] += 1
            return
        self._lines(self._name_of(reading.split)).add(row)
        self._lines("provenance.jsonl").add(record(reading, self.pseudonym))
        self._counts[reading.split] += 1
        self._count_draft(reading)

    def _count_draft(self, reading: Reading) -> None:
        draft = reading.draft
        if draft is None:
            return
        self._pictures |= {image["sha256"]: image["png_blob"] for image in draft.images}
        made_by = (
            "model_id",
            "family",
            "weights_revision",
            "weights_sha256",
            "adapter",
            "adapter_sha256",
        )
        self._models[line({name: getattr(draft, name) for name in made_by})] += 1

    def _layout(self) -> list[str]:
        if self._order.format is ExportFormat.FULL:
            return ["records.jsonl", "unreviewed.jsonl"]
        return [*(self._name_of(split) for split in Split), "provenance.jsonl"]

    def _name_of(self, split: Split) -> str:
        ending = "json" if self._order.format is ExportFormat.LLAVA else "jsonl"
        return f"{split.value}.{ending}"

    def _lines(self, name: str) -> Lines:
        if name not in self._files:
            lines = Lines(self._spool_folder, as_list=name.endswith(".json"))
            self._files[name] = self._stack.enter_context(lines)
        return self._files[name]

    def _contents(self, blobs: BlobStore) -> Iterator[tuple[str, BinaryIO]]:
        for name, lines in sorted(self._files.items()):
            yield name, lines.finished()
        for sha256, blob in sorted(self._pictures.items()):
            yield picture_path(sha256), BytesIO(blobs.get(blob))

    def _about(self) -> dict[str, Any]:
        models = [
            json.loads(made_by) | {"drafts": count}
            for made_by, count in sorted(self._models.items())
        ]
        notes = self._order.model_notes
        selection = asdict(self._order.selection)
        return {
            "format": self._order.format.value,
            "format_version": FORMAT_VERSION,
            "schema_version": SCHEMA_VERSION,
            "sentences_version": SENTENCES_VERSION,
            "notice": NOTICE,
            "terms": TERMS,
            "selection": {name: _text(value) for name, value in selection.items()},
            "split": {"by": "patient", "upper_bounds": {s.value: share for s, share in SHARES}},
            "counts": self._counts,
            "skipped": self._skipped,
            "models": [model | {"note": notes.get(model["model_id"], "")} for model in models],
        }


def _manifest(about: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]]) -> bytes:
    text = json.dumps({**about, "files": files}, ensure_ascii=False, sort_keys=True, indent=1)
    return text.encode() + b"\n"


def _text(value: object) -> object:
    return value if value is None or isinstance(value, bool) else str(value)
