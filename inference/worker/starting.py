"""Loading a model into a worker's state, whichever process the worker is."""

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference.errors import InferenceError
from inference.families.registry import check_model
from inference.protocol import ServedModel
from inference.worker.answering import OneEngine
from inference.worker.engine.figures import Outcome
from inference.worker.metrics import Metrics
from inference.worker.state import WorkerState

if TYPE_CHECKING:
    from inference.worker.state import Served

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Which model a worker loads, and how; plain data, so that it can go to another process."""

    model: str  # folder in our layout, or a catalogue id
    family: str | None = None
    adapter: Path | None = None  # an adapter's folder, or a folder of them
    quantize: str | None = None


def load_into(
    state: WorkerState,
    options: ModelOptions,
    metrics: Metrics,
    *,
    announce: Callable[[ServedModel], None],
    **more: Any,  # noqa: ANN401  # fields of LoadOptions, which needs a model library
) -> "Served | None":
    """Load the model; `state` then is ready, or has failed and says why."""

    def on_end(outcome: Outcome) -> None:
        metrics.observe(outcome)
        logger.info("worker.answered", extra=_numbers(outcome))

    def on_lost() -> None:
        state.fail("the accelerator was lost; the worker has to be restarted")

    try:
        check_model(options.model, family=options.family)  # before the import that takes seconds
        loading: Any = import_module("inference.worker.loading")
        served: Served = loading.serve_model(
            loading.LoadOptions(
                model=options.model,
                family=options.family,
                adapter=options.adapter,
                quantize=options.quantize,
                **more,
            ),
            on_end=on_end,
            on_lost=on_lost,
        )
    except InferenceError as error:
        state.fail(str(error))
    except Exception as error:
        logger.exception("worker.load_failed")
        state.fail(f"The model could not be loaded ({type(error).__name__}).")
    else:
        announce(served.model)
        state.ready(OneEngine(served))
        logger.info("worker.ready", extra={"family": served.model.family})
        return served
    return None


def tell_operator(model: ServedModel) -> None:
    """Print what is served and under which licence."""
    print(f"{model.description}\nLicence: {model.licence}", file=sys.stderr)  # noqa: T201  # for the operator


def _numbers(outcome: Outcome) -> dict[str, Any]:
    rate = outcome.tokens_per_second
    return {
        "finish_reason": outcome.finish_reason,
        "prompt_tokens": outcome.prompt_tokens,
        "cached_tokens": outcome.cached_tokens,
        "completion_tokens": outcome.completion_tokens,
        "queue_ms": outcome.timing.queue_ms,
        "first_token_ms": outcome.timing.first_token_ms,
        "total_ms": outcome.timing.total_ms,
        "tokens_per_second": None if rate is None else round(rate, 1),
        "error": outcome.error,
    }
