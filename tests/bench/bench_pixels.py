"""Which text in pixels is found: by height and contrast, and in files whose truth is known.

    python -m tests.bench.bench_pixels [DATA_FOLDER]

Lines are planted on made-up films and a made-up CT slice and, where the data folder is, on real
ones; every picture goes through the same search as a study. Printed are shares of lines found,
then for each known file how many of its lines were found and how much of each is covered.
"""

import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Final

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image

from storage.intake.pixel_text import Frames, TextBox, blocking
from storage.intake.sandbox import READING, Crew, Sandbox
from storage.phantoms import write_studies
from tests.bench.pixel_corpus import SHOWING, known_files, planted, read_frame

HEIGHTS: Final = (8, 10, 12, 16, 24)  # of the font, pixels
CONTRASTS: Final = (16, 32, 64, 128)  # grey levels of 255
PLAIN_FILMS: Final = 12
COVERED: Final = 0.95


def say(text: str) -> None:
    """Print one line now."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def eight_bits(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Stretch all values over 0 to 255."""
    values = pixels.astype(np.float32)
    low, high = float(values.min()), float(values.max())
    return np.asarray((values - low) / max(1.0, high - low) * 255, np.uint8)


def grounds(folder: Path, shared: Path | None) -> list[NDArray[np.uint8]]:
    """Return pictures to write on: two made-up ones, and three real ones where they are."""
    write_studies(folder, count=2, seed=3, size=512, ct_every=2)
    made = sorted(folder.rglob("*.dcm"))
    pictures = [eight_bits(pydicom.dcmread(path).pixel_array) for path in (made[0], made[-1])]
    if shared is not None:
        data = shared / "data"
        film = Image.open(next((data / "cxr_nih_512").glob("*.png"))).convert("L")
        series = data / "dicom/tcia_mr_pseudo_phi/expected_deid"
        slices = [pydicom.dcmread(path).pixel_array for path in sorted(series.glob("*.dcm"))[:7:6]]
        pictures += [np.asarray(film), *map(eight_bits, slices)]
    return pictures


def searched(crew: Crew, picture: NDArray[np.generic]) -> list[TextBox]:
    """Search one picture of 8 bits."""
    return Frames(crew).search(picture, None, 1.0, 0.0)


def by_height_and_contrast(crew: Crew, pictures: list[NDArray[np.uint8]]) -> None:
    """Print the share of planted lines that are found."""
    rng = np.random.default_rng(7)
    found: dict[tuple[int, int], list[bool]] = defaultdict(list)
    for height in HEIGHTS:
        for contrast in CONTRASTS:
            for ground in pictures:
                picture, lines = planted(ground, height, contrast, rng)
                boxes = searched(crew, picture)
                found[height, contrast] += [line.covered(boxes) >= SHOWING for line in lines]
    say(f"{len(pictures)} pictures, {len(next(iter(found.values())))} lines a cell\n")
    say("| font height, px | " + " | ".join(f"contrast {each}" for each in CONTRASTS) + " |")
    say("|---|" + "---|" * len(CONTRASTS))
    for height in HEIGHTS:
        cells = [f"{np.mean(found[height, contrast]):.0%}" for contrast in CONTRASTS]
        say(f"| {height} | " + " | ".join(cells) + " |")


def in_known_files(crew: Crew, shared: Path) -> bool:
    """Print what is found in files with ground truth; False if one of them would slip through."""
    well = True
    say("\n| file | lines found | least covered | would hold it | seconds |")
    say("|---|---|---|---|---|")
    for known in known_files(shared):
        frame = read_frame(known.path)
        started = time.perf_counter()
        boxes = Frames(crew).search(*frame)
        seconds = time.perf_counter() - started
        covered = [line.covered(boxes) for line in known.lines]
        found = [share for share in covered if share >= SHOWING]
        least = min(found, default=0.0)
        holds = len(blocking(boxes))
        well = well and least >= COVERED and (holds > 0 or not known.named)
        say(
            f"| {known.name} | {len(found)} of {len(covered)} | {least:.0%} | "
            f"{holds or 'no'} | {seconds:.1f} |"
        )
    return well


def in_plain_films(crew: Crew, folder: Path) -> None:
    """Print how many films without any text would be held."""
    write_studies(folder, count=PLAIN_FILMS, seed=4, size=512, ct_every=6)
    paths = sorted(folder.rglob("*.dcm"))
    held = [path for path in paths if blocking(Frames(crew).search(*read_frame(path)))]
    say(f"\n{len(held)} of {len(paths)} made-up images without text would be held")


def main(shared: Path | None) -> int:
    """Measure and print; 1 if a known file would slip through."""
    with (
        tempfile.TemporaryDirectory(prefix="overread-bench-") as name,
        Sandbox(children=READING) as sandbox,
        sandbox.crew() as crew,
    ):
        folder = Path(name)
        (written := folder / "written").mkdir()
        (plain := folder / "plain").mkdir()
        by_height_and_contrast(crew, grounds(written, shared))
        in_plain_films(crew, plain)
        return 0 if shared is None or in_known_files(crew, shared) else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
