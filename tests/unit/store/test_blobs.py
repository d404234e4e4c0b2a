"""Blobs: what goes in comes out, and nothing else ever does."""

import hashlib
import hmac
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.blobs import CHUNK_BYTES, BlobStore
from storage.errors import BlobDamagedError, BlobMissingError
from storage.keys import Keys

KEYS = Keys.derive(b"a master key for tests, 32 bytes")
HEADER_BYTES = 4 + 8 + 4 + 8 + 12 + 48
LARGE = bytes(range(256)) * (2 * CHUNK_BYTES // 256) + b"tail"  # two chunks and four bytes


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    (tmp_path / "blobs").mkdir()
    return BlobStore(tmp_path / "blobs", KEYS)


def _file(blobs: BlobStore, address: str) -> Path:
    return blobs.root / address[:2] / address[2:4] / address


def _files(blobs: BlobStore) -> list[str]:
    return sorted(path.name for path in blobs.root.rglob("*") if path.is_file())


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1])
def test_what_goes_in_comes_out(blobs: BlobStore, size: int) -> None:
    data = os.urandom(size)
    assert blobs.get(blobs.put(data)) == data


def test_the_address_is_a_keyed_hash_of_the_content(blobs: BlobStore) -> None:
    expected = hmac.new(KEYS.blob_address, b"pixels", hashlib.sha256).hexdigest()
    assert blobs.put(b"pixels") == expected
    assert blobs.exists(expected)
    assert _files(blobs) == [expected]


def test_the_same_data_are_stored_once(blobs: BlobStore) -> None:
    first = blobs.put(LARGE)
    written = _file(blobs, first).read_bytes()  # under a random key: written anew, it differs
    assert blobs.put_file(io.BytesIO(LARGE)) == first
    assert _file(blobs, first).read_bytes() == written
    assert list(blobs.addresses()) == [first]


def test_nothing_of_the_content_is_on_the_disk(blobs: BlobStore) -> None:
    address = blobs.put(b"PATIENT^NAME " * 100)
    assert b"PATIENT" not in _file(blobs, address).read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    offset=st.integers(0, len(LARGE) + 10) | st.integers(CHUNK_BYTES - 3, CHUNK_BYTES + 3),
    length=st.integers(0, 40) | st.integers(0, len(LARGE)),
)
def test_any_part_is_that_part(blobs: BlobStore, offset: int, length: int) -> None:
    address = blobs.put(LARGE) if not (known := list(blobs.addresses())) else known[0]
    assert blobs.read(address, offset, length) == LARGE[offset : offset + length]


def test_a_part_is_readable_while_another_chunk_is_damaged(blobs: BlobStore) -> None:
    address = blobs.put(LARGE)
    _flip(_file(blobs, address), HEADER_BYTES + CHUNK_BYTES + 16 + 5)  # in the second chunk
    assert blobs.read(address, 10, 20) == LARGE[10:30]
    with pytest.raises(BlobDamagedError):
        blobs.read(address, CHUNK_BYTES, 1)


def test_a_negative_part_is_refused(blobs: BlobStore) -> None:
    address = blobs.put(b"pixels")
    with pytest.raises(ValueError, match="negative"):
        blobs.read(address, -1, 2)


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(0, id="magic"),
        pytest.param(3, id="version"),
        pytest.param(5, id="key id"),
        pytest.param(14, id="chunk size"),
        pytest.param(20, id="length"),
        pytest.param(30, id="nonce"),
        pytest.param(50, id="wrapped key"),
        pytest.param(HEADER_BYTES, id="content"),
        pytest.param(-1, id="tag"),
    ],
)
def test_one_flipped_bit_is_found(blobs: BlobStore, place: int) -> None:
    address = blobs.put(b"pixels")
    _flip(_file(blobs, address), place)
    with pytest.raises(BlobDamagedError):
        blobs.get(address)


@pytest.mark.parametrize("kept", [0, 10, HEADER_BYTES, HEADER_BYTES + 10, -1])
def test_a_cut_file_is_found(blobs: BlobStore, kept: int) -> None:
    address = blobs.put(b"pixels")
    path = _file(blobs, address)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(BlobDamagedError):
        blobs.get(address)


def test_an_appended_file_is_found(blobs: BlobStore) -> None:
    address = blobs.put(b"pixels")
    with _file(blobs, address).open("ab") as file:
        file.write(b"x")
    with pytest.raises(BlobDamagedError):
        blobs.get(address)


def test_two_swapped_files_are_found(blobs: BlobStore) -> None:
    one, other = blobs.put(b"pixels of one"), blobs.put(b"pixels of two")
    _file(blobs, one).write_bytes(_file(blobs, other).read_bytes())
    with pytest.raises(BlobDamagedError):
        blobs.get(one)


def test_two_swapped_chunks_are_found(blobs: BlobStore) -> None:
    address = blobs.put(LARGE)
    path, sealed = _file(blobs, address), CHUNK_BYTES + 16
    raw = path.read_bytes()
    head, first = raw[:HEADER_BYTES], raw[HEADER_BYTES : HEADER_BYTES + sealed]
    second = raw[HEADER_BYTES + sealed : HEADER_BYTES + 2 * sealed]
    path.write_bytes(head + second + first + raw[HEADER_BYTES + 2 * sealed :])
    with pytest.raises(BlobDamagedError):
        blobs.get(address)


def test_another_key_opens_nothing(blobs: BlobStore) -> None:
    address = blobs.put(b"pixels")
    stranger = BlobStore(blobs.root, Keys.derive(b"another master key of 32 bytes .."))
    with pytest.raises(BlobDamagedError):
        stranger.get(address)


def test_a_damaged_object_is_healed_by_storing_it_again(blobs: BlobStore) -> None:
    address = blobs.put(LARGE)
    _flip(_file(blobs, address), -1)
    assert blobs.put(LARGE) == address
    assert blobs.get(address) == LARGE


@pytest.mark.parametrize("address", ["0" * 64, "", "../../etc/passwd", "0" * 62 + "/."])
def test_what_is_not_there_is_missing(blobs: BlobStore, address: str) -> None:
    assert not blobs.exists(address)
    with pytest.raises(BlobMissingError):
        blobs.get(address)


def test_a_full_disk_is_said_and_leaves_nothing(blobs: BlobStore) -> None:
    # The operating system refuses every file beyond 4 kB in this child process.
    script = """
import resource, sys
from pathlib import Path
from storage.blobs import BlobStore
from storage.errors import StorageFullError
from storage.keys import Keys
blobs = BlobStore(Path(sys.argv[1]), Keys.derive(b"a master key for tests, 32 bytes"))
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    blobs.put(bytes(100_000))
except StorageFullError:
    sys.exit(3)
"""
    command = [sys.executable, "-c", script, str(blobs.root)]
    assert subprocess.run(command, check=False, timeout=30).returncode == 3  # noqa: S603 - ours
    assert _files(blobs) == []


def _flip(path: Path, place: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(raw)
