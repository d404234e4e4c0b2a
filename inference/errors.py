"""Everything the model side refuses or fails at, as exception classes.

`str(error)` may be shown to a clinician and `error.code` is stable across releases; neither
carries question text, image content or a path of the machine.
"""


class InferenceError(Exception):
    """Base of every refusal raised by this package."""

    code = "inference_error"


class WorkerUnavailableError(InferenceError):
    """No worker answers, or it is still loading its model."""

    code = "model_unavailable"

    def __init__(self, reason: str = "") -> None:
        """Say that nothing was lost; `reason` is the worker's own, already safe to show."""
        detail = f" ({reason})" if reason else ""
        super().__init__(
            f"The model is not available right now{detail}. Your question is kept; ask again in "
            "a moment."
        )
        self.reason = reason


class WorkerBusyError(InferenceError):
    """The worker's queue is full (HTTP 429)."""

    code = "model_busy"

    def __init__(self) -> None:
        """Ask for patience."""
        super().__init__("The model has too many questions waiting. Try again in a moment.")


class RequestRefusedError(InferenceError):
    """The worker cannot serve this request as it is (HTTP 400 or 422)."""

    code = "request_refused"


class ChoicesNotKeptError(RequestRefusedError):
    """The server cannot be held to the answers on offer: it refused them, or answered freely."""

    code = "choices_not_kept"

    def __init__(self) -> None:
        """Say what to do instead."""
        super().__init__(
            "This model server does not keep to the answers you offer, so what it said is not "
            "shown. Ask without offering answers."
        )


class AnswerFailedError(InferenceError):
    """The worker met an error while it answered this one request."""

    code = "answer_failed"

    def __init__(self) -> None:
        """Say that the failure is this answer's alone."""
        super().__init__("The model could not finish this answer. Ask again, or ask differently.")


class NotEnoughMemoryError(InferenceError):
    """The model would not fit into memory, so nothing was loaded."""

    code = "not_enough_memory"

    def __init__(self, *, needed_gb: float, free_gb: float, device: str) -> None:
        """Name both numbers, in GB of 10^9 bytes."""
        super().__init__(
            f"This model needs about {needed_gb:.1f} GB of memory on {device} and "
            f"{free_gb:.1f} GB are free."
        )


class ModelFolderRefusedError(InferenceError):
    """A model folder is incomplete, altered or holds something that could run code."""

    code = "model_refused"
