"""The Dockerfile's steps without a container engine: wheel, clean environments, another folder.

What only an engine can show (users, read-only root, volumes) is checked here as text at most.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),  # two environments are installed from the package index
]


def _run(*command: object, cwd: Path, **environment: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own commands
        [str(part) for part in command],
        cwd=cwd,
        env=_environment(**environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _environment(**changes: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OVERREAD_", "PYTHON"))}
    if find_links := os.environ.get("PIP_FIND_LINKS"):
        kept["UV_FIND_LINKS"] = find_links
    return kept | changes


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the files the image copies, and install it twice, as the image does."""
    if not UV.exists():
        pytest.skip("uv is not installed beside this Python; `make test` installs it")
    folder = tmp_path_factory.mktemp("image")
    source = folder / "src"
    source.mkdir()
    for name in re.findall(r"^!(\S+)", (REPO / ".dockerignore").read_text(), re.MULTILINE):
        if (REPO / name).is_dir():
            shutil.copytree(
                REPO / name,
                source / name,
                ignore=shutil.ignore_patterns("node_modules", "__pycache__"),
            )
        else:
            shutil.copy(REPO / name, source / name)
    _run(UV, "build", "--wheel", "--out-dir", folder / "wheels", cwd=source)
    wheel = next((folder / "wheels").glob("overread-*.whl"))
    # The worker's hashes are of the index's torch, 3 GB with CUDA: here it takes what it can get.
    for name, locked, what in (
        ("web", ("--require-hashes", "-r", source / "requirements/web.txt"), ()),
        ("web", ("--no-deps",), (wheel,)),
        ("worker", ("-c", REPO / "constraints.txt"), (f"{wheel}[worker]",)),
    ):
        python = folder / name / "bin/python"
        if not python.exists():
            _run(UV, "venv", folder / name, "--python", sys.executable, cwd=folder)
        _run(UV, "pip", "install", "--python", python, *locked, *what, cwd=folder)
    return folder


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder


def _answers(url: str, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - loopback
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    return False


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        process.wait(timeout=30)


def test_web_starts_from_the_wheel_without_torch(
    installed: Path, elsewhere: Path, port: int, started: list[subprocess.Popen[bytes]]
) -> None:
    binaries = installed / "web/bin"
    settings = {
        "OVERREAD_DATA_DIR": str(elsewhere / "data"),
        "OVERREAD_WORKER_URL": "http://127.0.0.1:9",
    }
    assert not list((installed / "web").glob("lib/*/site-packages/torch"))
    _run(binaries / "overread", "init", cwd=elsewhere, **settings)
    started.append(
        subprocess.Popen(  # noqa: S603 - our own command
            [str(binaries / "overread"), "serve", "--port", str(port)],
            cwd=elsewhere,
            env=_environment(**settings),
        )
    )
    assert _answers(f"http://127.0.0.1:{port}/api/v1/health/live", seconds=60)


def test_worker_answers_from_the_wheel(installed: Path, elsewhere: Path) -> None:
    answer = _run(
        *(installed / "worker/bin/overread-worker", "generate", "--model", "overread-demo"),
        *("--prompt", "What is this?", "--greedy", "--max-tokens", "8", "--json"),
        cwd=elsewhere,
        OMP_NUM_THREADS="1",
    )
    assert '"overread-demo"' in answer


def test_images_run_as_a_user_of_their_own_with_data_on_a_volume() -> None:
    base = (REPO / "Dockerfile").read_text().partition(" AS base")[2]
    assert "\nUSER overread\n" in base.partition("\nFROM")[0]
    assert "VOLUME /data" in base
    compose = (REPO / "compose.yaml").read_text()
    assert compose.count("read_only: true") == 2
    assert "capabilities: [gpu]" in compose
    web = (REPO / "Dockerfile").read_text().partition(" AS web")[2].partition("FROM base")[0]
    assert "postgresql-client" in web  # `overread backup` calls pg_dump
    assert "backups:/backups" in compose
