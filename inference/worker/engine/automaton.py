"""A regular expression to an automaton over bytes, in a process of its own.

Run as `python -m inference.worker.engine.automaton`: the expression on standard input, on standard
output the number of states, the first state, and each state's 256 successors and whether it may be
the last, as little-endian int32. Some short expressions take all memory and all time there is, and
a thread cannot be stopped; a process has limits that the kernel keeps.

outlines-core builds the automaton. Its vocabulary here is the 256 bytes, so the result is small
and serves any model: what a model's tokens may do is worked out from it as it is needed. An index
over a model's own vocabulary has an entry for each state and token, millions for one free string.
"""

import resource
import sys
from array import array

import outlines_core

CPU_SECONDS = 3
MEMORY_BYTES = 1 << 30
MAX_STATES = 20_000
END = 256  # a token id that no byte has
TOO_LARGE = 3  # exit code


def main() -> int:
    """Read, limit, build, write; return the exit code."""
    regex = sys.stdin.buffer.read().decode()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    vocabulary = outlines_core.Vocabulary(END, {bytes([byte]): [byte] for byte in range(256)})
    index = outlines_core.Index(regex, vocabulary)
    transitions = index.get_transitions()
    numbers = {state: number for number, state in enumerate(transitions)}
    if len(numbers) > MAX_STATES:
        return TOO_LARGE
    words = array("i", [len(numbers), numbers[index.get_initial_state()]])
    for state, successors in transitions.items():
        row = array("i", [-1]) * 256
        for byte, successor in successors.items():
            if byte != END:
                row[byte] = numbers[successor]
        words += row
        words.append(index.is_final_state(state))
    if sys.byteorder == "big":
        words.byteswap()
    sys.stdout.buffer.write(words.tobytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
