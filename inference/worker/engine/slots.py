"""Where the running requests' keys and values live.

One tensor holds them all. A request owns a slot, its positions start at 0, and the rows of a
batch are neighbouring slots: attention reads views of this tensor and no step copies what an
earlier one computed. Unused positions must be finite, since attention multiplies them by a
weight of zero; `wipe` restores that after a request that produced none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

CAPACITY_STEP = 64  # positions


@dataclass(frozen=True, slots=True)
class Window:
    """The slots that one forward pass writes to and reads from."""

    first: int
    starts: tuple[int, ...]  # positions each row has already
    widths: tuple[int, ...]  # positions each row adds; rows are padded to the widest
    visible: int  # positions that attention reads

    @property
    def rows(self) -> int:
        """Number of requests in the pass."""
        return len(self.starts)


class Slots(Cache):
    """Keys and values [layers, 2, slots, heads, capacity, head_dim], seen layer by layer."""

    def __init__(
        self,
        *,
        layers: int,
        heads: int,
        head_dim: int,
        dtype: torch.dtype,
        device: torch.device,
        max_bytes: int,
    ) -> None:
        super().__init__(layers=[_Layer(self, index) for index in range(layers)])
        self.position_bytes = layers * 2 * heads * head_dim * dtype.itemsize
        self.max_positions = max_bytes // self.position_bytes
        self.window = Window(0, (), (), 0)
        self.pool = torch.zeros(layers, 2, 0, heads, 0, head_dim, dtype=dtype, device=device)
        self._rows = torch.zeros(0, dtype=torch.long, device=device)
        self._starts = torch.zeros(0, dtype=torch.long, device=device)

    @property
    def nbytes(self) -> int:
        """Bytes held, used or not."""
        return self.pool.nbytes

    def fits(self, slots: int, positions: int) -> bool:
        """Whether `slots` requests of up to `positions` each are within the bound."""
        return slots * _rounded(positions) <= self.max_positions

    def ensure(self, slots: int, positions: int, *, live: int) -> None:
        """Make room for `slots` requests of `positions`, keeping the first `live` slots."""
        old = self.pool
        have_slots, have_positions = old.shape[2], old.shape[4]
        if slots <= have_slots and positions <= have_positions:
            return
        wanted = _rounded(positions)
        new_slots, new_positions = have_slots, max(wanted, have_positions)
        if slots > have_slots:  # doubled, so that a crowd arriving one by one is copied seldom
            new_slots = max(slots, 2 * have_slots)
        if new_slots * new_positions > self.max_positions:
            new_slots, new_positions = slots, wanted
        layers, _, _, heads, _, head_dim = old.shape
        self.pool = old.new_zeros(layers, 2, new_slots, heads, new_positions, head_dim)
        kept = min(have_positions, new_positions)
        self.pool[:, :, :live, :, :kept] = old[:, :, :live, :, :kept]

    def aim(self, window: Window) -> None:
        """Choose what the next forward pass writes and reads."""
        self.window = window
        device = self.pool.device
        self._rows = torch.arange(window.rows, device=device)
        self._starts = torch.tensor(window.starts, device=device)

    def store(
        self, layer: int, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write one layer's new keys and values [rows, heads, width, head_dim]; return all."""
        window = self.window
        place = self.pool[layer, :, window.first : window.first + window.rows]
        if keys.shape[2] == 1:
            place[0, self._rows, :, self._starts] = keys[:, :, 0]
            place[1, self._rows, :, self._starts] = values[:, :, 0]
        else:
            for row, (start, width) in enumerate(zip(window.starts, window.widths, strict=True)):
                place[0, row, :, start : start + width] = keys[row, :, :width]
                place[1, row, :, start : start + width] = values[row, :, :width]
        return place[0, :, :, : window.visible], place[1, :, :, : window.visible]

    def move(self, source: int, target: int, positions: int) -> None:
        """Copy a request's positions from one slot to another."""
        self.pool[:, :, target, :, :positions] = self.pool[:, :, source, :, :positions]

    def read(self, slot: int, start: int, end: int) -> torch.Tensor:
        """Copy positions out: [layers, 2, heads, end - start, head_dim]."""
        return self.pool[:, :, slot, :, start:end].clone()

    def write(self, slot: int, start: int, segments: Sequence[torch.Tensor]) -> int:
        """Copy segments in, one after another; return the position after the last."""
        for segment in segments:
            end = start + segment.shape[3]
            self.pool[:, :, slot, :, start:end] = segment
            start = end
        return start

    def wipe(self, first: int, end: int | None = None) -> None:
        """Make the slots from `first` on finite again."""
        self.pool[:, :, first:end].zero_()


class _Layer(CacheLayerMixin):  # type: ignore[no-untyped-call]  # its subclass hook
    """What one attention layer sees of the slots."""

    is_sliding = False

    def __init__(self, slots: Slots, index: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as transformers has it
        self._slots = slots
        self._index = index
        self.is_initialized = True

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Nothing to do: the slots know their shapes from the configuration."""

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        *_args: Any,  # noqa: ANN401  # transformers' signature
        **_kwargs: Any,  # noqa: ANN401  # transformers' signature
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store this pass's keys and values and return all that are visible."""
        return self._slots.store(self._index, key_states, value_states)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:  # noqa: ARG002  # theirs
        """Keys visible to the pass, and the first one's position."""
        return self._slots.window.visible, 0

    def get_seq_length(self) -> int:
        """Positions before this pass; asked only when all rows have the same."""
        return max(self._slots.window.starts, default=0)

    def get_max_length(self) -> int:
        """No maximum of its own."""
        return -1


def _rounded(positions: int) -> int:
    return -(-positions // CAPACITY_STEP) * CAPACITY_STEP
