"""What use cases return: plain values, safe to hand to a page, a route or a terminal.

Ids are UUIDs and instants are aware UTC; turning them into JSON is the caller's business.
Long, but one flat list of shapes without logic: what the use cases promise, read in one place.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from storage.notice import NOTICE
from storage.vocabulary import (
    CaseState,
    ErrorClass,
    ErrorSubtype,
    ExportFormat,
    FinishReason,
    Outcome,
    Progress,
    Protocol,
    RegionType,
    Role,
    Space,
    Verdict,
)

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page of a list; `next` is the cursor of the page after it, None on the last."""

    items: tuple[Item, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class PersonView:
    """An account, without its secrets."""

    id: UUID
    name: str
    role: Role
    disabled: bool
    must_change_password: bool
    created_at: datetime
    has_password: bool = True
    open_sessions: int = 0  # where they were counted


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A fresh sign-in; `token` goes into the cookie and is stored nowhere."""

    token: str
    person: PersonView
    must_change_password: bool
    expires_at: datetime


class TimeLeft(NamedTuple):
    """How long a session lasts from now on unless its person does something, in seconds."""

    signed_out_in_s: int
    warn_s: int  # a page warns when so much is left


class AddedPerson(NamedTuple):
    """A new account; `one_time_password` is there when none was chosen, and only this once."""

    person: PersonView
    one_time_password: str | None


@dataclass(frozen=True, slots=True)
class NewToken:
    """A fresh API token; `secret` is shown once and stored nowhere."""

    id: UUID
    secret: str
    role: Role
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class TokenView:
    """An API token, without its secret."""

    id: UUID
    person_id: UUID
    person: str
    role: Role
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class CollectionView:
    """A named set of cases read under one protocol."""

    id: UUID
    name: str
    protocol: Protocol
    created_at: datetime


@dataclass(frozen=True, slots=True)
class FileOutcomeView:
    """What became of one offered file; `outcome` is admitted, held, checking or refused."""

    file: str
    outcome: str
    code: str
    message: str
    case_id: UUID | None


@dataclass(frozen=True, slots=True)
class InstanceOutcomeView:
    """What became of one DICOM object, and what it is called here; empty when it was refused."""

    outcome: str
    code: str
    sop_class: str
    sop_instance: str


@dataclass(frozen=True, slots=True)
class GeometryView:
    """How the frames of one image are laid out and shown."""

    id: UUID
    case_id: UUID
    modality: str
    rows: int
    columns: int
    frames: int
    dtype: str  # int16, uint16 or uint8, little-endian
    samples: int  # 1 grey, 3 RGB interleaved
    slope: float
    intercept: float
    units: str
    inverted: bool
    row_spacing_mm: float | None
    column_spacing_mm: float | None
    orientation: tuple[float, ...] | None  # six direction cosines
    positions: tuple[tuple[float, float, float] | None, ...] | None  # per frame, mm
    windows: tuple[Mapping[str, Any], ...]  # name, center, width; the first is the default
    view_position: str
    lossy: bool
    sha256: str  # of the served pixels of all frames


@dataclass(frozen=True, slots=True)
class OwnReadView:
    """A reader's committed findings."""

    id: UUID
    case_id: UUID
    text: str
    findings: tuple[Mapping[str, Any], ...]
    confidence: int | None
    committed_at: datetime


@dataclass(frozen=True, slots=True)
class SentenceView:
    """One sentence of a draft, `shown_text[start:end]`."""

    index: int
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class DraftView:
    """A draft with everything that made it; null where a foreign server does not say."""

    id: UUID
    message_id: UUID
    case_id: UUID
    person_id: UUID
    model_id: str
    family: str | None
    weights_revision: str | None
    weights_sha256: str | None
    adapter: str | None
    adapter_sha256: str | None
    engine: str | None
    engine_version: str | None
    template_id: str
    template_sha256: str
    messages: tuple[Mapping[str, Any], ...]
    rendered_prompt: str | None
    decoding: Mapping[str, Any]
    seed: int | None
    images: tuple[Mapping[str, Any], ...]
    safety_policy: str
    flags: tuple[Mapping[str, Any], ...]
    raw_text: str | None  # None where a safety rule withheld some of it from this reader
    shown_text: str
    sentences: tuple[SentenceView, ...]
    choices: Mapping[str, float] | None
    consistency: Mapping[str, Any] | None  # None where the question cannot be put otherwise
    finish_reason: FinishReason
    prompt_tokens: int | None
    completion_tokens: int | None
    first_token_ms: int | None
    latency_ms: int
    created_at: datetime
    notice: str = NOTICE


@dataclass(frozen=True, slots=True)
class MessageView:
    """A question of the actor's conversation, and its draft once there is one."""

    id: UUID
    text: str
    template_id: str
    choices: tuple[str, ...] | None
    battery: Mapping[str, Any] | None  # id, version, sha256, question, finding
    created_at: datetime
    draft: DraftView | None


@dataclass(frozen=True, slots=True)
class MarkView:
    """What a review says of one sentence; of a missing finding `index` is None."""

    index: int | None
    ok: bool
    error: ErrorClass | None
    subtype: ErrorSubtype | None
    clinically_significant: bool
    replacement: str | None  # of a missing finding: its words
    region_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RegionView:
    """A place on an image; `id` is the client's own, as marks name it."""

    id: str
    type: RegionType
    space: Space
    coords: tuple[float, ...]
    image_id: UUID
    frame: int
    sop_instance_uid: str
    label: str


@dataclass(frozen=True, slots=True)
class ReviewView:
    """One revision of one person's judgement of one draft."""

    id: UUID
    draft_id: UUID
    case_id: UUID
    reviewer_id: UUID
    revision: int
    supersedes: UUID | None
    verdict: Verdict
    verdict_inferred: bool
    final_text: str
    confidence: int | None
    comment: str
    timing: Mapping[str, Any]
    own_read_first: bool
    created_at: datetime
    sentences: tuple[MarkView, ...]
    missing: tuple[MarkView, ...]
    regions: tuple[RegionView, ...]


@dataclass(frozen=True, slots=True)
class FoundTextView:
    """Text that was found in pixels: where, and on which frames; what it says is not kept."""

    image_id: UUID
    coords: tuple[int, int, int, int]  # column0, row0, column1, row1; all four inside
    frames: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CaseRow:
    """A case as the worklist shows it; progress and own read are the actor's."""

    id: UUID
    collection: str
    collection_id: UUID
    state: CaseState
    progress: Progress
    held_because: tuple[str, ...]
    modality: str
    body_part: str
    made_up: bool
    protocol: Protocol
    created_at: datetime
    own_read: OwnReadView | None
    image_count: int
    frame_count: int  # slices of a CT, pictures of a cine, of all images together
    checked: tuple[int, int] | None = None  # frames searched for text, of how many; while it goes


@dataclass(frozen=True, slots=True)
class SearchView:
    """How far the search of a case's pixels for text is."""

    id: UUID  # of the case
    state: CaseState
    checked: tuple[int, int] | None  # as in `CaseRow`


@dataclass(frozen=True, slots=True)
class CaseView:
    """A case as the reading page shows it; conversation and reviews are the actor's own."""

    id: UUID
    collection: str
    collection_id: UUID
    state: CaseState
    progress: Progress
    held_because: tuple[str, ...]
    modality: str
    body_part: str
    made_up: bool
    protocol: Protocol
    created_at: datetime
    own_read: OwnReadView | None
    images: tuple[GeometryView, ...] = ()
    messages: tuple[MessageView, ...] = ()
    reviews: tuple[ReviewView, ...] = ()  # newest revision last
    checked: tuple[int, int] | None = None  # as in `CaseRow`
    found_text: tuple[FoundTextView, ...] = ()  # that a person must decide about
    study_day: int | None = None  # orders one patient's cases by whole days; tells no date


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """Text of a draft as it may be shown, to be appended."""

    text: str


@dataclass(frozen=True, slots=True)
class FlagEvent:
    """A safety rule spoke: rule, kind, effect, message."""

    flag: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DoneEvent:
    """The draft is stored."""

    draft: DraftView


AskEvent = TokenEvent | FlagEvent | DoneEvent


@dataclass(frozen=True, slots=True)
class BatteryQuestionView:
    """One question of a battery; `id` is its own within the list, `number` counts from 1."""

    id: str
    finding: str
    text: str
    number: int


@dataclass(frozen=True, slots=True)
class BatteryResultEvent:
    """A question's draft is stored; `replayed` when it was before."""

    question: BatteryQuestionView
    draft: DraftView
    replayed: bool


@dataclass(frozen=True, slots=True)
class BatteryErrorEvent:
    """A question got no whole answer; asking again with the same key asks it again."""

    question: BatteryQuestionView
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class BatteryDoneEvent:
    """Every question was tried; how many of those `asked` came to what."""

    battery: str
    version: int
    sha256: str
    asked: int
    finished: int
    failed: int
    replayed: int  # of those finished
    flagged: int  # of those finished


BatteryEvent = BatteryResultEvent | BatteryErrorEvent | BatteryDoneEvent


@dataclass(frozen=True, slots=True)
class ServedModelView:
    """A model that can be asked."""

    id: str
    family: str | None
    weights_sha256: str | None
    description: str
    licence: str
    adapters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExportView:
    """A finished export."""

    id: UUID
    format: ExportFormat
    collection: str | None  # None: all collections
    counts: Mapping[str, int]  # rows by split: train, validation, test
    skipped: Mapping[str, int]  # reviews that gave no row, by reason
    files: Mapping[str, Mapping[str, Any]]  # path inside the export -> sha256, bytes
    manifest_sha256: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class EventView:
    """One event of the trail; `id` is its number as text, `person` the account's name."""

    id: str
    at: datetime
    person_id: UUID | None
    person: str
    role: str
    via: str
    came_from: str
    action: str
    object_type: str
    object_id: str
    outcome: Outcome
    code: str
    count: int
    request_id: str
    app_version: str
    previous_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class ReadyView:
    """Whether the parts answer; `worker_reason` says why the model does not."""

    database: bool
    blobs: bool
    worker: bool
    worker_reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        """True when a person can sign in and open a case; the model may still be loading."""
        return self.database and self.blobs
