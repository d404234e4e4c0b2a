"""`overread keys` at the terminal."""

import base64
from pathlib import Path

import pytest

from storage.blobs import BlobStore
from storage.keys import Keys
from tests.flow.terminal import Overread

SECRET = base64.b64encode(b"a secret that is not on the disk").decode()


@pytest.fixture
def data(tmp_path: Path, overread: Overread) -> Path:
    assert overread("init", "--password-stdin", stdin="correct horse battery\n").code == 0
    blobs = BlobStore(tmp_path / "data" / "blobs", Keys.load(tmp_path / "data" / "keys.json"))
    for number in range(3):
        blobs.put(b"object %d" % number)
    return tmp_path / "data"


def test_keys_are_listed_without_a_secret(data: Path, overread: Overread) -> None:
    shown = overread("keys", "show", "--json")
    (kek,) = shown.json["keks"]
    assert (kek["active"], kek["objects"], shown.json["seal"]) == (True, 3, "none")
    key = Keys.load(data / "keys.json").keks.active().key
    assert base64.b64encode(key).decode() not in shown.out
    assert key.hex() not in shown.out


def test_keys_rotate_to_a_new_one(data: Path, overread: Overread) -> None:
    before = overread("keys", "show", "--json").json["keks"][0]["id"]
    done = overread("keys", "rotate", "--json")
    assert done.code == 0
    assert (done.json["rewrapped"], done.json["retired"]) == (3, [before])
    assert "3 of 3 objects" in done.err
    assert overread("keys", "show").out.count("active") == 1
    assert overread("audit", "verify").code == 0
    assert [path.name for path in data.iterdir() if "keys" in path.name] == ["keys.json"]


def test_keys_can_be_sealed_and_unsealed(data: Path, overread: Overread) -> None:
    refused = overread("keys", "show", OVERREAD_KEY=SECRET)
    assert refused.code == 1
    assert "overread keys rotate" in refused.err
    assert overread("keys", "rotate", OVERREAD_KEY=SECRET).code == 0
    assert overread("keys", "show", "--json", OVERREAD_KEY=SECRET).json["seal"] == "environment"
    refused = overread("keys", "show")
    assert refused.code == 1
    assert "sealed" in refused.err
    assert overread("keys", "rotate", "--unseal", OVERREAD_KEY=SECRET).code == 0
    assert overread("keys", "show", "--json").json["seal"] == "none"
    assert (data / "keys.json").stat().st_mode & 0o777 == 0o600


def test_two_seals_at_once_are_refused(overread: Overread, data: Path) -> None:
    assert data.is_dir()
    both = {"OVERREAD_KEY": SECRET, "OVERREAD_KEY_COMMAND": "/bin/kms"}
    refused = overread("keys", "show", **both)
    assert refused.code == 2
    assert "not both" in refused.err


def test_an_object_under_an_unknown_key_is_told(data: Path, overread: Overread) -> None:
    stranger = BlobStore(data / "blobs", Keys.derive(b"another master key of 32 bytes .."))
    stranger.put(b"from elsewhere")
    shown = overread("keys", "show", "--json")
    assert (shown.code, shown.json["unknown"]) == (1, 1)
