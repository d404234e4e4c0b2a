"""What many replicas look like from the process that listens."""

from argparse import ArgumentTypeError

import pytest

from inference.worker.engine.figures import Load
from inference.worker.metrics import Metrics
from inference.worker.replicas import (
    SILENCE_SECONDS,
    Board,
    ReplicaOptions,
    Report,
    merged,
    ray_environment,
    total,
)


@pytest.mark.parametrize(
    ("text", "fewest", "most"),
    [pytest.param("2", 2, 2, id="a number"), pytest.param("1-4", 1, 4, id="a range")],
)
def test_replicas_are_a_number_or_a_range(text: str, fewest: int, most: int) -> None:
    options = ReplicaOptions.parse(text)
    assert (options.fewest, options.most) == (fewest, most)


@pytest.mark.parametrize("text", ["0", "-1", "4-2", "two", "", "1-", "1-x"])
def test_anything_else_is_no_number_of_replicas(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="such as 2"):
        ReplicaOptions.parse(text)


def test_a_replica_that_falls_silent_is_forgotten() -> None:
    clock = [0.0]
    board = Board(now=lambda: clock[0])
    board.post("b", Report("ready"))
    clock[0] = SILENCE_SECONDS
    board.post("a", Report("loading"))
    assert list(board.read()) == ["a", "b"]
    clock[0] += 0.1
    assert board.read() == {"a": Report("loading")}


def test_loads_add_up() -> None:
    loads = [Load(1, 2, 3, 4, 5, 6), Load(10, 20, 30, 40, 50, 60)]
    assert total(loads) == Load(11, 22, 33, 44, 55, 66)
    assert total([]) == Load(0, 0, 0, 0, 0, 0)


def test_merged_metrics_name_each_process_and_describe_each_metric_once() -> None:
    door, replica = Metrics(), Metrics()
    door.refuse("model_busy")
    text = merged({"door": door.text(None), "r1": replica.text(Load(1, 2, 3, 4, 5, 6))})
    lines = text.splitlines()
    assert 'overread_refused_total{code="model_busy",replica="door"} 1' in lines
    assert 'overread_queued{replica="r1"} 1' in lines
    assert 'overread_queue_seconds_bucket{le="+Inf",replica="door"} 0' in lines
    heads = [line for line in lines if line.startswith("# TYPE")]
    assert len(heads) == len(set(heads))
    first = next(n for n, line in enumerate(lines) if line.startswith("overread_queue_seconds"))
    assert lines[first - 1] == "# TYPE overread_queue_seconds histogram"
    assert text.endswith("\n")


def test_a_cluster_of_our_own_reports_nothing_and_wants_a_token() -> None:
    own, joined = ray_environment({}), ray_environment({"RAY_ADDRESS": "10.0.0.1:6379"})
    assert own["RAY_USAGE_STATS_ENABLED"] == joined["RAY_USAGE_STATS_ENABLED"] == "0"
    assert own["RAY_AUTH_MODE"] == "token"
    assert len(own["RAY_AUTH_TOKEN"]) == 64
    assert own["RAY_AUTH_TOKEN"] != ray_environment({})["RAY_AUTH_TOKEN"]
    assert not [name for name in joined if name.startswith("RAY_AUTH")]
