"""What a reviewer's input means: checked, put into one shape, and with its verdict.

No database here: the same input about the same draft gives the same judgement, which is also
how a repeated request is told from a new one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from storage.tables import Image
from storage.vocabulary import ErrorClass, ErrorSubtype, RegionType, Space, Verdict
from webapp.services import inputs
from webapp.services.errors import InvalidRequestError

MAX_MARKS: Final = 500
MAX_MISSING: Final = 50
MAX_REGIONS: Final = 100
MARK_FIELDS: Final = frozenset(
    {"index", "ok", "error", "subtype", "clinically_significant", "replacement", "region_ids"}
)
MISSING_FIELDS: Final = frozenset(
    {"text", "error", "subtype", "clinically_significant", "region_ids"}
)
REGION_FIELDS: Final = frozenset(
    {"id", "type", "space", "coords", "image_id", "frame", "label", "sentence"}
)
MISSING_CLASSES: Final = frozenset({ErrorClass.OMISSION_FINDING, ErrorClass.OMISSION_COMPARISON})
WITHOUT_TEXT: Final = frozenset({Verdict.REJECT, Verdict.ABSTAIN})


@dataclass(frozen=True, slots=True)
class ReviewInput:
    """A review as it comes from a page or a route; `Reviewing.submit` checks it."""

    idempotency_key: str
    based_on_revision: int  # one's own newest; 0 when there is none
    verdict: Verdict | str | None = None  # inferred when absent
    final_text: str | None = None  # built from the marks when absent
    sentences: Sequence[Mapping[str, Any]] = ()
    missing: Sequence[Mapping[str, Any] | str] = ()
    regions: Sequence[Mapping[str, Any]] = ()
    confidence: int | None = None
    comment: str | None = None
    timing: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """What is said of one sentence, or, without an index, of a missing finding."""

    sentence_index: int | None
    ok: bool
    error: ErrorClass | None
    subtype: ErrorSubtype | None
    clinically_significant: bool
    replacement: str | None
    region_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A region; of a `bbox` in pixels, `coords` are column0, row0, column1, row1."""

    key: str
    type: RegionType
    space: Space
    coords: tuple[float, ...]
    image_id: UUID
    frame: int
    label: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """A review as it is stored."""

    verdict: Verdict
    verdict_inferred: bool
    final_text: str
    marks: tuple[Mark, ...]
    places: tuple[Place, ...]
    confidence: int | None
    comment: str


def judge(
    given: ReviewInput,
    *,
    shown_text: str,
    sentences: Sequence[Sequence[int]],
    images: Sequence[Image],
) -> Judgement:
    """Check a review and say what it amounts to.

    Args:
        given: What came in.
        shown_text: The draft as the reader saw it.
        sentences: Its [start, end) spans.
        images: The images of the case.

    Raises:
        InvalidRequestError: something cannot be what was meant; the message says what.
    """
    places = _places(given.regions, images)
    keys = frozenset(place.key for place in places)
    marks = _marks(given.sentences, len(sentences), keys)
    marks = tuple(_with_bound_regions(mark, given.regions) for mark in marks)
    missing = _missing(given.missing, keys)
    explicit = inputs.optional_word(given.verdict, Verdict, "verdict")
    if given.final_text is not None:
        final_text = inputs.text(given.final_text, "final text")
    elif explicit in WITHOUT_TEXT:
        final_text = ""
    else:
        final_text = _built(shown_text, sentences, marks, missing)
    if not final_text.strip():
        final_text = ""
    verdict = _verdict(explicit, shown_text, final_text, (*marks, *missing))
    return Judgement(
        verdict=verdict,
        verdict_inferred=explicit is None,
        final_text=shown_text if verdict is Verdict.ACCEPT_AS_IS else final_text,
        marks=(*marks, *missing),
        places=places,
        confidence=inputs.confidence(given.confidence),
        comment=inputs.text(given.comment, "comment"),
    )


