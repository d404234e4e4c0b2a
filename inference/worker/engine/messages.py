"""What the engine says about a request, in the order it says it: `Started`, `Piece`…, `Ended`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from inference.errors import InferenceError
from inference.worker.engine.figures import Timing

if TYPE_CHECKING:  # the server reads these before any model library is loaded
    import torch

FinishReason = Literal["stop", "length", "cancelled", "error"]


@dataclass(frozen=True, slots=True)
class Started:
    """The prompt is computed; the first token follows."""

    prompt: str
    input_ids: tuple[int, ...]  # one negative placeholder for each image or volume
    prompt_tokens: int  # positions, image positions included
    cached_tokens: int  # of them, those that did not have to be computed
    logits: "torch.Tensor"  # float32 [vocabulary], after the last prompt position


@dataclass(frozen=True, slots=True)
class Piece:
    """Text that one more token made certain."""

    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The last word on a request. `text` is what the pieces were, joined."""

    text: str
    finish_reason: FinishReason
    token_ids: tuple[int, ...]  # the end-of-sequence id included where it was reached
    timing: Timing
    choices: dict[str, float] | None = None
    error: InferenceError | None = None


Event = Started | Piece | Ended
Sink = Callable[[Event], None]  # called from the engine's thread; must not block
