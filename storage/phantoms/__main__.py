"""Write made-up studies and their truth: `python -m storage.phantoms OUT --studies 100`."""

import argparse
import sys
from pathlib import Path

from storage.phantoms.studies import write_studies


def main() -> int:
    """Read the command line and write the studies."""
    parser = argparse.ArgumentParser(prog="python -m storage.phantoms", description=__doc__)
    parser.add_argument("out", type=Path, help="folder to write; made if missing")
    parser.add_argument("--studies", type=int, default=20, help="how many (default 20)")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same bytes (default 0)")
    parser.add_argument("--size", type=int, default=1024, help="film width, pixels (default 1024)")
    parser.add_argument(
        "--ct-every", type=int, default=10, help="every so many-th study is a CT; 0 for none"
    )
    given = parser.parse_args()
    files = write_studies(
        given.out, count=given.studies, seed=given.seed, size=given.size, ct_every=given.ct_every
    )
    sys.stdout.write(f"{given.studies} made-up studies, {files} files, truth.json\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
