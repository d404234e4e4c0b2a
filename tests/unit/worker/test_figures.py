"""Memory, metrics and logs."""

import json
import logging

import pytest
import torch

from inference.errors import NotEnoughMemoryError
from inference.families.base import Quantize
from inference.worker.engine.figures import Load, Outcome, Timing
from inference.worker.logs import EventFormatter
from inference.worker.memory import Budget, estimate, free_bytes, used_bytes
from inference.worker.metrics import Metrics

CPU = torch.device("cpu")
SHAPES = {"model.language_model.layers.0.mlp.up_proj.weight": (100, 10), "lm_head.weight": (50, 10)}


@pytest.mark.parametrize(
    ("dtype", "quantize", "needed"),
    [
        pytest.param(torch.float32, None, 1500 * 4 * 1.1, id="float32"),
        pytest.param(torch.bfloat16, None, 1500 * 2 * 1.1, id="16 bits"),
        pytest.param(torch.bfloat16, "nf4", (1000 * 0.57 + 500 * 2) * 1.1, id="4 bits"),
    ],
)
def test_the_estimate_counts_stored_weights_in_the_format_asked_for(
    dtype: torch.dtype, quantize: Quantize | None, needed: float
) -> None:
    budget = estimate(SHAPES, dtype=dtype, device=CPU, quantize=quantize)
    assert budget.needed == pytest.approx(needed, abs=1)
    assert budget.free == pytest.approx(free_bytes(CPU), rel=0.2)


def test_used_bytes_follow_what_is_held() -> None:
    before = used_bytes(CPU)
    held = torch.ones(64 * 2**20 // 4)
    assert used_bytes(CPU) - before >= held.nbytes * 0.8


def test_a_model_that_does_not_fit_is_refused_with_both_numbers() -> None:
    with pytest.raises(NotEnoughMemoryError, match=r"about 15\.0 GB of memory on cpu and 2\.5 GB"):
        Budget(needed=15 * 10**9, free=25 * 10**8, device="cpu").check()
    Budget(needed=1, free=1, device="cpu").check()


def _outcome(completion: int, first_ms: int | None, total_ms: int) -> Outcome:
    timing = Timing(queue_ms=200, first_token_ms=first_ms, total_ms=total_ms)
    return Outcome("stop", 600, 580, completion, timing)


def test_tokens_a_second_are_counted_from_the_first_token() -> None:
    assert _outcome(21, 1000, 3000).tokens_per_second == pytest.approx(10.0)
    assert _outcome(1, 1000, 3000).tokens_per_second is None
    assert _outcome(0, None, 3000).tokens_per_second is None


def test_metrics_are_written_as_prometheus_reads_them() -> None:
    metrics = Metrics()
    metrics.observe(_outcome(21, 1000, 3000))
    metrics.refuse("model_busy")
    lines = metrics.text(Load(3, 2, 10, 20, 30, 40)).splitlines()
    assert 'overread_requests_total{finish_reason="stop"} 1' in lines
    assert 'overread_refused_total{code="model_busy"} 1' in lines
    assert 'overread_tokens_total{kind="prompt_cached"} 580' in lines
    assert 'overread_queue_seconds_bucket{le="0.1"} 0' in lines
    assert 'overread_queue_seconds_bucket{le="0.25"} 1' in lines
    assert 'overread_queue_seconds_bucket{le="+Inf"} 1' in lines
    assert "overread_first_token_seconds_sum 1.000000" in lines
    assert 'overread_tokens_per_second_bucket{le="10.0"} 1' in lines
    assert "overread_queued 3" in lines
    assert all(line.startswith(("# HELP ", "# TYPE ", "overread_")) for line in lines)


def test_a_log_line_holds_only_what_is_allowed() -> None:
    record = logging.makeLogRecord({"msg": "worker.answered", "total_ms": 5, "prompt": "secret"})
    try:
        raise ValueError("secret")
    except ValueError as error:
        record.exc_info = (type(error), error, error.__traceback__)
    line = EventFormatter().format(record)
    assert "secret" not in line
    assert json.loads(line)["total_ms"] == 5
    assert json.loads(line)["error"] == "ValueError"