def _verdict(
    explicit: Verdict | None, shown_text: str, final_text: str, marks: Sequence[Mark]
) -> Verdict:
    wrong = [mark for mark in marks if not mark.ok]
    changed = bool(wrong) or final_text.split() != shown_text.split()
    if explicit is None:
        if not final_text:
            return Verdict.REJECT
        if not changed:
            return Verdict.ACCEPT_AS_IS
        major = any(mark.clinically_significant or mark.sentence_index is None for mark in wrong)
        return Verdict.MAJOR_EDIT if major else Verdict.MINOR_EDIT
    if explicit in WITHOUT_TEXT:
        return explicit
    if not final_text:
        raise InvalidRequestError("There is no text left; reject the draft instead.")
    if explicit is Verdict.ACCEPT_AS_IS and changed:
        raise InvalidRequestError("The draft was changed or marked wrong; it is not as it was.")
    if explicit is not Verdict.ACCEPT_AS_IS and not changed:
        raise InvalidRequestError("Nothing was changed or marked wrong; accept the draft instead.")
    return explicit


def _built(
    shown_text: str,
    sentences: Sequence[Sequence[int]],
    marks: Sequence[Mark],
    missing: Sequence[Mark],
) -> str:
    """Apply replacements, drop what is wrong without one, and add what was missing."""
    of_sentence = {mark.sentence_index: mark for mark in marks}
    text, last_end = "", 0
    for index, (start, end) in enumerate(sentences):
        mark = of_sentence.get(index)
        sentence = shown_text[start:end]
        if mark is not None and (mark.replacement is not None or not mark.ok):
            sentence = (mark.replacement or "").strip()
        if sentence:
            text += (shown_text[last_end:start] if text else "") + sentence
        last_end = end
    for mark in missing:
        said = (mark.replacement or "").strip()
        text += (" " if text else "") + (said if said[-1] in ".!?" else f"{said}.")
    return text


def _marks(given: object, sentences: int, keys: frozenset[str]) -> tuple[Mark, ...]:
    marks = [
        _mark(item, sentences, keys)
        for item in inputs.sequence(given, "sentence marks", limit=MAX_MARKS)
    ]
    if len({mark.sentence_index for mark in marks}) != len(marks):
        raise InvalidRequestError("A sentence is marked twice.")
    return tuple(sorted(marks, key=lambda mark: mark.sentence_index or 0))


def _mark(item: object, sentences: int, keys: frozenset[str]) -> Mark:
    fields = inputs.mapping(item, "mark of a sentence")
    inputs.only(fields, MARK_FIELDS, "mark of a sentence")
    index = fields.get("index")
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < sentences:
        raise InvalidRequestError(f"A mark names no sentence of this draft; it has {sentences}.")
    what = f"Sentence {index + 1}"
    if not isinstance(fields.get("ok"), bool):
        raise InvalidRequestError(f"{what} is neither marked right nor wrong.")
    ok = fields["ok"]
    error = inputs.optional_word(fields.get("error"), ErrorClass, "error of a sentence")
    subtype = inputs.optional_word(fields.get("subtype"), ErrorSubtype, "subtype of an error")
    significant = inputs.flag(
        fields.get("clinically_significant"), "Clinical significance", default=False
    )
    if not ok and error is None:
        classes = ", ".join(ErrorClass)
        raise InvalidRequestError(f"{what} is marked wrong; say what is wrong: {classes}.")
    if ok and (error is not None or subtype is not None or significant):
        raise InvalidRequestError(f"{what} is marked right and has an error all the same.")
    replacement = fields.get("replacement")
    return Mark(
        sentence_index=index,
        ok=ok,
        error=error,
        subtype=subtype,
        clinically_significant=significant,
        replacement=None if replacement is None else inputs.text(replacement, "replacement"),
        region_ids=_region_ids(fields.get("region_ids"), keys, what),
    )


def _missing(given: object, keys: frozenset[str]) -> tuple[Mark, ...]:
    return tuple(
        _missing_finding(item, keys)
        for item in inputs.sequence(given, "missing findings", limit=MAX_MISSING)
    )


