"""Folders of files that may name people: private, and gone even after a kill."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from webapp.services.folders import private_folder

KILLED = """
import sys, time
from pathlib import Path
from webapp.services.folders import private_folder
with private_folder(Path(sys.argv[1])) as folder:
    (folder / "scan").write_bytes(b"Morgenstern^Ottilie")
    print("ready", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_process_left_is_removed_by_the_next_and_what_is_in_use_is_not(
    tmp_path: Path,
) -> None:
    started = subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )  # fmt: skip
    with started:
        assert started.stdout is not None
        assert started.stdout.readline() == b"ready\n"
        with private_folder(tmp_path) as mine:
            assert len(list(tmp_path.rglob("scan"))) == 1
            os.kill(started.pid, signal.SIGKILL)
            started.wait()
            with private_folder(tmp_path):
                assert list(tmp_path.rglob("scan")) == []
                assert mine.is_dir()
    assert list((tmp_path / "tmp").iterdir()) == []
