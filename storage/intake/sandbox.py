"""Run decoders in limited child processes, a fresh set for every upload.

A decoder that a hostile file has taken over could read the files that come after it. So the
children of one upload serve that upload only; they are forked by a nursery, a single-threaded
process without secrets that never sees a file, so that no upload waits for an interpreter. A
child that dies costs its file a refusal and nothing else.

What holds where: memory, processor time, open files and the ban on writing files hold on
every Unix; the network is taken away by a network namespace where the kernel gives one to
this user (`Sandbox.enforced` tells).
"""

import contextlib
import json
import logging
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from storage.errors import StorageError
from storage.intake.limits import Limits
from storage.intake.refusals import SENTENCES, RefusedFileError
from storage.intake.wire import ORDER, receive, send

_ROOT: Final = Path(__file__).parents[2]
_BOOT: Final = (
    "import sys; from importlib import import_module; sys.path.insert(0, sys.argv.pop(1)); "
    "import_module(sys.argv.pop(1)).main()"
)
DECODING: Final = "storage.intake.child"
READING: Final = "storage.intake.text_child"
_ENVIRONMENT: Final = {
    "OPENBLAS_NUM_THREADS": "1",
    # glibc gives large blocks back at once, and every slice pays for fresh pages: a third of a
    # child's time. What a child keeps ends with its upload, and RLIMIT_AS counts it.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(128 * 1024 * 1024),
}
_OVERHEAD: Final = 1024 * 1024  # a rebuilt header beside the pixels
logger = logging.getLogger(__name__)

T = TypeVar("T")


class SandboxError(StorageError):
    """No decoding child can be started on this machine."""

    code = "sandbox_unavailable"

    def __init__(self) -> None:
        """Say whom to tell."""
        super().__init__(
            "Images cannot be opened safely on this server at the moment. Nothing was kept; "
            "tell your administrator."
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """What a child made of a file; `facts` are still to be checked."""

    facts: object
    dicom: bytes
    pixels: bytes


class Sandbox:
    """Starts children and keeps at most `workers` of them busy in this process."""

    def __init__(
        self, limits: Limits | None = None, *, workers: int = 2, children: str = DECODING
    ) -> None:
        """Set limits and what children do; no process is started before the first is needed."""
        self.limits = limits or Limits()
        self.workers = workers
        self._children = children
        self._turns = threading.BoundedSemaphore(workers)
        self._lock = threading.Lock()
        self._nursery: _Nursery | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def warm(self) -> None:
        """Start the nursery; returns at once, half a second before it is ready."""
        with self._lock:
            if self._nursery is None:
                self._nursery = _Nursery(self.limits, self._children)

    def enforced(self) -> dict[str, bool]:
        """Return which limits hold on this machine, as a fresh child reports them."""
        with self.crew() as crew:
            return crew.enforced()

    @contextlib.contextmanager
    def crew(self) -> Iterator["Crew"]:
        """Give one upload its own children, ended with it."""
        crew = Crew(self)
        try:
            yield crew
        finally:
            crew.close()

    def close(self) -> None:
        """End the nursery."""
        with self._lock:
            if self._nursery is not None:
                self._nursery.end()
                self._nursery = None

    def start(self) -> "_Child":
        """Return a new child that has answered.

        Raises:
            SandboxError: neither the nursery nor a new one gave a child.
        """
        for _ in range(2):
            try:
                self.warm()
                nursery = self._nursery
                if nursery is not None:
                    return nursery.fork()
            except (OSError, EOFError, RefusedFileError):
                self.close()
        logger.error("intake.sandbox_unavailable")
        raise SandboxError

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until fewer than `workers` children are busy."""
        with self._turns:
            yield


class Crew:
    """The children of one upload; safe to use from several threads."""

    def __init__(self, sandbox: Sandbox) -> None:
        """Start nothing yet."""
        self._sandbox = sandbox
        self._idle: queue.LifoQueue[_Child] = queue.LifoQueue()

    def rebuild(self, data: bytes, answer: Callable[[dict[str, Any]], dict[str, Any]]) -> Reply:
        """Have one file rebuilt.

        Args:
            data: The file.
            answer: Turns the child's question (`uids`, `patient`, `study_date`) into pseudonyms.

        Raises:
            RefusedFileError: the child's refusal, or `decode_failed` when it died or was late.
            SandboxError: no child could be started.
        """
        return self._with_child(lambda child: child.rebuild(data, answer))

    def look(self, job: dict[str, Any], data: bytes) -> dict[str, Any]:
        """Have a piece of an image searched for text, by the children of `READING`.

        Args:
            job: How the bytes lie and are to be shown, as `storage.intake.text_child` reads it.
            data: Pixels, little-endian rows.

        Returns:
            The child's message, still to be checked.

        Raises:
            RefusedFileError: `decode_failed`: the child died, was late or could not do it.
            SandboxError: no child could be started.
        """
        return self._with_child(lambda child: child.look(job, data))

    def _with_child(self, do: Callable[["_Child"], T]) -> T:
        """Let an idle child or a new one do something; one that fails is ended."""
        with self._sandbox.turn():
            child = self._take()
            try:
                reply = do(child)
            except RefusedFileError as refusal:
                self._give_back(child, usable=refusal.code != "decode_failed")
                raise
            except (OSError, EOFError):
                self._give_back(child, usable=False)
                logger.warning("intake.child_lost")
                raise RefusedFileError("decode_failed") from None
            except BaseException:
                self._give_back(child, usable=False)
                raise
            self._give_back(child, usable=child.jobs < self._sandbox.limits.child_jobs)
            return reply

    def enforced(self) -> dict[str, bool]:
        """Return what one of the children says of its limits."""
        child = self._take()
        try:
            return child.enforced
        finally:
            self._give_back(child, usable=True)

    def close(self) -> None:
        """End all children of this upload."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait().end()

    def _take(self) -> "_Child":
        """Return an idle child or a new one."""
        with contextlib.suppress(queue.Empty):
            return self._idle.get_nowait()
        return self._sandbox.start()

    def _give_back(self, child: "_Child", *, usable: bool) -> None:
        """Keep a healthy child for the next file, end any other."""
        if usable:
            self._idle.put(child)
        else:
            child.end()


class _Nursery:
    """A process that has the libraries loaded, has seen no file, and forks children."""

    def __init__(self, limits: Limits, children: str) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair()
        with theirs:
            given = [str(_ROOT), children, str(theirs.fileno()), json.dumps(asdict(limits))]
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
                [sys.executable, "-I", "-c", _BOOT, *given],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # a child's words may quote the file
                env=_ENVIRONMENT,
                cwd="/",
                pass_fds=[theirs.fileno()],
            )

    def fork(self) -> "_Child":
        """Return a child that has set its limits and said so."""
        with contextlib.ExitStack() as undo:
            channel, theirs = socket.socketpair()
            undo.callback(channel.close)
            with theirs, self._lock:
                self._control.settimeout(self._limits.child_wall_seconds)
                socket.send_fds(self._control, [ORDER.pack(0)], [theirs.fileno()])
                pid = self._answer()
            undo.callback(self.end_child, pid)
            child = _Child(self, pid, channel, self._limits)
            undo.pop_all()
        return child

    def end_child(self, pid: int) -> None:
        """Kill a child whatever it is doing; without a nursery it ends with its socket."""
        with contextlib.suppress(OSError, EOFError), self._lock:
            self._control.sendall(ORDER.pack(pid))
            self._answer()

    def end(self) -> None:
        """End the nursery."""
        self._control.close()
        self._process.kill()
        self._process.wait()

    def _answer(self) -> int:
        """Return the process the nursery answers with."""
        answer = self._control.recv(ORDER.size)
        if len(answer) < ORDER.size:
            raise EOFError
        return int(ORDER.unpack(answer)[0])