def _missing_finding(item: object, keys: frozenset[str]) -> Mark:
    fields = {"text": item} if isinstance(item, str) else inputs.mapping(item, "missing finding")
    inputs.only(fields, MISSING_FIELDS, "missing finding")
    error = inputs.optional_word(fields.get("error"), ErrorClass, "error of a missing finding")
    if error is not None and error not in MISSING_CLASSES:
        raise InvalidRequestError("What is missing is an omission of a finding or a comparison.")
    return Mark(
        sentence_index=None,
        ok=False,
        error=error or ErrorClass.OMISSION_FINDING,
        subtype=inputs.optional_word(fields.get("subtype"), ErrorSubtype, "subtype of an error"),
        clinically_significant=inputs.flag(
            fields.get("clinically_significant"), "Clinical significance", default=False
        ),
        replacement=inputs.text(fields.get("text"), "missing finding", required=True),
        region_ids=_region_ids(fields.get("region_ids"), keys, "A missing finding"),
    )


def _region_ids(given: object, keys: frozenset[str], what: str) -> tuple[str, ...]:
    found = inputs.sequence(given, "regions of a sentence", limit=MAX_REGIONS)
    if any(key not in keys for key in found):
        raise InvalidRequestError(f"{what} names a region that is not in this review.")
    return tuple(found)


def _with_bound_regions(mark: Mark, regions: Sequence[Mapping[str, Any]]) -> Mark:
    """Add the regions that were drawn for this sentence, as the viewer says it."""
    bound = [region["id"] for region in regions if region.get("sentence") == mark.sentence_index]
    region_ids = tuple(dict.fromkeys([*mark.region_ids, *bound]))
    return replace(mark, region_ids=region_ids)


def _places(given: object, images: Sequence[Image]) -> tuple[Place, ...]:
    places = [_place(item, images) for item in inputs.sequence(given, "regions", limit=MAX_REGIONS)]
    if len({place.key for place in places}) != len(places):
        raise InvalidRequestError("Two regions have the same id.")
    return tuple(sorted(places, key=lambda place: place.key))


def _place(item: object, images: Sequence[Image]) -> Place:
    fields = inputs.mapping(item, "region")
    inputs.only(fields, REGION_FIELDS, "region")
    image = _image_of(fields.get("image_id"), images)
    frame = fields.get("frame", 0)
    if isinstance(frame, bool) or not isinstance(frame, int) or not 0 <= frame < image.frames:
        raise InvalidRequestError("A region is on a frame that its image does not have.")
    space = inputs.word(fields.get("space", Space.PIXEL.value), Space, "space of a region")
    return Place(
        key=inputs.line(fields.get("id"), "region's id", limit=64, required=True),
        type=inputs.word(fields.get("type", RegionType.BBOX.value), RegionType, "type of a region"),
        space=space,
        coords=_coords(fields.get("coords"), space, image),
        image_id=image.id,
        frame=frame,
        label=inputs.line(fields.get("label"), "region's label", limit=200),
    )


def _image_of(given: object, images: Sequence[Image]) -> Image:
    if given is None and len(images) == 1:
        return images[0]
    for image in images:
        if str(given) == str(image.id):
            return image
    raise InvalidRequestError("A region is on an image that is not of this case.")


def _coords(given: object, space: Space, image: Image) -> tuple[float, ...]:
    numbers = [
        inputs.number(value, "Every coordinate of a region")
        for value in inputs.sequence(given, "coordinates", limit=6)
    ]
    half = len(numbers) // 2
    if half != (2 if space is Space.PIXEL else 3) or len(numbers) % 2:
        raise InvalidRequestError("A box has 4 coordinates in pixels, or 6 in patient space.")
    pairs = list(zip(numbers[:half], numbers[half:], strict=True))
    box = (*(min(pair) for pair in pairs), *(max(pair) for pair in pairs))
    last = (image.columns - 0.5, image.rows - 0.5)
    if space is Space.PIXEL and not (min(box) >= -0.5 and box[2] <= last[0] and box[3] <= last[1]):
        raise InvalidRequestError("A region lies outside of its image.")
    return box
