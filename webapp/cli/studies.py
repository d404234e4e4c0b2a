"""`overread studies`: what is stored, in a list, in detail, and as files."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from webapp.cli.context import Context
from webapp.cli.parsing import Parsers, an_id
from webapp.services.actor import Actor
from webapp.services.bundle import Services
from webapp.services.views import CaseRow, CaseView

PAGE: int = 100


def add_parser(commands: Parsers, common: argparse.ArgumentParser) -> None:
    """Describe the command."""
    group = commands.add_parser("studies", help="list, show and export stored studies")
    actions = group.add_subparsers(title="actions", required=True, metavar="ACTION")
    listed = actions.add_parser("list", parents=[common], help="list cases, newest first")
    listed.add_argument("--collection", metavar="NAME")
    listed.add_argument("--state", help="such as admitted, held, todo, drafted or done")
    listed.set_defaults(run=_list)
    show = actions.add_parser("show", parents=[common], help="show one case")
    show.add_argument("case_id", metavar="CASE_ID", type=an_id)
    show.set_defaults(run=_show)
    export = actions.add_parser(
        "export", parents=[common], help="write the stored, de-identified study as DICOM and PNG"
    )
    export.add_argument("case_id", metavar="CASE_ID", type=an_id)
    export.add_argument("--out", required=True, type=Path, metavar="DIR")
    export.set_defaults(run=_export)


def _list(context: Context) -> int:
    with context.services() as (services, operator):
        rows = list(_cases(context, services, operator))
    table: list[tuple[object, ...]] = [("case", "collection", "study", "state", "images", "added")]
    table += [
        (
            row.id,
            row.collection,
            f"{row.modality} {row.body_part}".strip() + (" (made up)" if row.made_up else ""),
            row.state.value,
            row.image_count,
            f"{row.created_at:%Y-%m-%d %H:%M}",
        )
        for row in rows
    ]
    context.output.rows(rows, table, "There are no cases. Bring some in with `overread ingest`.")
    return 0


def _cases(context: Context, services: Services, operator: Actor) -> Iterator[CaseRow]:
    given, cursor = context.arguments, None
    while True:
        page = services.worklist.page(
            operator, collection=given.collection, state=given.state, cursor=cursor, limit=PAGE
        )
        yield from page.items
        if (cursor := page.next) is None:
            return


def _show(context: Context) -> int:
    with context.services() as (services, operator):
        case = services.worklist.case(operator, context.arguments.case_id)
    context.output.result(case, _described(case))
    return 0


def _described(case: CaseView) -> str:
    lines = [
        f"case        {case.id}",
        f"collection  {case.collection} ({case.protocol.value})",
        f"state       {case.state.value} {', '.join(case.held_because)}".rstrip(),
        f"study       {case.modality} {case.body_part}{' (made up)' if case.made_up else ''}",
    ]
    lines += [
        f"image       {image.id}  {image.columns} × {image.rows}, {image.frames} frames, "
        f"{image.dtype}, {image.units}"
        for image in case.images
    ]
    lines += [f"asked       {message.text}" for message in case.messages]
    return "\n".join(lines)


def _export(context: Context) -> int:
    given = context.arguments
    with context.services() as (services, operator):
        files = services.studies.export_study(operator, given.case_id, given.out)
    shown = {"id": given.case_id, "out": str(given.out), "files": [str(file) for file in files]}
    context.output.result(shown, f"{len(files)} files in {given.out}.")
    return 0
