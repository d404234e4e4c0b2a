"""Folders and zips: what is found in them, and what makes a whole archive refused."""

import os
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.intake.archive import find_files
from storage.intake.limits import Limits
from tests.unit.intake.samples import LIMITS

ONE, OTHER = b"one file", b"another file"


def zipped(path: Path, members: dict[str, bytes], *, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def found(path: Path, limits: Limits = LIMITS) -> list[tuple[int | None, bytes | str]]:
    return [(each.entry, each.refused or each.data) for each in find_files([path], limits)]


def only_code(path: Path, limits: Limits = LIMITS) -> str:
    ((_, code),) = found(path, limits)
    assert isinstance(code, str)
    return code


def test_a_single_file_is_itself(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(ONE)
    assert found(tmp_path / "a") == [(None, ONE)]


def test_members_come_in_the_archives_order(tmp_path: Path) -> None:
    path = zipped(tmp_path / "s.zip", {"b/2.dcm": ONE, "a/1.dcm": OTHER}, compression=8)
    assert found(path) == [(0, ONE), (1, OTHER)]


def test_a_folder_is_walked_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "2").write_bytes(OTHER)
    (tmp_path / "1").write_bytes(ONE)
    assert found(tmp_path) == [(0, ONE), (1, OTHER)]


def test_what_desktops_leave_behind_is_passed_over(tmp_path: Path) -> None:
    litter = {"__MACOSX/._a.dcm": b"x", ".DS_Store": b"x", "b/Thumbs.db": b"x", "a.dcm": ONE}
    assert found(zipped(tmp_path / "s.zip", litter)) == [(0, ONE)]


def test_notes_beside_the_images_are_not_offered(tmp_path: Path) -> None:
    notes = {"truth.json": b"{}", "readme.TXT": b"x", "a.dcm": ONE}
    assert found(zipped(tmp_path / "s.zip", notes)) == [(0, ONE)]


def test_several_paths_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(ONE)
    path = zipped(tmp_path / "s.zip", {"1": OTHER})
    results = list(find_files([tmp_path / "a", path], LIMITS))
    assert [(each.path_index, each.data) for each in results] == [(0, ONE), (1, OTHER)]


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/cron.d/x",
        "a/../../x",
        "/etc/passwd",
        "..",
        "a\\..\\x",
        "C:\\x",
        "C:x",
        "\\\\h\\x",
    ],
)
def test_names_that_lead_outside_refuse_the_archive(tmp_path: Path, name: str) -> None:
    assert only_code(zipped(tmp_path / "s.zip", {"a.dcm": ONE, name: ONE})) == "archive_traversal"


def test_a_nul_in_a_name_refuses_the_archive(tmp_path: Path) -> None:
    path = zipped(tmp_path / "s.zip", {"abcd": ONE})
    path.write_bytes(path.read_bytes().replace(b"abcd", b"a\0cd"))
    assert only_code(path) == "archive_traversal"


def test_a_link_in_an_archive_refuses_it(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert only_code(tmp_path / "s.zip") == "archive_symlink"


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("twin", ["a.dcm", "A.DCM", "./a.dcm"])
def test_two_members_of_one_name_refuse_the_archive(tmp_path: Path, twin: str) -> None:
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        archive.writestr("a.dcm", ONE)
        archive.writestr(twin, OTHER)
    assert only_code(tmp_path / "s.zip") == "archive_duplicate"


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "s.zip", {"a.dcm": ONE})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert only_code(path) == "archive_encrypted"


def test_other_compressions_are_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "s.zip", {"a.dcm": ONE}, compression=zipfile.ZIP_LZMA)
    assert only_code(path) == "archive_unsupported"


def test_a_bomb_is_refused_by_its_table_of_contents(tmp_path: Path) -> None:
    bomb = zipped(tmp_path / "s.zip", {"a": bytes(80_000_000)}, compression=zipfile.ZIP_DEFLATED)
    assert only_code(bomb) == "archive_bomb"


def test_a_hundred_thousand_entries_are_refused_before_they_are_listed(tmp_path: Path) -> None:
    path = zipped(tmp_path / "s.zip", {"a.dcm": ONE})
    data = path.read_bytes()
    at = data.rindex(b"PK\x05\x06")
    path.write_bytes(data[: at + 8] + struct.pack("<HH", 60_000, 60_000) + data[at + 12 :])
    assert only_code(path) == "archive_too_many_entries"


def test_entries_counted_in_64_bits_are_refused_too(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        for number in range(70_000):
            archive.writestr(zipfile.ZipInfo(f"{number}"), b"")
    assert only_code(tmp_path / "s.zip") == "archive_too_many_entries"


def test_more_members_than_files_allowed_are_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "s.zip", {str(number): ONE for number in range(4)})
    assert only_code(path, Limits(files=3)) == "archive_too_many_entries"


def test_an_archive_in_an_archive_is_refused(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "i.zip", {"a": ONE}).read_bytes()
    path = zipped(tmp_path / "s.zip", {"a.dcm": ONE, "i.zip": inner})
    assert found(path) == [(0, ONE), (1, "archive_nested")]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[: len(data) // 2], id="cut off"),
        pytest.param(lambda data: data[:-22], id="no end record"),
        pytest.param(lambda data: data.replace(b"PK\x01\x02", b"PK\x01\x09"), id="no contents"),
    ],
)
def test_a_damaged_archive_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = zipped(tmp_path / "s.zip", {"a.dcm": ONE * 50})
    path.write_bytes(damage(path.read_bytes()))
    assert only_code(path) == "archive_damaged"


def test_a_member_with_a_wrong_checksum_is_refused_alone(tmp_path: Path) -> None:
    path = zipped(tmp_path / "s.zip", {"a": b"aaaaaaaa", "b": OTHER})
    path.write_bytes(path.read_bytes().replace(b"aaaaaaaa", b"aaaabaaa"))
    assert found(path) == [(0, "archive_damaged"), (1, OTHER)]


def test_an_archive_without_files_is_empty(tmp_path: Path) -> None:
    assert only_code(zipped(tmp_path / "s.zip", {})) == "empty_file"


def test_zero_bytes_are_refused_wherever_they_are(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    assert found(tmp_path / "a") == [(None, "empty_file")]
    assert found(zipped(tmp_path / "s.zip", {"a": b""})) == [(0, "empty_file")]


def test_a_file_over_the_limit_is_refused_and_the_next_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(1001))
    (tmp_path / "b").write_bytes(ONE)
    assert found(tmp_path, Limits(file_bytes=1000)) == [(0, "too_large"), (1, ONE)]


def test_a_sparse_file_200_mb_over_the_limit_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as file:
        file.truncate(LIMITS.file_bytes + 200 * 1024 * 1024)
    assert only_code(tmp_path / "a") == "too_large"


def test_an_upload_over_its_limit_ends_there(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_bytes(bytes(400))
    codes = [code for _, code in found(tmp_path, Limits(study_bytes=500))]
    assert codes == [bytes(400), "study_too_large"]
    assert found(tmp_path, Limits(files=1)) == [(0, bytes(400)), (1, "too_many_files")]


def test_links_in_a_folder_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_bytes(ONE)
    (tmp_path / "in" / "a").symlink_to(tmp_path / "secret")
    assert only_code(tmp_path / "in") == "archive_symlink"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert only_code(tmp_path / "pipe") == "not_a_file"


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert only_code(tmp_path / "nothing") == "not_a_file"
