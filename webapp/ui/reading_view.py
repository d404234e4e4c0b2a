"""What the reading page shows of a case, as plain values: no components and no events here."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final
from uuid import UUID

from inference.prompts.battery import battery
from storage.vocabulary import CaseState, Progress
from webapp.services.views import CaseView, DraftView, MessageView, ReviewView
from webapp.ui import held_text, words
from webapp.ui.common import as_text, in_table, when

BATTERY: Final = "chest-findings"

Turn = dict[str, Any]


@dataclass(frozen=True, slots=True)
class OnScreen:
    """What the viewer last said of itself: the view sent with a question, and the rectangles."""

    view: dict[str, Any] | None
    regions: list[dict[str, Any]]

    @classmethod
    def read(cls, text: str) -> "OnScreen":
        """Parse the viewer's JSON; before it has spoken there is no view and no rectangle."""
        try:
            said = json.loads(text) if text else {}
        except ValueError:
            said = {}
        return cls(view=said.get("view"), regions=list(said.get("regions") or []))

    def images(self) -> list[dict[str, Any]] | None:
        """Return the frame and window to ask about; None leaves the choice to the use case."""
        if not self.view or not self.view.get("image_id"):
            return None
        return [{key: self.view.get(key) for key in ("image_id", "frame", "window")}]


def header(case: CaseView) -> str:
    """Return the line that says which case this is."""
    made_up = f" · **{words.MADE_UP}**" if case.made_up else ""
    study = in_table(" ".join(part for part in (case.modality, case.body_part) if part))
    state = (
        words.PROGRESS[case.progress]
        if case.state is CaseState.ADMITTED
        else words.STATES[case.state]
    )
    if case.progress is Progress.DONE and (waiting := _not_reviewed(case)):
        state += words.STILL_WAITING.format(count=waiting)
    return (
        f"### {case.id.hex[:8].upper()} · {study}{made_up}\n"
        f"{in_table(case.collection)} · {words.PROTOCOLS[case.protocol]} · {state}"
    )


def search_state(case: CaseView) -> str:
    """Return the JSON from which the page's script follows the search for text; else empty."""
    if case.state is not CaseState.CHECKING:
        return ""
    return json.dumps({"case_id": str(case.id), "checked": case.checked, "told": words.CHECKING})


def held(case: CaseView) -> str:
    """Return why a held case is held, and what to do."""
    reasons = "; ".join(words.HELD.get(code, code) for code in case.held_because)
    found = len(held_text.places(case))
    count = sum(image.frames for image in case.images)
    more = words.HELD_FOUND.format(frames=found, count=count) if found else ""
    return words.HELD_HELP.format(reasons=reasons) + more


def viewer_state(case: CaseView, regions: list[dict[str, Any]], selected: int | None = None) -> str:
    """Return the JSON the browser's viewer reads; it goes to the rectangle of `selected`."""
    images = [
        {
            "id": str(image.id),
            "label": f"{image.modality} {image.view_position}".strip(),
            "sha256": image.sha256,
        }
        for image in case.images
    ]
    return json.dumps(
        {
            "case_id": str(case.id),
            "images": images,
            "selected_sentence": selected,
            "regions": regions,
            "readonly": False,
        }
    )


def suits_battery(case: CaseView) -> bool:
    """Say whether the case is surely a chest film, which the 14 findings are about."""
    return battery(BATTERY).suits(case.modality, case.body_part) is True


def battery_state(drafts: Mapping[str, DraftView], *, running: bool = False) -> str:
    """Return the JSON from which the page's script draws the table; empty without a result.

    Args:
        drafts: The answers there are, by the question's id in the battery.
        running: Whether more are coming.
    """
    if not drafts and not running:
        return ""
    asked = battery(BATTERY).questions
    progress = words.BATTERY_PROGRESS.format(answered=len(drafts), asked=len(asked))
    rows = [_battery_row(each.finding, drafts.get(each.id)) for each in asked]
    return json.dumps({"notice": words.DRAFT_HEADING, "progress": progress, "rows": rows})


