"""Use cases of turning reviews into training data: make an export, list exports, fetch files.

An export's files are blobs like any other, so what left the house can be fetched again byte by
byte. Making one reads from a snapshot and keeps nobody from writing.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, Final
from uuid import UUID

from sqlmodel import Session, col, select

from inference.catalog import catalog
from storage.blobs import BlobStore
from storage.engine import Store
from storage.errors import NotFoundError
from storage.exports.packages import Order, write_export
from storage.exports.readings import Selection
from storage.exports.sinks import BlobSink, folder_export
from storage.exports.zipped import zipped
from storage.keys import Keys
from storage.tables import Collection, Export
from storage.vocabulary import ExportFormat
from webapp.services import inputs
from webapp.services.access import collection_open_to
from webapp.services.actor import Actor
from webapp.services.policy import Action
from webapp.services.rates import Paced, Rates
from webapp.services.views import ExportView
from webapp.services.work import REFUSALS, authorised, record, use_case

FILTERS: Final = frozenset({"made_up", "modality", "model"})
MEDIA_TYPES: Final = {
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".png": "image/png",
}


@dataclass(frozen=True, slots=True)
class Exporting:
    """Training exports."""

    store: Store
    blobs: BlobStore
    keys: Keys
    now: Callable[[], datetime]
    rates: Rates = field(default_factory=Rates)

    def make(
        self,
        actor: Actor | None,
        format: str,
        collection: str | None = None,
        filters: Mapping[str, Any] | None = None,
    ) -> ExportView:
        """Make an export of a collection, or of all; one without any row is no error.

        Args:
            actor: Who asks.
            format: A word of `ExportFormat`.
            collection: Its name or its id.
            filters: `modality` and `model` (exact words), `made_up` (true or false).

        Raises:
            InvalidRequestError: an unknown format or filter.
            NotFoundError: there is no such collection.
            BlobDamagedError: a picture fails its check; nothing was made.
            StorageFullError: no room; nothing was made.
        """
        sink = BlobSink(self.blobs)
        with self._refusals_recorded(actor):
            asker = authorised(actor, Action.EXPORT)
            self.rates.check(asker, Paced.EXPORTS)
            chosen = inputs.word(format, ExportFormat, "format")
            wanted = _filters(filters)
            with self.store.read() as session:
                found = (
                    None if collection is None else collection_open_to(session, asker, collection)
                )
                selection = Selection(collection_id=None if found is None else found.id, **wanted)
                order = Order(chosen, selection, _licences())
                written = write_export(session, self.blobs, self.keys, order, sink)
        with use_case(self, actor, Action.EXPORT) as work:
            fields = {
                "format": chosen,
                "collection_id": selection.collection_id,
                "filters": wanted,
                "counts": dict(written.counts),
                "skipped": dict(written.skipped),
                "files": {
                    path: {**about, "blob": sink.addresses[path]}
                    for path, about in written.files.items()
                },
                "manifest_sha256": written.manifest_sha256,
                "created_by": work.actor.id,
                "created_at": work.at,
            }
            export = Export.model_validate(fields)
            work.session.add(export)
            work.about = ("export", export.id)
            return _view(export, None if found is None else found.name)

    def list(self, actor: Actor | None) -> list[ExportView]:
        """Return all exports, newest first."""
        with use_case(self, actor, Action.OPEN_EXPORT) as work:
            statement = (
                select(Export, Collection)
                .outerjoin(Collection, col(Collection.id) == col(Export.collection_id))
                .order_by(col(Export.created_at).desc(), col(Export.id))
            )
            return [
                _view(export, None if collection is None else collection.name)
                for export, collection in work.session.exec(statement)
            ]

    def file(self, actor: Actor | None, export_id: UUID, name: str) -> tuple[bytes, str]:
        """Return one file of an export and its media type.

        Raises:
            NotFoundError: there is no such export or file.
            BlobDamagedError: the file fails its check.
        """
        with use_case(self, actor, Action.OPEN_EXPORT, ("export", export_id)) as work:
            address = _files(work.session, export_id).get(name, {}).get("blob")
            if address is None:
                raise NotFoundError("file")
        return self.blobs.get(address), MEDIA_TYPES[PurePosixPath(name).suffix]

    def archive(self, actor: Actor | None, export_id: UUID) -> Iterator[bytes]:
        """Return all files of an export as the bytes of one zip, read as they are sent.

        Raises:
            NotFoundError: there is no such export.
        """
        with use_case(self, actor, Action.OPEN_EXPORT, ("export", export_id)) as work:
            files = _files(work.session, export_id)
        return zipped({path: about["blob"] for path, about in files.items()}, self.blobs.get)

    def write_to(
        self,
        actor: Actor | None,
        format: str,
        out: Path,
        collection: str | None = None,
        filters: Mapping[str, Any] | None = None,
    ) -> ExportView:
        """Make an export as `make` does and write its files into a folder, all or none.

        Raises:
            ExportFolderError: `out` holds other files or another format.
        """
        with self._refusals_recorded(actor):
            authorised(actor, Action.EXPORT)
            chosen = inputs.word(format, ExportFormat, "format")
        with folder_export(out, chosen) as sink:
            view = self.make(actor, chosen, collection, filters)
            with self.store.read() as session:
                files = _files(session, view.id)
            for path, about in files.items():
                sink.add(path, BytesIO(self.blobs.get(about["blob"])))
        return view

    @contextmanager
    def _refusals_recorded(self, actor: Actor | None) -> Iterator[None]:
        try:
            yield
        except REFUSALS as refusal:
            record(self, actor, Action.EXPORT, ("", ""), refusal.code)
            raise


def _filters(filters: Mapping[str, Any] | None) -> dict[str, Any]:
    given = inputs.json_object(filters, "filters")
    inputs.only(given, FILTERS, "filters")
    wanted: dict[str, Any] = {
        name: inputs.text(given[name], name, limit=200, required=True)
        for name in ("modality", "model")
        if given.get(name) is not None
    }
    if given.get("made_up") is not None:
        wanted["made_up"] = inputs.flag(given["made_up"], "made_up", default=False)
    return wanted


def _licences() -> dict[str, str]:
    return {name: entry.licence for name, entry in catalog().items()}


def _files(session: Session, export_id: UUID) -> dict[str, dict[str, Any]]:
    export = session.get(Export, export_id)
    if export is None:
        raise NotFoundError("export")
    return export.files


def _view(export: Export, collection: str | None) -> ExportView:
    files = {
        path: {"sha256": about["sha256"], "bytes": about["bytes"]}
        for path, about in sorted(export.files.items())
    }
    return ExportView(
        id=export.id,
        format=export.format,
        collection=collection,
        counts=export.counts,
        skipped=export.skipped,
        files=files,
        manifest_sha256=export.manifest_sha256,
        created_at=export.created_at,
    )
