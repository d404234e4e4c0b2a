"""What a terminal says where the disk is full, to whoever can free it."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from storage.errors import StorageFullError
from tests.flow.terminal import Overread
from webapp.cli import workers
from webapp.cli.supervisor import Address
from webapp.settings import WebSettings


def _full(*_given: object, **_named: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def _refused(*_given: object, **_named: object) -> None:
    raise StorageFullError


@pytest.mark.parametrize("fault", [_full, _refused], ids=["system", "store"])
def test_samples_that_find_no_room_leave_the_account_and_its_password(
    overread: Overread, monkeypatch: pytest.MonkeyPatch, fault: object
) -> None:
    monkeypatch.setattr("webapp.cli.init.bring_samples", fault)

    ran = overread("init", "--samples")

    assert ran.code == 1
    assert "One-time password" in ran.out
    assert "no space left" in ran.err
    assert "The account stands" in ran.err
    assert "administrator" not in ran.err


def test_the_one_json_object_has_the_password_and_what_went_wrong(
    overread: Overread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.cli.init.bring_samples", _full)

    ran = overread("init", "--samples", "--json")

    assert ran.code == 1
    assert ran.json["one_time_password"]
    assert (ran.json["samples"], ran.json["error"]["code"]) == (None, "storage_full")


@pytest.mark.parametrize("fault", [_full, _refused], ids=["system", "store"])
def test_a_command_on_a_full_disk_speaks_to_who_can_free_it(
    overread: Overread, monkeypatch: pytest.MonkeyPatch, fault: object
) -> None:
    overread("init")
    monkeypatch.setattr("webapp.services.people.People.list", fault)

    ran = overread("users", "list", "--json")

    assert (ran.code, ran.json["error"]["code"]) == (1, "storage_full")
    assert "free some space, then run this again" in ran.err
    assert "administrator" not in ran.err


def test_a_worker_that_cannot_be_announced_leaves_half_a_note_behind_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def embedded(_settings: WebSettings) -> Iterator[tuple[None, Address]]:
        yield None, Address(9, "key")

    def half(path: Path, _address: Address) -> None:
        path.write_text('{"pid"')
        _full()

    monkeypatch.setattr(workers, "_embedded", embedded)
    monkeypatch.setattr(workers, "_write_note", half)
    settings = WebSettings.from_environment({"OVERREAD_DATA_DIR": str(tmp_path)})

    with pytest.raises(OSError, match="No space"), workers.serving_worker(settings):
        pass
    assert list(tmp_path.iterdir()) == []
