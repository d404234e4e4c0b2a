"""Looks at pictures are computed once, standardised, and the same as the tower's own."""

from pathlib import Path

import numpy as np
import pytest
import torch

from inference.demo.features import LOOKS, look
from inference.demo.metrics import seeded
from inference.demo.sources import Part, Picture
from inference.families.efficientnet_lite import (
    EfficientNetLiteConfig,
    EfficientNetLiteModel,
    load_published,
)

PICTURES = [
    Picture(Path("a.png"), "nih", "a", Part.TRAIN, "X-ray", "chest"),
    Picture(Path("b.png"), "phantom", "b", Part.TRAIN, "X-ray", "chest"),
]


@pytest.fixture
def tower() -> EfficientNetLiteModel:
    """The published tower up to one early stage: quick."""
    config = EfficientNetLiteConfig(image_size=256, grid=8, feature_stages=[2], placed=True)
    tower = EfficientNetLiteModel(config)
    load_published(tower)
    tower.train(mode=False)
    return tower


def test_every_picture_is_looked_at_as_often_as_planned(
    tower: EfficientNetLiteModel, tmp_path: Path
) -> None:
    levels = np.random.default_rng(0).integers(0, 255, (2, 256, 256), dtype=np.uint8)
    features = look(tower, PICTURES, levels, tmp_path / "features.npy", seed=0)
    stored = np.load(tmp_path / "features.npy")
    assert len(stored) == LOOKS["nih"] + LOOKS["phantom"]
    assert features.draw([0, 1], [0.99, 0.0]).shape == (2, 66, tower.config.hidden_size)
    assert torch.equal(features.draw([1], [0.5])[0], torch.from_numpy(stored[-1]).float())
    assert not torch.equal(features.draw([0], [0.0]), features.draw([0], [0.99]))
    again = look(tower, PICTURES, levels, tmp_path / "features.npy", seed=1)
    assert torch.equal(again.draw([0], [0.0]), features.draw([0], [0.0]))


def test_a_seed_draws_the_same_numbers() -> None:
    assert [seeded("0:1").random() for _ in range(2)] == [seeded("0:1").random()] * 2
