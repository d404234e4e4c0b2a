"""Write every golden checkpoint; see the package's docstring."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from tests.unit.families.goldens.common import CloseChoiceError
from tests.unit.families.goldens.llavas import llava_15, llava_med
from tests.unit.families.goldens.lvlm import medm_vl_2d, medm_vl_ct
from tests.unit.families.goldens.rad import llava_rad

MAKERS: dict[str, Callable[[Path, int], None]] = {
    "llavamed": llava_med,
    "llava15": llava_15,
    "llavarad": llava_rad,
    "medmvl2d": medm_vl_2d,
    "medmvlct": medm_vl_ct,
}


def make(name: str, place: Path) -> None:
    """Make one family with the first seed whose choices are clear."""
    for seed in range(0, 10_000, 10):
        shutil.rmtree(place, ignore_errors=True)
        try:
            MAKERS[name](place, seed)
        except CloseChoiceError:
            continue
        return


if __name__ == "__main__":
    for family in MAKERS:
        make(family, Path(sys.argv[1]) / family)
