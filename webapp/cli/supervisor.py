"""Keep one worker process alive, and know why it is not.

The worker listens on a loopback port with a random key that only this installation's account
can read. When it dies, its last words are kept, cleaned of paths, so that a person at a page
learns the reason; it is started again after a pause that doubles up to a minute.
"""

import json
import logging
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

logger = logging.getLogger(__name__)

FIRST_PAUSE: Final = 1.0  # seconds
LONGEST_PAUSE: Final = 60.0
STEADY_AFTER: Final = 60.0  # a worker that ran this long starts with the first pause again
STOP_WITHIN: Final = 10.0
LONGEST_REASON: Final = 200
TETHER: Final = Path(__file__).with_name("tether.py")

_PATH: Final = re.compile(r"(?:/[\w.+@-]+){2,}")
_UNPRINTABLE: Final = re.compile(r"\x1b\[[0-9;]*m|[^\x20-\x7e\u00a0-\u024f\u2010-\u2027]")


@dataclass(frozen=True, slots=True)
class Address:
    """Where the embedded worker listens, and the key it asks for."""

    port: int
    key: str = field(repr=False)

    @classmethod
    def choose(cls) -> "Address":
        """Return a free loopback port and a random key."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return cls(probe.getsockname()[1], secrets.token_urlsafe(32))

    @property
    def url(self) -> str:
        """The address as a client needs it."""
        return f"http://127.0.0.1:{self.port}"


class Supervisor:
    """Starts the worker, restarts it, stops it. One thread; safe to ask from others."""

    def __init__(
        self,
        program: Sequence[str],
        *,
        environment: Mapping[str, str],
        echo: IO[str] | None = None,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        """Prepare; nothing runs before `start`.

        Args:
            program: The worker's command line, an absolute path first.
            environment: The whole environment of the worker.
            echo: Where its standard error is repeated line by line, if anywhere.
            first_pause: Seconds before the first restart.
        """
        launcher = [sys.executable, "-I", "-S", str(TETHER)]  # alone, so that it starts at once
        self._program = [*launcher, str(os.getpid()), *program]
        self._environment = dict(environment)
        self._echo = echo
        self._first_pause = first_pause
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="worker-supervisor", daemon=True)
        self._process: subprocess.Popen[str] | None = None
        self._reason = ""
        self._ended: int | None = None  # return code of the worker before
        self._restarts = 0

    @property
    def reason(self) -> str:
        """Why the worker is down, in its own last words; empty while it runs."""
        return self._reason

    @property
    def restarts(self) -> int:
        """How often it had to be started again."""
        return self._restarts

    @property
    def pid(self) -> int | None:
        """The running worker's process id."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Start the worker in the background."""
        self._thread.start()

    def stop(self) -> None:
        """End the worker and wait for it: asked at first, then killed with all it started."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        pause = self._first_pause
        while not self._stopping.is_set():
            started = time.monotonic()
            last_words = self._run_once()
            if self._stopping.is_set():
                return
            self._reason = clean_reason(last_words) or how_it_ended(self._ended)
            logger.warning("worker.died", extra={"restarts": self._restarts})
            if time.monotonic() - started > STEADY_AFTER:
                pause = self._first_pause
            self._stopping.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
            self._restarts += 1

    def _run_once(self) -> str:
        """Run the worker until it ends; return the last line it wrote to standard error."""
        last = [""]
        with subprocess.Popen(  # noqa: S603 - our own program, no shell
            self._program,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C reaches the web process alone, which then stops us
        ) as process:
            self._process, self._reason = process, ""
            listener = threading.Thread(target=self._listen, args=(process, last), daemon=True)
            listener.start()
            while process.poll() is None and not self._stopping.wait(0.1):
                pass
            _end(process)
            listener.join(timeout=1.0)
            self._ended = process.returncode
        return last[0]

    def _listen(self, process: subprocess.Popen[str], last: list[str]) -> None:
        for line in process.stderr or ():
            if line.strip():
                last[0] = line.strip()
            if self._echo is not None:
                self._echo.write(line)
                self._echo.flush()


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            logger.warning("worker.killed")
    try:
        os.killpg(process.pid, signal.SIGKILL)  # whatever it started; itself if it would not go
    except ProcessLookupError:
        return


def clean_reason(line: str) -> str:
    """Return a line of a log as a short sentence without paths or control characters.

    An event of our own loggers is a JSON object; of it, the message or the error's name is used,
    and nothing of one that only told how things went.
    """
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if isinstance(event, dict):
        if event.get("level") in {"debug", "info"}:
            return ""
        words = (event.get(name) for name in ("reason", "message", "error", "event"))
        line = next((str(word) for word in words if word), "")
    line = line.removeprefix("overread-worker: ")
    shortened = _PATH.sub(lambda path: Path(path[0]).name, _UNPRINTABLE.sub("", line))
    return shortened[:LONGEST_REASON].strip()


def how_it_ended(returncode: int | None) -> str:
    """Return what a process's end tells of it when it said nothing itself."""
    if returncode is not None and returncode < 0:
        return f"it was ended from outside, {signal.Signals(-returncode).name}"
    return "it ended without a word"


def worker_program(model: str, port: int) -> list[str] | None:
    """Return the embedded worker's command line; None when the worker is not installed here."""
    program = Path(sys.executable).with_name("overread-worker")
    if not program.is_file():
        return None
    return [str(program), "serve", "--model", model, "--host", "127.0.0.1", "--port", str(port)]
