"""The decoding child: reads a file from its socket, answers with a clean one, knows no key.

`storage.intake.sandbox` starts one nursery: this module in a fresh interpreter with an empty
environment. The nursery never sees a file; it has the libraries loaded and forks a child for
every upload within milliseconds. A child limits itself before the first file comes: address
space, processor time, open files, no writing of files at all and, where the system lets it,
no network.
"""

import ctypes
import json
import math
import os
import resource
import signal
import socket
import sys
import warnings
from collections.abc import Callable
from typing import Any, Final, NoReturn

from storage.errors import StorageError
from storage.intake.compose import Rebuilt
from storage.intake.limits import Limits
from storage.intake.profile import profile
from storage.intake.rebuild import Given, Wanted, rebuild
from storage.intake.refusals import SENTENCES
from storage.intake.scan import kind_of, scan_dicom
from storage.intake.stills import rebuild_still
from storage.intake.volumes import rebuild_volume
from storage.intake.wire import ORDER, receive, send

_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
_PR_SET_NO_NEW_PRIVS: Final = 38

Serve = Callable[[socket.socket, dict[str, Any], bytes, Limits], None]


def main() -> None:
    """Be the nursery of children that decode."""
    warnings.simplefilter("ignore")  # they would quote the file
    profile()
    keep_nursery(_serve)


def keep_nursery(serve: Serve) -> None:
    """Fork and end children as told, until the parent closes the socket.

    Args:
        serve: What a child does with one message and its bytes; it sends the answer itself.
    """
    limits = Limits(**json.loads(sys.argv[2]))
    with socket.socket(fileno=int(sys.argv[1])) as control:
        while True:
            order, descriptors, *_ = socket.recv_fds(control, ORDER.size, 1)
            if len(order) < ORDER.size:
                return
            (pid,) = ORDER.unpack(order)
            if pid:
                os.kill(pid, signal.SIGKILL)  # our own child: not reaped before, so still itself
                os.waitpid(pid, 0)
            else:
                pid = os.fork()
                if not pid:
                    control.close()
                    _be_child(descriptors[0], limits, serve)
                os.close(descriptors[0])
            control.sendall(ORDER.pack(pid))


def _be_child(descriptor: int, limits: Limits, serve: Serve) -> NoReturn:
    """Serve messages until the parent closes the socket, then end."""
    try:
        with socket.socket(fileno=descriptor) as channel:
            send(channel, {"enforced": confine(limits)})
            while True:
                message, (data,) = receive(channel, most_bytes=limits.file_bytes)
                _allow_processor_time(int(message["cpu_seconds"]))
                serve(channel, message, data, limits)
                del data
    finally:
        os._exit(0)  # the nursery's own loop must not go on in here


def confine(limits: Limits) -> dict[str, bool]:
    """Give up rights and return which limits hold here."""
    no_new_rights = no_network = False
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        no_new_rights = libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
        no_network = any(
            libc.unshare(flags) == 0 for flags in (_CLONE_NEWNET, _CLONE_NEWUSER | _CLONE_NEWNET)
        )
    return {
        "memory": _limited(resource.RLIMIT_AS, limits.child_memory_bytes),
        "cpu": True,  # set anew for every file
        "files": _limited(resource.RLIMIT_NOFILE, limits.child_open_files)
        and _limited(resource.RLIMIT_FSIZE, 0)
        and _limited(resource.RLIMIT_CORE, 0),
        "privileges": no_new_rights,
        "network": no_network,
    }


def _limited(kind: int, most: int) -> bool:
    """Set a limit for good; False where this system has no such limit."""
    try:
        resource.setrlimit(kind, (most, most))
    except (OSError, ValueError):
        return False
    return True


def _allow_processor_time(seconds: int) -> None:
    """Let this process use so many more seconds; beyond, the kernel ends it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = math.ceil(used.ru_utime + used.ru_stime) + seconds
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _serve(channel: socket.socket, _message: dict[str, Any], data: bytes, limits: Limits) -> None:
    """Answer one file with what became of it."""

    def ask(wanted: Wanted) -> Given:
        question = {"uids": list(wanted.uids), "patient": wanted.patient,
                    "study_date": wanted.study_date}  # fmt: skip
        try:
            send(channel, {"ask": question})
            answer, _ = receive(channel, most_bytes=0)
        except (OSError, EOFError):
            os._exit(1)  # the parent is gone
        return Given(answer["uids"], answer["patient"])

    parts: tuple[bytes, ...] = ()

    try:
        kind = kind_of(data[:132])
        if kind == "dicom":
            rebuilt: Rebuilt = rebuild(data, scan_dicom(data, limits), ask)
        elif kind == "nifti":
            rebuilt = rebuild_volume(data, limits, ask)
        else:
            rebuilt = rebuild_still(data, kind, limits, ask)
        answer: dict[str, Any] = {"facts": rebuilt.facts.as_json()}
        parts = (rebuilt.dicom, rebuilt.pixels)
    except StorageError as refusal:
        answer = {"refused": refusal.code}
    except MemoryError:
        answer = {"refused": "too_many_pixels"}
    except Exception:  # noqa: BLE001 - whatever foreign bytes provoke in a library is one refusal
        answer = {"refused": "decode_failed"}
    if answer.get("refused", "decode_failed") not in SENTENCES:
        answer = {"refused": "decode_failed"}
    send(channel, answer, *parts)


if __name__ == "__main__":
    main()
