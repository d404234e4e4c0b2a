"""Studies for a first look: made-up ones with known truth, and the two that pydicom ships."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pydicom.data

from storage.phantoms import write_studies
from storage.vocabulary import Protocol
from webapp.services.actor import Actor
from webapp.services.bundle import Services

MADE_UP: Final = "Samples (made up)"
SHIPPED: Final = "Samples (pydicom)"
STUDIES: Final = 10  # nine films and a CT
SEED: Final = 2026
OUTCOMES: Final = ("admitted", "held", "checking", "refused")


def bring_samples(
    services: Services, operator: Actor, note: Callable[[str], None]
) -> dict[str, int]:
    """Bring the sample studies in, unless they are there.

    Args:
        services: The use cases.
        operator: Who brings them in.
        note: Told in words what happens.

    Returns:
        How many files were admitted, held and refused now, or will be once they are searched for
        text, which `overread serve` does in the background.
    """
    outcomes = dict.fromkeys(OUTCOMES, 0)
    services.collections.ensure(operator, MADE_UP, Protocol.READER_FIRST)
    services.collections.ensure(operator, SHIPPED, Protocol.AI_FIRST)
    with tempfile.TemporaryDirectory(prefix="overread-samples-") as folder:
        if _cases_in(services, operator, MADE_UP) < STUDIES:
            note(f"Making {STUDIES} made-up studies …")
            write_studies(Path(folder), count=STUDIES, seed=SEED)
        made_up = sorted(Path(folder).rglob("*.dcm"))
        shipped = shipped_studies()
        if _cases_in(services, operator, SHIPPED) >= len(shipped):
            shipped = []
        for collection, files in ((MADE_UP, made_up), (SHIPPED, shipped)):
            if not files:
                continue
            note(f"Bringing in {len(files)} files: {collection} …")
            for outcome in services.studies.receive(operator, files, collection, within_s=0):
                outcomes[outcome.outcome] += 1
    return outcomes


def shipped_studies() -> list[Path]:
    """Return the CT and the MR image that come with pydicom."""
    folder = Path(pydicom.data.__file__).parent / "test_files"
    return [folder / "CT_small.dcm", folder / "MR_small.dcm"]


def _cases_in(services: Services, operator: Actor, collection: str) -> int:
    return len(services.worklist.page(operator, collection=collection, limit=100).items)
