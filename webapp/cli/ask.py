"""`overread ask`: a question about a case, answered in the terminal."""

import argparse
import asyncio
import sys
from uuid import uuid4

from inference.errors import WorkerUnavailableError
from webapp.api.wire import told
from webapp.cli.context import Context
from webapp.cli.parsing import Parsers, an_id
from webapp.cli.workers import any_worker
from webapp.services.actor import Actor
from webapp.services.bundle import Services, build_services
from webapp.services.views import DoneEvent, DraftView, FlagEvent, TokenEvent


def add_parser(commands: Parsers, common: argparse.ArgumentParser) -> None:
    """Describe the command."""
    command = commands.add_parser("ask", parents=[common], help="ask the model about a case")
    command.add_argument("case_id", metavar="CASE_ID", type=an_id)
    command.add_argument("question", metavar="QUESTION")
    command.add_argument("--template", metavar="ID", help="how the question is put")
    command.add_argument("--choices", metavar="A,B,C", help="answer with one of these")
    command.add_argument("--model", metavar="ID", help="a model or adapter the worker serves")
    command.add_argument(
        "--no-check", action="store_true", help="do not ask a closed question the other way round"
    )
    command.set_defaults(run=_run)


def _run(context: Context) -> int:
    context.require_installation()
    with any_worker(context.settings, context.output.note) as worker:
        services = build_services(context.settings, worker)
        draft = asyncio.run(_asked(context, services))
    shown = {"id": draft.id, "case_id": draft.case_id, "model": draft.model_id}
    context.output.result({**shown, **told(DoneEvent(draft))[1]}, f"\n{draft.notice}")
    return 0


async def _asked(context: Context, services: Services) -> DraftView:
    try:
        return await _answer(context, services, services.accounts.operator())
    finally:
        await services.aclose()


async def _answer(context: Context, services: Services, actor: Actor) -> DraftView:
    given = context.arguments
    choices = [each.strip() for each in (given.choices or "").split(",") if each.strip()]
    events = services.asking.ask(
        actor,
        given.case_id,
        text=given.question,
        idempotency_key=str(uuid4()),
        template=given.template,
        choices=choices or None,
        model=given.model,
        check=not given.no_check,
    )
    draft = None
    async for event in events:
        match event:
            case TokenEvent(text) if not context.output.json:
                sys.stdout.write(text)
                sys.stdout.flush()
            case FlagEvent(flag):
                context.output.note(f"[{flag.get('message', '')}]")
            case DoneEvent():
                draft = event.draft
            case _:
                pass
    if draft is None:
        raise WorkerUnavailableError
    if draft.consistency is not None and not draft.consistency["checked"]:
        context.output.note(f"[Not asked the other way round: {draft.consistency['reason']}]")
    return draft
