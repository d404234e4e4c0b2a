"""A data folder of which a part is gone or damaged: every command says which, and what to do."""

import random
import shutil
from pathlib import Path

import pytest

from tests.flow.terminal import Overread
from webapp.cli.init import set_up
from webapp.settings import WebSettings

PAGE = 4096  # bytes
COMMANDS = [["check"], ["users", "list"], ["serve", "--port", "0"], ["init"]]


@pytest.fixture(scope="module")
def set_up_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set up") / "data"
    settings = WebSettings.from_environment({"OVERREAD_DATA_DIR": str(folder)})
    set_up(settings, "admin", "a password for a test")
    return folder


@pytest.fixture
def data(set_up_once: Path, tmp_path: Path) -> Path:
    """Return the data folder of an installation that was used."""
    data = shutil.copytree(set_up_once, tmp_path / "data")
    (data / "blobs" / "ab" / "cd").mkdir(parents=True)
    (data / "blobs" / "ab" / "cd" / ("abcd" * 16)).write_bytes(b"an object")
    return data


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize("left", [None, b""], ids=["gone", "empty"])
def test_a_lost_database_is_said_and_not_replaced(
    overread: Overread, data: Path, command: list[str], left: bytes | None
) -> None:
    for file in data.glob("overread.db*"):
        file.unlink()
    if left is not None:
        (data / "overread.db").write_bytes(left)
        (data / "overread.db").chmod(0o600)

    ran = overread(*command)

    assert ran.code == 1
    assert "database of this installation is missing" in ran.out + ran.err
    assert "overread restore" in ran.out + ran.err
    assert "run `overread init`" not in ran.out + ran.err
    assert (data / "overread.db").exists() is (left is not None)


@pytest.mark.parametrize("remains", ["keys.json", "blobs", "audit-heads.jsonl"])
def test_init_makes_no_database_beside_what_remains(
    overread: Overread, data: Path, remains: str
) -> None:
    (data / "audit-heads.jsonl").write_text("{}\n")
    for path in data.iterdir():
        if path.name != remains:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    ran = overread("init")

    assert ran.code == 1
    assert "move the data folder away" in ran.err
    assert [path.name for path in data.iterdir()] == [remains]


def test_an_unused_database_beside_old_objects_gets_no_account(
    overread: Overread, data: Path, migrated_sqlite: Path
) -> None:
    for file in data.glob("overread.db*"):
        file.unlink()
    shutil.copy(migrated_sqlite, data / "overread.db")

    ran = overread("init")

    assert (ran.code, ran.out) == (1, "")
    assert "database of this installation is missing or empty" in ran.err


def test_an_init_that_was_stopped_goes_on(
    overread: Overread, data: Path, migrated_sqlite: Path
) -> None:
    shutil.rmtree(data / "blobs")
    for file in data.glob("overread.db*"):
        file.unlink()
    shutil.copy(migrated_sqlite, data / "overread.db")

    before = overread("users", "list")
    assert before.code == 1
    assert "overread init" in before.err
    assert overread("init").code == 0


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize("kept_bytes", [0, 100, 4096], ids=["all", "behind head", "behind page"])
def test_a_damaged_database_is_said(
    overread: Overread, data: Path, command: list[str], kept_bytes: int
) -> None:
    file = data / "overread.db"
    whole = file.read_bytes()
    noise = random.Random(7).randbytes(len(whole) - kept_bytes)  # noqa: S311 - no secret
    file.write_bytes(whole[:kept_bytes] + noise)

    ran = overread(*command)

    assert ran.code == 1
    assert "The database is damaged" in ran.out + ran.err
    assert "overread restore" in ran.out + ran.err


def test_check_finds_damage_that_other_commands_do_not_meet(overread: Overread, data: Path) -> None:
    file = data / "overread.db"
    whole = file.read_bytes()
    file.write_bytes(whole[: -2 * PAGE] + random.Random(7).randbytes(2 * PAGE))  # noqa: S311 - no secret

    assert overread("users", "list").code == 0
    ran = overread("check")

    assert ran.code == 1
    assert "The database is damaged" in ran.out
