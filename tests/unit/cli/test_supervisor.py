"""A worker that dies is known to be dead and why; one whose parent dies goes with it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from webapp.cli.supervisor import Supervisor, clean_reason, how_it_ended

PATIENCE_SECONDS = 20.0


def _until(condition: Callable[[], bool]) -> None:
    """Wait for something another process does; how long it takes is not the point."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@contextmanager
def _supervised(script: str, *arguments: str) -> Iterator[Supervisor]:
    supervisor = Supervisor(
        [sys.executable, "-c", script, *arguments], environment=os.environ, first_pause=0.01
    )
    supervisor.start()
    try:
        yield supervisor
    finally:
        supervisor.stop()


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_dead_worker_is_started_again_and_its_last_words_are_kept() -> None:
    script = "import sys; print('no such model: /srv/models/x', file=sys.stderr); sys.exit(3)"
    with _supervised(script) as supervisor:
        _until(lambda: supervisor.restarts >= 2)
        _until(lambda: supervisor.reason != "")
        assert supervisor.reason == "no such model: x"


def test_a_running_worker_has_no_reason_to_be_down() -> None:
    with _supervised("import time; time.sleep(600)") as supervisor:
        _until(lambda: supervisor.pid is not None)
        assert (supervisor.reason, supervisor.restarts) == ("", 0)


def test_stopping_ends_the_worker_and_what_it_started(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    script = (
        "import pathlib, subprocess, sys, time; "
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
        "pathlib.Path(sys.argv[1]).write_text(str(child.pid)); time.sleep(600)"
    )
    with _supervised(script, str(note)) as supervisor:
        _until(lambda: note.exists() and note.read_text() != "")
        worker, child = supervisor.pid, int(note.read_text())

    assert worker is not None
    _until(lambda: not _is_running(worker) and not _is_running(child))


def test_stopping_during_the_pause_does_not_wait_for_its_end() -> None:
    supervisor = Supervisor([sys.executable, "-c", ""], environment=os.environ, first_pause=600.0)
    supervisor.start()
    _until(lambda: supervisor.reason != "")

    supervisor.stop()

    assert supervisor.pid is None


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
def test_a_killed_parent_takes_the_worker_with_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    worker = f"import os, pathlib, time; pathlib.Path({str(note)!r}).write_text(str(os.getpid())); "
    parent = (
        "import os, sys, time; from webapp.cli.supervisor import Supervisor; "
        f"Supervisor([sys.executable, '-c', {worker + 'time.sleep(600)'!r}], "
        "environment=os.environ).start(); time.sleep(600)"
    )
    process = subprocess.Popen(  # noqa: S603 - our own lines
        [sys.executable, "-c", parent], cwd=Path(__file__).parents[3]
    )
    _until(lambda: note.exists() and note.read_text() != "")
    pid = int(note.read_text())

    process.send_signal(signal.SIGKILL)
    process.wait()

    _until(lambda: not _is_running(pid))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param("out of memory", "out of memory", id="a plain line stays"),
        pytest.param("no /home/x/models/m.bin here", "no m.bin here", id="paths are shortened"),
        pytest.param('{"event": "x.failed", "reason": "no tokenizer"}', "no tokenizer", id="ours"),
        pytest.param("overread-worker: no room", "no room", id="who says it is known"),
        pytest.param("\x1b[31mred\x1b[0m\x07", "red", id="no colours or bells"),
        pytest.param("x" * 999, "x" * 200, id="bounded"),
        pytest.param("", "", id="nothing"),
        pytest.param('{"level": "info", "event": "worker.answered"}', "", id="no complaint"),
    ],
)
def test_reasons_are_short_and_clean(line: str, reason: str) -> None:
    assert clean_reason(line) == reason


def test_a_killed_worker_is_said_to_be_killed() -> None:
    assert how_it_ended(-signal.SIGKILL) == "it was ended from outside, SIGKILL"
    assert how_it_ended(1) == "it ended without a word"
