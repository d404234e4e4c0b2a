"""The state of the installation: each part that needs somebody says so."""

import base64
import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest

from inference.errors import WorkerUnavailableError
from storage.keys import Keys
from storage.seals import EnvironmentSeal
from storage.vocabulary import Role
from tests.unit.services.fake_worker import FakeWorker
from tests.unit.services.world import World, done, refused
from webapp.services.actor import Actor
from webapp.services.errors import NotAllowedError, NotSignedInError
from webapp.services.health import Health
from webapp.services.serving import Serving

Space = namedtuple("Space", "total used free")


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker()


@pytest.fixture
def health(world: World, worker: FakeWorker, tmp_path: Path) -> Health:
    Keys.create(tmp_path / "keys.json")
    serving = Serving(world.store, world.blobs, worker, world.clock)
    return Health(
        *(world.store, world.clock, world.blobs, serving, world.trail()),
        data_dir=tmp_path,
        key_file=tmp_path / "keys.json",
    )


@pytest.fixture
def admin(world: World) -> Actor:
    return world.make_actor(Role.ADMIN)


def line(health: Health, admin: Actor, part: str) -> tuple[str, str]:
    (found,) = [each for each in health.report(admin) if each.part == part]
    return found.state, found.detail


def test_every_part_has_a_line(health: Health, world: World, admin: Actor) -> None:
    world.blobs.put(b"one")
    health.trail.keep_head()
    lines = {each.part: each.detail for each in health.report(admin)}
    assert list(lines) == [
        *("Overread", "Database", "Model server", "Disk"),
        *("Stored objects", "Audit trail", "Keys"),
    ]
    assert lines["Database"] == "SQLite answers"
    assert lines["Stored objects"] == "1, each encrypted"
    assert lines["Keys"] == "keys.json, mode 0600; is it backed up?"


@pytest.mark.parametrize("role", [Role.TRAINEE, Role.READER, Role.ADJUDICATOR])
def test_only_administrators_see_it(health: Health, world: World, role: Role) -> None:
    with pytest.raises(NotAllowedError):
        health.report(world.make_actor(role))
    with pytest.raises(NotSignedInError):
        health.report(None)
    assert world.events() == [
        refused("health.opened", "not_allowed"),
        refused("health.opened", "not_signed_in"),
    ]


def test_a_model_server_that_is_away_says_why(
    health: Health, worker: FakeWorker, admin: Actor
) -> None:
    worker.down = WorkerUnavailableError("it is away")
    assert line(health, admin, "Model server") == ("act", "does not answer: nothing answers")


def test_a_full_disk_needs_somebody(
    health: Health, admin: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Space(2e9, 1.1e9, 0.9e9))
    assert line(health, admin, "Disk") == ("act", "0.9 GB free of 2.0 GB")


def test_the_head_of_the_trail_must_be_kept(health: Health, world: World, admin: Actor) -> None:
    assert line(health, admin, "Audit trail")[0] == "act"
    health.trail.keep_head()
    assert line(health, admin, "Audit trail")[0] == "ok"
    world.clock.forward(hours=3)
    assert line(health, admin, "Audit trail")[0] == "act"
    health.trail.keep_head()
    health.trail.heads.path.write_text("not a head\n")
    assert line(health, admin, "Audit trail")[0] == "act"


def test_sealed_keys_are_read_with_their_seal(health: Health, admin: Actor) -> None:
    seal = EnvironmentSeal.of(base64.b64encode(b"s" * 32).decode())
    sealed = health.data_dir / "sealed.json"
    Keys.create(sealed, seal)
    assert line(replace(health, key_file=sealed), admin, "Keys")[0] == "act"
    assert line(replace(health, key_file=sealed, key_seal=seal), admin, "Keys")[0] == "ok"


def test_keys_that_are_gone_need_somebody(health: Health, world: World, admin: Actor) -> None:
    health.key_file.unlink()
    state, detail = line(health, admin, "Keys")
    assert state == "act"
    assert str(health.key_file.parent) not in detail
    assert world.events()[-1] == done("health.opened")
