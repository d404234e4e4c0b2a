"""Seals of the key file: what opens it, and what never does."""

import base64
import json
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.errors import KeyFileError
from storage.keys import Keys, Ring, seal_of
from storage.seals import CommandSeal, EnvironmentSeal, Seal

SECRET = base64.b64encode(b"a secret that is not on the disk").decode()
OTHER = base64.b64encode(b"another secret, also 32 bytes ..").decode()

# A stand-in for a key service: it wraps by turning the text around.
SERVICE = f"""#!{sys.executable}
import os, sys
text = sys.stdin.read().strip()
assert sys.argv[1] == "--name" and sys.argv[2] == "a key" and sys.argv[3] in ("wrap", "unwrap")
assert not any(name.startswith("OVERREAD_") for name in os.environ)
sys.stderr.write("secret noise")
print(text[::-1])
"""

Service = Callable[[str], CommandSeal]


@pytest.fixture
def service(tmp_path: Path) -> Service:
    def made(script: str) -> CommandSeal:
        path = tmp_path / "key service"
        path.write_text(script)
        path.chmod(0o700)
        return CommandSeal.of(f"'{path}' --name 'a key'")

    return made


@pytest.fixture(params=["environment", "command"])
def seal(request: pytest.FixtureRequest, service: Service) -> Seal:
    return EnvironmentSeal.of(SECRET) if request.param == "environment" else service(SERVICE)


def test_a_sealed_file_opens_with_its_seal(
    tmp_path: Path, seal: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OVERREAD_KEY", "not for the command")
    keys = Keys.create(tmp_path / "key", seal)
    assert Keys.load(tmp_path / "key", seal) == keys
    assert seal_of(tmp_path / "key") == seal.name
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_a_sealed_file_holds_no_key(tmp_path: Path, seal: Seal) -> None:
    Keys.create(tmp_path / "key", seal)
    content = (tmp_path / "key").read_text()
    ring = Ring.load(tmp_path / "key", seal)
    assert "master" not in content
    for key in (ring.master, ring.keks[0].key):
        assert base64.b64encode(key).decode() not in content


def test_without_its_seal_it_stays_shut(tmp_path: Path, seal: Seal) -> None:
    Keys.create(tmp_path / "key", seal)
    with pytest.raises(KeyFileError, match="sealed"):
        Keys.load(tmp_path / "key")


def test_another_secret_does_not_open_it(tmp_path: Path) -> None:
    Keys.create(tmp_path / "key", EnvironmentSeal.of(SECRET))
    with pytest.raises(KeyFileError, match="another"):
        Keys.load(tmp_path / "key", EnvironmentSeal.of(OTHER))


def test_a_changed_file_does_not_open(tmp_path: Path, seal: Seal) -> None:
    Keys.create(tmp_path / "key", seal)
    fields = json.loads((tmp_path / "key").read_text())
    raw = bytearray(base64.b64decode(fields["sealed"]))
    raw[-1] ^= 1
    fields["sealed"] = base64.b64encode(raw).decode()
    (tmp_path / "key").write_text(json.dumps(fields))
    with pytest.raises(KeyFileError):
        Keys.load(tmp_path / "key", seal)


def test_a_file_without_the_expected_seal_is_refused(tmp_path: Path, seal: Seal) -> None:
    Keys.create(tmp_path / "key")
    with pytest.raises(KeyFileError, match="not sealed"):
        Keys.load(tmp_path / "key", seal)
    assert Ring.load(tmp_path / "key", seal, or_unsealed=True).keks


@pytest.mark.parametrize("text", ["", "short", "*" * 44, SECRET[:-4]])
def test_a_weak_secret_is_refused(text: str) -> None:
    with pytest.raises(KeyFileError, match="32 random bytes"):
        EnvironmentSeal.of(text)


@pytest.mark.parametrize("text", ["", "kms wrap", "'/bin/unclosed"])
def test_a_command_needs_a_place(text: str) -> None:
    with pytest.raises(KeyFileError, match="absolute"):
        CommandSeal.of(text)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        pytest.param("#!/bin/sh\necho tulip\nexit 3\n", "exit code 3", id="fails"),
        pytest.param("#!/bin/sh\ntrue\n", "no answer", id="says nothing"),
        pytest.param("#!/bin/sh\necho tulip\n", "not a key", id="answers nonsense"),
        pytest.param(f"#!/bin/sh\necho {OTHER}\n", "give back", id="gives another key back"),
        pytest.param("#!/no/such/shell\n", "cannot be run", id="cannot be run"),
        pytest.param("#!/bin/sh\nhead -c 70000 /dev/zero | tr '\\0' a\n", "too long", id="long"),
    ],
)
def test_a_broken_command_is_refused_without_its_words(
    tmp_path: Path, service: Service, script: str, said: str
) -> None:
    with pytest.raises(KeyFileError, match=said) as refusal:
        Keys.create(tmp_path / "key", service(script))
    assert "tulip" not in str(refusal.value)
    assert not (tmp_path / "key").exists()


def test_a_command_that_hangs_is_ended_with_all_it_started(
    tmp_path: Path, service: Service
) -> None:
    stuck = service("#!/bin/sh\nsleep 60 &\nsleep 60\n")
    with pytest.raises(KeyFileError, match="did not answer"):
        Keys.create(tmp_path / "key", CommandSeal(stuck.program, seconds=0.2))
