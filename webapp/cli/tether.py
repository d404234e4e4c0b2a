"""Run a program that dies with its parent: `python -I -S tether.py PARENT_PID PROGRAM …`.

A worker holds a model in memory, perhaps a whole GPU. When the web process is killed without a
chance to clean up, the kernel ends the worker in its place (Linux; elsewhere the parent's own
clean-up is all there is). A small launcher sets this up because doing it in a forked copy of a
threaded process is not safe. It imports nothing of ours.
"""

import ctypes
import os
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def main(arguments: list[str]) -> None:
    """Tie this process to its parent, then become PROGRAM.

    Raises:
        SystemExit: the parent is gone already, or the program cannot be started.
    """
    parent, program = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(1)
    try:
        os.execv(program[0], program)  # noqa: S606 - the program is ours, without a shell
    except OSError as error:
        raise SystemExit(f"{os.path.basename(program[0])}: {error.strerror}") from None  # noqa: PTH119 - no path object needed


if __name__ == "__main__":
    main(sys.argv[1:])
