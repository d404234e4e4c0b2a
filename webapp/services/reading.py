"""Use cases of reading without the model: own findings, and half-written work."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from inference.safety import screen
from storage.engine import Store
from storage.errors import AlreadyCommittedError, IdempotencyConflictError
from storage.reading import own_read_by_key, own_read_of, progress, save_progress
from storage.tables import OwnRead
from storage.vocabulary import FindingState, Side
from webapp.services import inputs
from webapp.services.access import known_case, readable_case
from webapp.services.actor import Actor
from webapp.services.policy import Action
from webapp.services.present import own_read_view
from webapp.services.views import OwnReadView
from webapp.services.work import use_case

MAX_FINDINGS: Final = 100
FINDING_FIELDS: Final = frozenset({"finding", "state", "side", "confidence"})


@dataclass(frozen=True, slots=True)
class Reading:
    """Own reads, which stand for ever, and half-written work, which does not."""

    store: Store
    now: Callable[[], datetime]

    def commit_own_read(
        self,
        actor: Actor | None,
        case_id: UUID,
        *,
        text: str,
        idempotency_key: str,
        findings: Sequence[object] = (),
        confidence: int | None = None,
    ) -> OwnReadView:
        """Commit the actor's own findings; they are never changed afterwards.

        Args:
            actor: Who reads.
            case_id: An admitted case.
            text: In the reader's own words; needed when there are no findings.
            idempotency_key: A repeat with the same content returns the first result.
            findings: Objects with `finding`, `state`, and perhaps `side` and `confidence`.
            confidence: 1 to 5.

        Raises:
            NotFoundError: there is no such case, or it is not the actor's.
            HeldError: the case is not admitted yet.
            AlreadyCommittedError: the actor has committed another read of it.
            IdempotencyConflictError: the key came before with something else.
            InvalidRequestError: a field cannot be stored.
        """
        with use_case(self, actor, Action.COMMIT_OWN_READ, ("case", case_id)) as work:
            readable_case(work.session, work.actor, case_id)
            given = [
                _finding(item) for item in inputs.sequence(findings, "findings", limit=MAX_FINDINGS)
            ]
            content = {
                "case_id": case_id,
                "text": inputs.text(text, "read", required=not given),
                "findings": given,
                "confidence": inputs.confidence(confidence),
            }
            repeated = own_read_by_key(work.session, work.actor.id, inputs.key(idempotency_key))
            if repeated is not None:
                if any(getattr(repeated, name) != value for name, value in content.items()):
                    raise IdempotencyConflictError
                return own_read_view(repeated)
            if own_read_of(work.session, case_id, work.actor.id) is not None:
                raise AlreadyCommittedError
            own_read = OwnRead.model_validate(
                {
                    **content,
                    "person_id": work.actor.id,
                    "flags": [flag.as_json() for flag in screen(text, where="own_read")],
                    "idempotency_key": idempotency_key,
                    "committed_at": work.at,
                }
            )
            work.session.add(own_read)
            work.session.flush()
            return own_read_view(own_read)

    def save_progress(self, actor: Actor | None, case_id: UUID, content: dict[str, Any]) -> None:
        """Keep half-written work of the actor about a case, in place of what was kept before.

        Raises:
            NotFoundError: there is no such case, or it is not the actor's.
            InvalidRequestError: not a JSON object, too large, or not storable.
        """
        with use_case(self, actor, Action.SAVE_PROGRESS, ("case", case_id)) as work:
            known_case(work.session, work.actor, case_id)
            save_progress(
                work.session,
                person_id=work.actor.id,
                case_id=case_id,
                content=inputs.json_object(content, "half-written work"),
                at=work.at,
            )

    def progress(self, actor: Actor | None, case_id: UUID) -> dict[str, Any] | None:
        """Return the actor's half-written work about a case.

        Raises:
            NotFoundError: there is no such case, or it is not the actor's.
        """
        with use_case(self, actor, Action.OPEN_PROGRESS, ("case", case_id)) as work:
            known_case(work.session, work.actor, case_id)
            return progress(work.session, work.actor.id, case_id)


def _finding(item: object) -> dict[str, Any]:
    fields = inputs.mapping(item, "finding")
    inputs.only(fields, FINDING_FIELDS, "finding")
    side = inputs.optional_word(fields.get("side") or None, Side, "side")
    state = fields.get("state", FindingState.PRESENT.value)
    return {
        "finding": inputs.line(fields.get("finding"), "finding", limit=200, required=True),
        "state": inputs.word(state, FindingState, "state of a finding").value,
        "side": None if side is None else side.value,
        "confidence": inputs.confidence(fields.get("confidence")),
    }
