"""The tensor that holds the running requests' keys and values."""

import pytest
import torch

from inference.worker.engine.slots import Slots, Window

POSITION_BYTES = 2 * 2 * 3 * 4 * 4  # layers, keys and values, heads, size, float32


def _slots(max_positions: int = 1024) -> Slots:
    return Slots(
        layers=2,
        heads=3,
        head_dim=4,
        dtype=torch.float32,
        device=torch.device("cpu"),
        max_bytes=max_positions * POSITION_BYTES,
    )


def _numbers(rows: int, width: int) -> torch.Tensor:
    return torch.arange(rows * 3 * width * 4, dtype=torch.float32).reshape(rows, 3, width, 4)


def test_a_span_is_written_after_what_each_row_has() -> None:
    slots = _slots()
    slots.ensure(4, 10, live=0)
    slots.aim(Window(first=1, starts=(0, 3), widths=(2, 1), visible=4))
    new = _numbers(2, 2)
    keys, values = slots.store(1, new, -new)
    assert keys.shape == values.shape == (2, 3, 4, 4)
    assert torch.equal(keys[0, :, :2], new[0])
    assert torch.equal(keys[1, :, 3], new[1, :, 0])  # its second column was padding
    assert torch.equal(values, -keys)
    assert not slots.pool[0].any()
    assert not slots.pool[1, :, (0, 3)].any()


def test_one_token_for_each_row_is_written_at_its_end() -> None:
    slots = _slots()
    slots.ensure(3, 10, live=0)
    slots.aim(Window(first=0, starts=(4, 1, 2), widths=(1, 1, 1), visible=5))
    new = _numbers(3, 1)
    keys, _ = slots.store(0, new, new)
    for row, start in enumerate((4, 1, 2)):
        assert torch.equal(keys[row, :, start], new[row, :, 0])
    assert int(keys.ne(0).any(dim=(1, 3)).sum()) == 3


def test_growing_keeps_what_is_held() -> None:
    slots = _slots()
    slots.ensure(2, 10, live=0)
    slots.write(1, 0, [torch.ones(2, 2, 3, 5, 4)])
    slots.ensure(5, 100, live=2)
    assert torch.equal(slots.read(1, 0, 5), torch.ones(2, 2, 3, 5, 4))
    assert slots.nbytes == 5 * 128 * POSITION_BYTES  # capacity grows by 64 positions


def test_growing_beyond_the_bound_takes_another_shape() -> None:
    slots = _slots(max_positions=512)
    slots.ensure(1, 512, live=0)
    slots.write(0, 0, [torch.ones(2, 2, 3, 5, 4)])
    slots.ensure(4, 128, live=1)
    assert slots.pool.shape[2] * slots.pool.shape[4] == 512
    assert torch.equal(slots.read(0, 0, 5), torch.ones(2, 2, 3, 5, 4))


@pytest.mark.parametrize(("slots", "positions", "fits"), [(8, 128, True), (8, 129, False)])
def test_fitting_counts_whole_steps_of_capacity(slots: int, positions: int, fits: bool) -> None:
    assert _slots().fits(slots, positions) is fits


def test_moving_and_wiping() -> None:
    slots = _slots()
    slots.ensure(2, 10, live=0)
    end = slots.write(1, 2, [torch.ones(2, 2, 3, 1, 4), 2 * torch.ones(2, 2, 3, 3, 4)])
    assert end == 6
    slots.move(1, 0, end)
    assert torch.equal(slots.read(0, 0, end), slots.read(1, 0, end))
    slots.wipe(1)
    assert slots.pool[:, :, 0].any()
    assert not slots.pool[:, :, 1].any()
