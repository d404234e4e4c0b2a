"""Whether the audit chain is whole, and which event is the first that is not.

Walks the rows once, in the order of their numbers and with a server-side cursor, so that a
million events need no more memory than one. What the chain cannot show of itself, a cut at its
end or a chain computed anew, is found by the heads that were written outside the database.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnClause, column, select, table
from sqlmodel import Session

from storage.audit import COLUMNS, FIRST_PREVIOUS_HASH, hash_of
from storage.vocabulary import Outcome

ROWS_AT_ONCE: Final = 2_000


class Fault(StrEnum):
    """What is wrong with the first event that does not fit."""

    EDITED = "edited"  # its fields do not give its hash
    MISSING = "missing"  # there is no event of this number, though later ones are there
    FOREIGN = "foreign"  # it does not follow from the event before it
    REWRITTEN = "rewritten"  # it fits the chain, but not the head kept outside
    CUT = "cut"  # the chain ends before it, and a head kept outside says that it was there


@dataclass(frozen=True, slots=True)
class Break:
    """The first event that does not fit."""

    seq: int
    fault: Fault


@dataclass(frozen=True, slots=True)
class Checked:
    """What a walk along the chain found."""

    events: int  # that fit, from the first on
    head: str  # hash of the last that fits
    broken: Break | None


def check_chain(session: Session, heads: Mapping[int, str]) -> Checked:
    """Walk along the chain up to the first event that does not fit.

    Args:
        session: Anything that sees one snapshot.
        heads: Hashes by event number, as kept outside the database.
    """
    previous, seq = FIRST_PREVIOUS_HASH, 0
    # columns without types: a value that somebody put there need not be one of its type
    every: list[ColumnClause[Any]] = [column(name) for name in COLUMNS]
    statement = select(*every).select_from(table("audit_event"))
    options = {"yield_per": ROWS_AT_ONCE}
    with session.connection().execute(
        statement.order_by(column("seq")), execution_options=options
    ) as rows:
        for row in rows:
            fault = _fault(dict(zip(COLUMNS, row, strict=True)), seq + 1, previous, heads)
            if fault is not None:
                return Checked(seq, previous, Break(seq + 1, fault))
            previous, seq = row[-1], seq + 1
    cut = Break(seq + 1, Fault.CUT) if max(heads, default=0) > seq else None
    return Checked(seq, previous, cut)


def _fault(
    fields: dict[str, Any], expected: int, previous: str, heads: Mapping[int, str]
) -> Fault | None:
    own = fields.pop("hash")
    if fields["seq"] != expected:
        return Fault.MISSING
    try:
        edited = own != hash_of(_typed(fields))
    except (TypeError, ValueError):  # no event can hold this
        edited = True
    if edited:
        return Fault.EDITED
    if fields["previous_hash"] != previous:
        return Fault.FOREIGN
    return Fault.REWRITTEN if heads.get(expected, own) != own else None


def _typed(fields: dict[str, Any]) -> dict[str, Any]:
    """Turn SQLite's texts into what Postgres gives at once."""
    at, actor_id = fields["at"], fields["actor_id"]
    if isinstance(at, str):
        at = datetime.fromisoformat(at).replace(tzinfo=UTC)
    if isinstance(actor_id, str):
        actor_id = UUID(actor_id)
    return {**fields, "at": at, "actor_id": actor_id, "outcome": Outcome(fields["outcome"])}
