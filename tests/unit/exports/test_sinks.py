"""Where an export is written: all of it, or nothing."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from storage.errors import ExportFolderError
from storage.exports.sinks import folder_export


def _export(out: Path, *names: str, format_: str = "llava") -> None:
    manifest = {"format": format_, "files": {name: {} for name in names}}
    with folder_export(out, format_) as sink:
        for name in names:
            sink.add(name, io.BytesIO(name.encode()))
        sink.add("manifest.json", io.BytesIO(json.dumps(manifest).encode()))


def _names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_files_appear_in_a_new_folder(tmp_path: Path) -> None:
    _export(tmp_path / "a" / "out", "train.json", "images/1.png")
    assert _names(tmp_path / "a" / "out") == ["images/1.png", "manifest.json", "train.json"]
    assert (tmp_path / "a" / "out" / "images" / "1.png").read_bytes() == b"images/1.png"


def test_an_earlier_export_of_the_format_is_replaced(tmp_path: Path) -> None:
    _export(tmp_path, "train.json", "images/1.png")
    _export(tmp_path, "train.json", "images/2.png")
    assert _names(tmp_path) == ["images/2.png", "manifest.json", "train.json"]


@pytest.mark.parametrize("content", ["a stranger's file", "another format", "more files", "a file"])
def test_other_peoples_files_are_left_alone(tmp_path: Path, content: str) -> None:
    out = tmp_path / "out"
    if content == "a file":
        out.write_text("mine")
    elif content == "a stranger's file":
        out.mkdir()
        (out / "thesis.txt").write_text("mine")
    else:
        _export(out, "train.json", format_="full" if content == "another format" else "llava")
    if content == "more files":
        (out / "thesis.txt").write_text("mine")
    before = _names(out)
    with pytest.raises(ExportFolderError):
        _export(out, "train.json")
    assert _names(out) == before


def test_a_failure_leaves_the_earlier_export(tmp_path: Path) -> None:
    _export(tmp_path, "train.json")

    def fail() -> None:
        with folder_export(tmp_path, "llava") as sink:
            sink.add("other.json", io.BytesIO(b"[]"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert _names(tmp_path) == ["manifest.json", "train.json"]


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    # The operating system refuses every file beyond 4 kB in this child process.
    script = """
import io, resource, sys
from pathlib import Path
from storage.errors import StorageFullError
from storage.exports.sinks import folder_export
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    with folder_export(Path(sys.argv[1]), "llava") as sink:
        sink.add("small.json", io.BytesIO(b"[]"))
        sink.add("large.json", io.BytesIO(bytes(100_000)))
except StorageFullError:
    sys.exit(3)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "out")]
    assert subprocess.run(command, check=False, timeout=30).returncode == 3  # noqa: S603 - ours
    assert not (tmp_path / "out").exists()
