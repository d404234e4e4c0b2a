"""Our own towers: the demo model's convolutions and the LLaVA-Rad trunk."""

import importlib.util

import pytest
import torch
from torch import nn

from inference.families.efficientnet_lite import (
    PUBLISHED_PACKAGE,
    EfficientNetLiteConfig,
    EfficientNetLiteModel,
    SameConv,
    load_published,
    published_weights,
)
from inference.families.vit_trunk import VitTrunkConfig, VitTrunkModel

needs_weights = pytest.mark.skipif(
    importlib.util.find_spec(PUBLISHED_PACKAGE) is None, reason="needs the train extra"
)


def test_same_padding_puts_the_odd_pixel_at_the_end() -> None:
    conv = SameConv(1, 1, 3, stride=2)
    nn.init.ones_(conv.weight)
    # 4 pixels, kernel 3, stride 2: one pixel of padding, at the end; windows 1+2+3 and 3+4+0
    row = torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 1, 4)
    out = conv(row.expand(1, 1, 4, 4) / 3)[0, 0, 0]
    assert torch.allclose(out, torch.tensor([6.0, 7.0]))


@pytest.mark.parametrize(
    ("size", "stages", "grid", "width"),
    [
        pytest.param(224, [6], 7, 320, id="last stage"),
        pytest.param(224, [4, 6], 7, 432, id="112 channels averaged from 14 x 14, and 320"),
        pytest.param(96, [2, 3], 6, 120, id="40 channels from 12 x 12, 80 from 6 x 6"),
        pytest.param(64, [6], 4, 320, id="2 x 2 drawn out to 4 x 4"),
    ],
)
def test_tokens_are_a_square_of_stacked_stages(
    size: int, stages: list[int], grid: int, width: int
) -> None:
    config = EfficientNetLiteConfig(image_size=size, feature_stages=stages, grid=grid)
    assert config.hidden_size == width
    model = EfficientNetLiteModel(config).train(mode=False)
    out = model(torch.zeros(2, 3, size, size))
    assert out.hidden_states[-1].shape == (2, grid * grid, width)
    assert torch.equal(out.hidden_states[-1], out.last_hidden_state)


def test_tower_has_no_stage_that_it_does_not_look_at() -> None:
    assert len(EfficientNetLiteModel(EfficientNetLiteConfig(feature_stages=[4])).stages) == 5


def test_tokens_run_row_by_row() -> None:
    model = EfficientNetLiteModel(EfficientNetLiteConfig(feature_stages=[1], grid=4))
    model.train(mode=False)
    picture = torch.zeros(1, 3, 32, 32)
    picture[:, :, 24:, :8] = 1  # lower left: the last row's first token
    with torch.no_grad():
        change = (model(picture)[0] - model(torch.zeros(1, 3, 32, 32))[0]).abs().sum(-1)[0]
    assert int(change.argmax()) == 12


@needs_weights
def test_published_weights_fill_every_stage() -> None:
    full = EfficientNetLiteModel(EfficientNetLiteConfig())
    load_published(full)
    assert published_weights().keys() == full.state_dict().keys()


@needs_weights
def test_published_weights_have_the_published_size() -> None:
    # 4,652,008 parameters less the 320 x 1280 head with its norm and the 1280 x 1000 classifier
    learnt = sum(
        t.numel() for n, t in published_weights().items() if n.endswith(("weight", "bias"))
    )
    assert learnt == 4_652_008 - (320 * 1280 + 2 * 1280) - (1280 * 1000 + 1000)


def test_trunk_gives_the_embedding_and_every_block() -> None:
    config = VitTrunkConfig(
        image_size=28,
        patch_size=14,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
    )
    states = VitTrunkModel(config)(torch.zeros(1, 3, 28, 28)).hidden_states
    assert [tuple(s.shape) for s in states] == [(1, 5, 8)] * 4
