"""What is stored is on the disk before anyone may name it, one object or a thousand."""

import ctypes
import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage import durable
from storage.blobs import MANY, BlobStore
from storage.durable import FileSystem
from storage.errors import BlobMissingError, StorageFullError
from storage.keys import Keys

KEYS = Keys.derive(b"a master key for tests, 32 bytes")
OBJECTS = [b"object %d" % number for number in range(3 * MANY)]


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    (tmp_path / "blobs").mkdir()
    return BlobStore(tmp_path / "blobs", KEYS)


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Note every path that is synced one by one."""
    paths: list[Path] = []
    really = os.fsync

    def noted(descriptor: int) -> None:
        paths.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        really(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    return paths


def files_in(blobs: BlobStore) -> list[Path]:
    return [path for path in blobs.root.rglob("*") if path.is_file()]


def folders_of(blobs: BlobStore, addresses: list[str]) -> set[Path]:
    leaves = {blobs.root / address[:2] / address[2:4] for address in addresses}
    return leaves | {leaf.parent for leaf in leaves} | {blobs.root}


def put_all(blobs: BlobStore, before_the_end: Callable[[], object] = list) -> list[str]:
    with blobs.batch() as batch:
        addresses = [batch.put(data) for data in OBJECTS]
        before_the_end()
    return addresses


def test_one_object_and_its_folders_are_synced(blobs: BlobStore, synced: list[Path]) -> None:
    address = blobs.put(b"pixels")
    assert synced[0].name.startswith(f".{address}.")  # before it has its name
    assert set(synced[1:]) == folders_of(blobs, [address])
    assert len(synced) == 4


def test_many_objects_take_two_syncs(
    blobs: BlobStore, synced: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []  # files, and of them those that have their address

    def syncfs(_descriptor: int) -> int:
        seen.append((len(files_in(blobs)), len(list(blobs.addresses()))))
        return 0

    monkeypatch.setattr(durable, "_syncfs", lambda: syncfs)
    with blobs.batch() as batch:
        addresses = [batch.put(data) for data in OBJECTS]
        with pytest.raises(BlobMissingError):
            blobs.get(addresses[0])
    assert seen == [(len(OBJECTS), 0), (len(OBJECTS), len(OBJECTS))]
    assert synced == []
    assert [blobs.get(address) for address in addresses] == OBJECTS


def test_without_that_call_every_file_and_folder_is_synced(
    blobs: BlobStore, synced: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "_syncfs", lambda: None)
    addresses = put_all(blobs)
    files, folders = synced[: len(OBJECTS)], synced[len(OBJECTS) :]
    assert sorted(path.name[1:65] for path in files) == sorted(addresses)
    assert set(folders) == folders_of(blobs, addresses)


def test_a_sync_that_fails_leaves_nothing(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> int:
        ctypes.set_errno(errno.ENOSPC)
        return -1

    monkeypatch.setattr(durable, "_syncfs", lambda: full)
    with pytest.raises(StorageFullError):
        put_all(blobs)
    assert files_in(blobs) == []


def test_a_batch_that_fails_leaves_nothing(blobs: BlobStore) -> None:
    with pytest.raises(ZeroDivisionError):
        put_all(blobs, before_the_end=lambda: 1 / 0)
    assert files_in(blobs) == []


def test_the_same_data_twice_in_a_batch_are_one_object(blobs: BlobStore) -> None:
    with blobs.batch() as batch:
        assert batch.put(b"pixels") == batch.put(b"pixels")
    assert len(files_in(blobs)) == 1


def test_several_threads_may_fill_a_batch(blobs: BlobStore) -> None:
    with blobs.batch() as batch, ThreadPoolExecutor(8) as threads:
        addresses = list(threads.map(batch.put, OBJECTS * 4))
    assert len(files_in(blobs)) == len(OBJECTS)
    assert [blobs.get(address) for address in addresses] == OBJECTS * 4


def test_what_another_upload_stored_is_synced_with_ours(
    blobs: BlobStore, synced: list[Path]
) -> None:
    address = blobs.put(b"pixels")
    synced.clear()
    blobs.put(b"pixels")
    assert set(synced) == folders_of(blobs, [address])  # its rename may still be on the way


@pytest.mark.parametrize(
    ("release", "offered"),
    [("6.1.0-18-amd64", True), ("5.8.0", True), ("5.7.19", False), ("4.19-x", False)],
)
def test_a_kernel_that_keeps_quiet_about_errors_is_not_relied_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, release: str, *, offered: bool
) -> None:
    monkeypatch.setattr("platform.release", lambda: release)
    monkeypatch.setattr("sys.platform", "linux")
    disk = FileSystem.of(tmp_path)
    assert (disk._syncfs is not None) is offered
    disk.sync([tmp_path], at_once=True)
    disk.close()
