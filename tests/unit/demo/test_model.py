"""The committed weights load through the family code, answer, and are what the card says."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import inference.demo
from inference.demo.asking import Asking
from inference.demo.sources import manifest_rows, rows_sha256
from inference.families.folder import sha256_of
from inference.families.registry import load_model
from storage.phantoms.film import draw_film
from storage.phantoms.plan import Finding, Plan

HERE = Path(inference.demo.__file__).parent
MODEL = HERE / "model"
CARD = (HERE / "MODEL_CARD.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def asking() -> Iterator[Asking]:
    """The demo model, on one thread as the suite runs it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Asking(load_model(MODEL))
    torch.set_num_threads(threads)


def phantom(*findings: Finding, seed: int = 3) -> Image.Image:
    """Draw a made-up PA film and map its 12 bits onto 8."""
    film = draw_film(Plan("DX", "PA", findings), np.random.default_rng(seed), size=512)
    low, high = np.percentile(film.pixels, [1, 99])
    levels = np.clip((film.pixels - low) / (high - low), 0, 1) * 255
    return Image.fromarray(np.rint(levels).astype(np.uint8))


def test_different_phantoms_get_different_findings(asking: Asking) -> None:
    said = []
    for image in (
        phantom(),
        phantom(Finding("pleural effusion", "left", "lower", 0.9)),
        phantom(Finding("cardiomegaly", size=0.9)),
    ):
        asking.show(image)
        said.append(asking.answer("Describe the findings.").text)
    assert len(set(said)) == 3
    assert all(text.endswith(".") for text in said)


def test_a_large_left_effusion_is_seen_and_on_its_side(asking: Asking) -> None:
    asking.show(phantom(Finding("pleural effusion", "left", "lower", 0.9)))
    assert asking.choose("Is there a pleural effusion?", ("yes", "no"))["yes"] > 0.5
    assert "left pleural effusion" in asking.answer("Describe the findings.").text


def test_choices_are_probabilities(asking: Asking) -> None:
    asking.show(phantom())
    shares = asking.choose("Is there a nodule?", ("present", "absent", "indeterminate"))
    assert sum(shares.values()) == pytest.approx(1.0, abs=1e-5)
    assert all(0 <= share <= 1 for share in shares.values())


def test_half_precision_answers_are_finite() -> None:
    loaded = load_model(MODEL, dtype=torch.bfloat16)
    features = loaded.image_features(loaded.pixel_values(phantom().convert("RGB")))
    assert features.shape == (loaded.limits.image_tokens, 256)
    assert torch.isfinite(features).all()


def test_without_an_image_it_says_so(asking: Asking) -> None:
    asking.show(None)
    assert asking.answer("Describe the findings.").text == "There is no image for me to look at."


def test_the_model_is_small() -> None:
    assert sum(file.stat().st_size for file in MODEL.iterdir()) <= 30_000_000


def test_the_card_names_the_hash_of_every_file() -> None:
    listed = dict(re.findall(r"\| `([\w.]+)` \| `([0-9a-f]{64})` \|", CARD))
    assert listed == {file.name: sha256_of(file) for file in MODEL.iterdir()}


@pytest.mark.shared
def test_the_card_names_the_data(shared: Path) -> None:
    assert rows_sha256(manifest_rows(shared / "data")) in CARD


@pytest.mark.parametrize(
    "words", ["not for clinical use", "often wrong", "NIH Clinical Center", "CC BY-SA 4.0"]
)
def test_the_card_says_what_it_must(words: str) -> None:
    assert words in CARD