def _battery_row(finding: str, draft: DraftView | None) -> dict[str, Any]:
    if draft is None:
        return {"finding": finding, "answer": "", "share": None, "notes": [], "draft_id": None}
    chosen = draft.shown_text.partition("\n")[0].strip()
    unchecked = draft.consistency is not None and not draft.consistency["checked"]
    return {
        "finding": finding,
        "answer": chosen,
        "share": (draft.choices or {}).get(chosen),
        "notes": [f"⚑ {flag['message']}" for flag in draft.flags]
        + ([words.NOT_CHECKED] if unchecked else []),
        "draft_id": str(draft.id),
    }


def of_battery(case: CaseView) -> dict[str, DraftView]:
    """Return the newest answer to each question of the battery."""
    return {
        message.battery["question"]: message.draft
        for message in case.messages
        if message.battery is not None
        and message.battery["id"] == BATTERY
        and message.draft is not None
    }


def conversation(messages: tuple[MessageView, ...]) -> list[Turn]:
    """Return the conversation as a chat shows it, every answer under the notice.

    A battery is no conversation: its answers stand in a table.
    """
    turns: list[Turn] = []
    for message in messages:
        if message.battery is not None:
            continue
        turns.append({"role": "user", "content": as_text(message.text)})
        turns.append(answer(message.draft.shown_text if message.draft else None, message.draft))
    return turns


def answer(text: str | None, draft: DraftView | None = None) -> Turn:
    """Return one answer, or what stands in its place, under the notice."""
    if text is None:
        return {"role": "assistant", "content": words.ASKED_WITHOUT_ANSWER}
    lines = [words.DRAFT_HEADING, as_text(text)]
    if draft is not None:
        if draft.finish_reason == "cancelled":
            lines[-1] += words.STOPPED
        if draft.choices:
            shares = ", ".join(f"{as_text(k)} {p:.0%}" for k, p in draft.choices.items())
            lines.append(f"({shares})")
        if draft.consistency is not None and not draft.consistency["checked"]:
            lines.append(words.NOT_CHECKED)
        lines += [f"⚑ {as_text(str(flag['message']))}" for flag in draft.flags]
    return {"role": "assistant", "content": "\n".join(lines)}


def drafts(case: CaseView, opened: UUID | None = None) -> list[DraftView]:
    """Return the drafts there is something to review in, oldest first.

    Of a battery's, only the one that was opened from its table.
    """
    return [
        m.draft
        for m in case.messages
        if m.draft is not None
        and m.draft.shown_text
        and (m.battery is None or m.draft.id == opened)
    ]


def draft_label(number: int, draft: DraftView, question: str, review: ReviewView | None) -> str:
    """Return how a draft is called in the list of drafts, and what was decided about it."""
    short = question if len(question) <= 40 else question[:39] + "…"
    decided = words.NOT_REVIEWED if review is None else words.VERDICTS[review.verdict]
    return f"{number}: {short} ({draft.model_id}) · {decided}"


def _not_reviewed(case: CaseView) -> int:
    return sum(latest_review(case, draft.id) is None for draft in drafts(case))


def draft_choices(case: CaseView, opened: UUID) -> list[tuple[str, str]]:
    """Return (label, draft id) of every draft that can be reviewed."""
    asked = {m.id: m.text for m in case.messages}
    return [
        (
            draft_label(number, draft, asked[draft.message_id], latest_review(case, draft.id)),
            str(draft.id),
        )
        for number, draft in enumerate(drafts(case, opened), start=1)
    ]


def latest_review(case: CaseView, draft_id: UUID) -> ReviewView | None:
    """Return the actor's newest revision for this draft."""
    of_draft = [review for review in case.reviews if review.draft_id == draft_id]
    return max(of_draft, key=lambda review: review.revision, default=None)


def review_status(review: ReviewView | None) -> str:
    """Return the line under the review form that says what is saved."""
    if review is None:
        return ""
    said = words.REVIEW_LATEST.format(
        revision=review.revision,
        verdict=words.VERDICTS[review.verdict],
        when=when(review.created_at),
    )
    return said + words.REVIEW_AGAIN


def regions_of(review: ReviewView | None) -> list[dict[str, Any]]:
    """Return a saved review's rectangles as the viewer draws them."""
    if review is None:
        return []
    return [
        asdict(region) | {"image_id": str(region.image_id), "coords": list(region.coords)}
        for region in review.regions
    ]
