"""Name the given files that are larger than 1 MB: `python -m tests.architecture.large_files F…`."""

import sys
from pathlib import Path

LIMIT_BYTES = 1_000_000


def main(names: list[str]) -> int:
    """Print the large ones to standard error; 1 where there is any."""
    large = [name for name in names if Path(name).stat().st_size > LIMIT_BYTES]
    for name in large:
        sys.stderr.write(f"{name} is larger than 1 MB\n")
    return 1 if large else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
