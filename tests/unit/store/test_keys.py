"""The key file."""

import json
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from storage.clock import utc_now
from storage.errors import KeyFileError
from storage.keys import Kek, Keks, Keys


def test_what_was_created_is_loaded_again(tmp_path: Path) -> None:
    assert Keys.create(tmp_path / "key") == Keys.load(tmp_path / "key")


def test_the_file_is_private_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    Keys.create(tmp_path / "key")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_each_purpose_has_a_key_of_its_own(tmp_path: Path) -> None:
    keys = Keys.create(tmp_path / "key")
    every = {keys.keks.active().key, keys.blob_address, keys.pseudonym, keys.audit_heads}
    every |= {keys.sign_in, keys.backup}
    assert len(every) == 6
    assert {len(key) for key in every} == {32}


def test_two_installations_share_no_key(tmp_path: Path) -> None:
    assert Keys.create(tmp_path / "one") != Keys.create(tmp_path / "other")


def test_purposes_are_derived_by_hkdf_with_their_label() -> None:
    expected = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"overread/1/pseudonym")
    assert Keys.derive(b"m" * 32).pseudonym == expected.derive(b"m" * 32)


def test_an_existing_file_is_never_replaced(tmp_path: Path) -> None:
    keys = Keys.create(tmp_path / "key")
    with pytest.raises(KeyFileError):
        Keys.create(tmp_path / "key")
    assert Keys.load(tmp_path / "key") == keys
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    Keys.create(tmp_path / "key")
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(KeyFileError, match="0600"):
        Keys.load(tmp_path / "key")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="empty"),
        pytest.param("[]", id="another shape"),
        pytest.param(json.dumps({"version": 1, "master": "*"}), id="not base64"),
        pytest.param(json.dumps({"version": 1, "master": "AAAA"}), id="short"),
        pytest.param(json.dumps({"version": 3, "master": "A" * 43 + "="}), id="newer"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "key").touch(mode=0o600)
    (tmp_path / "key").write_text(content)
    with pytest.raises(KeyFileError):
        Keys.load(tmp_path / "key")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError):
        Keys.load(tmp_path / "key")


def test_a_key_in_memory_is_found_while_the_file_cannot_be_read() -> None:
    def unreadable() -> None:
        raise KeyFileError("sealed")

    kek = Kek.random(utc_now())
    assert Keks((kek,), unreadable).find(kek.id) is kek
    with pytest.raises(KeyFileError):
        Keks((kek,), unreadable).find(b"another!")


def test_keys_do_not_show_in_logs(tmp_path: Path) -> None:
    keys = Keys.create(tmp_path / "key")
    assert repr(keys.keks.active().key) not in repr(keys) + repr(keys.keks.active())
    assert repr(keys.pseudonym) not in repr(keys)
