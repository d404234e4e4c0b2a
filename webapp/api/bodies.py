"""What requests carry, as the API's description shows it. Unknown fields are refused.

These models fix names and kinds; what a value may be is decided by the use case, once for
pages, API and command line.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

Key = Annotated[
    StrictStr, Field(description="The client's own; a repeat returns the first result.")
]


class Body(BaseModel):
    """Common to all: no unknown fields."""

    model_config = ConfigDict(extra="forbid")


class AttestBody(Body):
    """A person's decision about the pixels of a held study."""

    idempotency_key: Key
    decision: Annotated[StrictStr, Field(description="clean, mask or refuse")]
    masks: list[dict[str, Any]] | None = None


class NextBody(Body):
    """Where to take the next case from."""

    collection: Annotated[StrictStr | None, Field(description="Its name or id.")] = None


class FindingBody(Body):
    """One finding of an own read."""

    finding: StrictStr
    state: Annotated[StrictStr, Field(description="present, absent or indeterminate")]
    side: StrictStr | None = None
    confidence: StrictInt | None = None


class OwnReadBody(Body):
    """A reader's own findings, before any draft."""

    idempotency_key: Key
    text: StrictStr = ""
    findings: list[FindingBody] = []
    confidence: StrictInt | None = None


class AskedImageBody(Body):
    """A frame to be sent with a question, as it is on screen."""

    image_id: StrictStr
    frame: StrictInt | None = None
    window: Annotated[dict[str, Any] | None, Field(description="center, width")] = None


class QuestionBody(Body):
    """A question to the model."""

    idempotency_key: Key
    text: StrictStr
    template: StrictStr | None = None
    choices: list[StrictStr] | None = None
    model: StrictStr | None = None
    images: list[AskedImageBody] | None = None
    check: Annotated[
        StrictBool, Field(description="Ask a closed question the other way round as well.")
    ] = True


class BatteryBody(Body):
    """A list of questions to the model."""

    idempotency_key: Key
    battery: Annotated[StrictStr, Field(description="Which list, such as chest-findings.")]
    model: StrictStr | None = None
    images: list[AskedImageBody] | None = None
    check: Annotated[
        StrictBool, Field(description="Ask closed questions the other way round as well.")
    ] = True


class MarkBody(Body):
    """What a review says of one sentence."""

    index: StrictInt
    ok: StrictBool | None = None
    error: StrictStr | None = None
    subtype: StrictStr | None = None
    clinically_significant: StrictBool | None = None
    replacement: StrictStr | None = None
    region_ids: list[StrictStr] | None = None


class ReviewBody(Body):
    """A review of one draft; the verdict is inferred when absent."""

    idempotency_key: Key
    based_on_revision: Annotated[StrictInt, Field(description="One's newest one; 0: none yet.")]
    verdict: StrictStr | None = None
    final_text: StrictStr | None = None
    sentences: list[MarkBody] | None = None
    missing: list[dict[str, Any] | StrictStr] | None = None
    regions: list[dict[str, Any]] | None = None
    confidence: StrictInt | None = None
    comment: StrictStr | None = None
    timing: dict[str, Any] | None = None


class ProgressBody(Body):
    """Half-written work; whatever the client wants to find again."""

    content: dict[str, Any]


class ExportBody(Body):
    """What to export."""

    format: Annotated[StrictStr, Field(description="full, llava, trl-sft, trl-dpo or trl-kto")]
    collection: Annotated[StrictStr | None, Field(description="Its name or id.")] = None
    filters: dict[str, Any] | None = None
