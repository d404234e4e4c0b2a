"""Chromium, as Debian ships it, and a whole Overread with its demo model on loopback."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
BIN = Path(sys.executable).parent
START_S = 90
EXPECT_MS = 20_000  # two busy cores draw pages in software

expect.set_options(timeout=EXPECT_MS)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Return a headless Chromium, or skip where none is installed.

    Once a module, not once a session: while Playwright is open its event loop runs in this
    thread, and every asynchronous test after it would fail.
    """
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@dataclass(frozen=True)
class Running:
    """A started Overread: where it answers and who may sign in."""

    url: str
    data: Path
    name: str
    password: str
    process: int

    @contextmanager
    def slow_model(self) -> Iterator[None]:
        """Let the worker run a hundredth of the time, so that a person can stop an answer."""
        worker = _descendant(self.process, b"overread-worker")
        done = threading.Event()

        def brake() -> None:
            while not done.wait(0.003):
                os.kill(worker, signal.SIGSTOP)
                time.sleep(0.297)
                os.kill(worker, signal.SIGCONT)

        braking = threading.Thread(target=brake)
        braking.start()
        try:
            yield
        finally:
            done.set()
            braking.join()

    def cli(self, *arguments: str, stdin: str = "") -> str:
        """Run one `overread` command on the same data folder and return what it printed."""
        done = subprocess.run(  # noqa: S603 - our own command
            [str(BIN / "overread"), *arguments],
            env=_environment(self.data),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def _descendant(process: int, name: bytes) -> int:
    """Return the process below `process` whose command line holds `name`."""
    parents = {
        int(stat.parent.name): int(stat.read_text().rpartition(")")[2].split()[1])
        for stat in Path("/proc").glob("[0-9]*/stat")
    }
    for found in parents:
        above = found
        while above in parents and above != process:
            above = parents[above]
        command = Path(f"/proc/{found}/cmdline").read_bytes()
        if above == process and name in command and b"tether" not in command:
            return found
    raise LookupError("the worker is not running")


def _environment(data: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("OVERREAD_")}
    return kept | {"OVERREAD_DATA_DIR": str(data), "OMP_NUM_THREADS": "1"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(it: Running, process: subprocess.Popen[bytes]) -> None:
    """Wait until people can work and the model answers."""
    token = json.loads(it.cli("tokens", "create", it.name, "--json"))["token"]
    asked = urllib.request.Request(  # noqa: S310 - loopback
        f"{it.url}/api/v1/health/ready", headers={"Authorization": f"Bearer {token}"}
    )
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        assert process.poll() is None, "overread serve ended while starting"
        try:
            with urllib.request.urlopen(asked, timeout=5) as answer:  # noqa: S310 - loopback
                if json.load(answer)["worker"]:
                    return
        except OSError:
            pass
        time.sleep(0.2)
    pytest.fail("overread serve did not answer in time")


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Start `overread serve` with the embedded demo model, and stop it at the end."""
    data = tmp_path_factory.mktemp("running") / "data"
    port = _free_port()
    it = Running(f"http://127.0.0.1:{port}", data, "resident", "made-up words for a test", 0)
    it.cli("init", "--admin", it.name, "--password-stdin", stdin=it.password + "\n")
    with (data.parent / "serve.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [str(BIN / "overread"), "serve", "--port", str(port)],
            env=_environment(data),
            stdout=log,
            stderr=log,
        )
        try:
            _wait(it, process)
            yield replace(it, process=process.pid)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)


def rows(folder: Path, name: str) -> list[dict[str, object]]:
    """Return the rows of one JSONL file of an export."""
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]
