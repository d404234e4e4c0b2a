"""`overread ask`: a question about a case, or a list of them, answered in the terminal."""

import argparse
import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar
from uuid import uuid4

from inference.errors import WorkerUnavailableError
from storage.notice import NOTICE
from webapp.api.wire import told
from webapp.cli.context import Context
from webapp.cli.output import CommandError
from webapp.cli.parsing import Parsers, an_id
from webapp.cli.workers import any_worker
from webapp.services.bundle import Services, build_services
from webapp.services.views import (
    BatteryDoneEvent,
    BatteryErrorEvent,
    BatteryResultEvent,
    DoneEvent,
    DraftView,
    FlagEvent,
    TokenEvent,
)

Result = TypeVar("Result")


def add_parser(commands: Parsers, common: argparse.ArgumentParser) -> None:
    """Describe the command."""
    command = commands.add_parser("ask", parents=[common], help="ask the model about a case")
    command.add_argument("case_id", metavar="CASE_ID", type=an_id)
    command.add_argument("question", metavar="QUESTION", nargs="?")
    command.add_argument(
        "--battery", metavar="ID", help="ask a list of questions instead, such as chest-findings"
    )
    command.add_argument("--template", metavar="ID", help="how the question is put")
    command.add_argument("--choices", metavar="A,B,C", help="answer with one of these")
    command.add_argument("--model", metavar="ID", help="a model or adapter the worker serves")
    command.add_argument(
        "--no-check", action="store_true", help="do not ask a closed question the other way round"
    )
    command.set_defaults(run=_run)


def _run(context: Context) -> int:
    given = context.arguments
    if (given.question is None) is (given.battery is None):
        raise CommandError("Give either a question or --battery.")
    if given.battery is not None and (given.template or given.choices):
        raise CommandError("A battery has its own template and choices.")
    context.require_installation()
    with any_worker(context.settings, context.output.note) as worker:
        services = build_services(context.settings, worker)
        if given.battery is not None:
            return asyncio.run(_closing(services, _battery(context, services)))
        draft = asyncio.run(_closing(services, _answer(context, services)))
    shown = {"id": draft.id, "case_id": draft.case_id, "model": draft.model_id}
    context.output.result({**shown, **told(DoneEvent(draft))[1]}, f"\n{draft.notice}")
    return 0


async def _closing(services: Services, work: Coroutine[Any, Any, Result]) -> Result:
    try:
        return await work
    finally:
        await services.aclose()


async def _answer(context: Context, services: Services) -> DraftView:
    given = context.arguments
    choices = [each.strip() for each in (given.choices or "").split(",") if each.strip()]
    events = services.asking.ask(
        services.accounts.operator(),
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


async def _battery(context: Context, services: Services) -> int:
    """Print each result as it comes, or with `--json` all of them in one object at the end."""
    given = context.arguments
    items: list[dict[str, Any]] = []
    failed = True
    events = services.batteries.ask(
        services.accounts.operator(),
        given.case_id,
        battery=given.battery,
        idempotency_key=str(uuid4()),
        model=given.model,
        check=not given.no_check,
    )
    async for event in events:
        _, data = told(event)
        match event:
            case BatteryDoneEvent():
                failed = event.failed > 0
                shown = f"\n{event.finished} of {event.asked} answered, {event.flagged} flagged."
                context.output.result({"items": items, **data}, f"{shown}\n{NOTICE}")
            case BatteryResultEvent():
                items.append(data)
                _line(context, event.question.finding, _in_short(event.draft))
            case BatteryErrorEvent():
                items.append(
                    {
                        "question": data["question"],
                        "error": {"code": event.code, "message": event.message},
                    }
                )
                _line(context, event.question.finding, event.message)
    return int(failed)


def _line(context: Context, finding: str, said: str) -> None:
    if not context.output.json:
        context.output.line(f"{finding:<28}{said}")


def _in_short(draft: DraftView) -> str:
    answer = draft.shown_text.partition("\n")[0]
    share = (draft.choices or {}).get(answer)
    odds = "" if share is None else f" {share:.0%}"
    return " · ".join([answer + odds, *(str(flag["message"]) for flag in draft.flags)])
