"""A long ingest that is killed and run again: nothing twice, nothing missing."""

import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.flow.place import Place
from tests.flow.terminal import Overread
from tests.unit.intake.samples import ct

STUDIES, SLICES = 5, 12
SLOW_SEARCH = """
import sys, time
from functools import partial
from tests.searchers import Searched
from webapp.cli import context, main
from webapp.services.bundle import build_services
searched = Searched(lambda _piece: time.sleep(60) or [])
context.build_services = partial(build_services, searcher=searched)
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for study in range(STUDIES):
        (series := tmp_path / "sent" / f"{study}").mkdir(parents=True)
        for number in range(SLICES):
            uid = f"1.2.3.4.{study}"
            data = ct(StudyInstanceUID=uid, SeriesInstanceUID=f"{uid}.1", InstanceNumber=number,
                      SOPInstanceUID=f"{uid}.1.{number}", PatientID=f"patient {study}",
                      ImagePositionPatient=[0, 0, 5 * number])  # fmt: skip
            (series / f"{number}").write_bytes(data)
    return tmp_path / "sent"


def killed_when(happened: Callable[[], bool], folder: Path, data_dir: Path) -> None:
    """Begin the ingest in a process of its own and kill it at a moment."""
    started = subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", SLOW_SEARCH, "ingest", str(folder), "--collection", "long"],
        env={"OVERREAD_DATA_DIR": str(data_dir), "OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[2],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 40
        while not happened() and started.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
    finally:
        started.send_signal(signal.SIGKILL)
        assert started.wait() == -signal.SIGKILL, "it was through before it could be killed"


def stored(data_dir: Path) -> list[tuple[str, str]]:
    """Return case and object of every instance."""
    with sqlite3.connect(data_dir / "overread.db") as database:
        return database.execute(
            "SELECT image.case_id, instance.sop_instance_uid FROM instance "
            "JOIN image ON image.id = instance.image_id"
        ).fetchall()


@pytest.mark.usefixtures("quick_search")
def test_an_ingest_killed_twice_and_run_again_has_every_file_once(
    place: Place, overread: Overread, folder: Path
) -> None:
    data_dir = place.settings.data_dir
    enough = random.randint(1, STUDIES * SLICES)  # noqa: S311 - of the objects written

    killed_when(
        lambda: sum(1 for _ in place.settings.blob_dir.glob("??/??/*")) >= enough, folder, data_dir
    )
    assert len(stored(data_dir)) in (0, STUDIES * SLICES)
    killed_when(lambda: len(stored(data_dir)) > 0, folder, data_dir)  # text is still looked for
    before = stored(data_dir)
    assert len(before) == STUDIES * SLICES
    with sqlite3.connect(data_dir / "overread.db") as database:  # a minute later
        database.execute("UPDATE pixel_check SET claimed_until = NULL")

    ran = overread("ingest", str(folder), "--collection", "long")
    assert (ran.code, ran.out.count('"admitted"')) == (0, STUDIES * SLICES), ran.err
    assert sorted(stored(data_dir)) == sorted(before)
    assert len({uid for _, uid in before}) == STUDIES * SLICES
    assert set(Counter(case for case, _ in before).values()) == {SLICES}