class _Child:
    """One process and the socket to it."""

    def __init__(self, nursery: _Nursery, pid: int, channel: socket.socket, limits: Limits) -> None:
        self.jobs = 0
        self._nursery, self._pid, self._channel, self._limits = nursery, pid, channel, limits
        deadline = time.monotonic() + limits.child_wall_seconds
        message, _ = receive(channel, most_bytes=0, deadline=deadline)
        self.enforced: dict[str, bool] = dict(message["enforced"])

    def rebuild(self, data: bytes, answer: Callable[[dict[str, Any]], dict[str, Any]]) -> Reply:
        """Send a file, answer one question at most, return the result."""
        most = 2 * self._limits.decoded_bytes + self._limits.header_bytes + _OVERHEAD
        deadline = self._begin({}, data)
        message, parts = receive(self._channel, most_bytes=most, deadline=deadline)
        if "ask" in message:
            send(self._channel, answer(message["ask"]), deadline=deadline)
            message, parts = receive(self._channel, most_bytes=most, deadline=deadline)
        refused = message.get("refused")
        if isinstance(refused, str) and refused in SENTENCES:
            raise RefusedFileError(refused)
        if len(parts) != 2 or "facts" not in message:
            raise RefusedFileError("decode_failed")
        return Reply(message["facts"], parts[0], parts[1])

    def look(self, job: dict[str, Any], data: bytes) -> dict[str, Any]:
        """Send pixels, return what was found in them."""
        deadline = self._begin(job, data)
        message, _ = receive(self._channel, most_bytes=0, deadline=deadline)
        if "found" not in message:
            raise RefusedFileError("decode_failed")
        return message

    def _begin(self, job: dict[str, Any], data: bytes) -> float:
        """Send one job and return until when its answer is waited for."""
        self.jobs += 1
        deadline = time.monotonic() + self._limits.child_wall_seconds
        job = job | {"cpu_seconds": self._limits.child_cpu_seconds}
        send(self._channel, job, data, deadline=deadline)
        return deadline

    def end(self) -> None:
        """End the process whatever it is doing."""
        self._channel.close()
        self._nursery.end_child(self._pid)
