"""Forward passes: several requests' next positions through the decoder in one call."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from inference.errors import ModelFolderRefusedError
from inference.families.base import LoadedModel
from inference.worker.adapters import Adapters
from inference.worker.engine.choices import ChoiceTree
from inference.worker.engine.slots import Slots, Window


@dataclass(frozen=True, slots=True)
class Span:
    """Neighbouring new positions of one request, and perhaps the choices that may follow."""

    start: int  # positions the slot already holds
    embeds: torch.Tensor  # [n, hidden]
    adapter: str | None = None
    tree: ChoiceTree | None = None  # its nodes are the last positions of `embeds`

    @property
    def width(self) -> int:
        """Positions to compute."""
        return self.embeds.shape[0]


class Runner:
    """The decoder with its slots. Used from the engine's thread."""

    def __init__(self, model: LoadedModel, adapters: Adapters, *, kv_bytes: int) -> None:
        config: Any = model.decoder.config  # a transformers configuration
        heads = config.num_attention_heads
        window = getattr(config, "sliding_window", None)
        if isinstance(window, int) and window < model.limits.context:
            raise ModelFolderRefusedError("The engine has no sliding-window attention.")
        if config._attn_implementation != "sdpa":
            model.decoder.set_attn_implementation("sdpa")  # type: ignore[operator]  # PreTrainedModel
        self._model = model
        self._adapters = adapters
        self.slots = Slots(
            layers=config.num_hidden_layers,
            heads=getattr(config, "num_key_value_heads", None) or heads,
            head_dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
            dtype=model.dtype,
            device=model.device,
            max_bytes=kv_bytes,
        )

    def extend(self, first: int, spans: Sequence[Span]) -> list[torch.Tensor]:
        """Compute each span, in the slots from `first` on.

        Returns:
            For each span float32 logits [1, vocabulary] after its last position; with a tree,
            [1 + nodes, vocabulary]: after the last prompt position and after every node.
        """
        widest = max(span.width for span in spans)
        starts = tuple(span.start for span in spans)
        widths = tuple(span.width for span in spans)
        visible = max(start + width for start, width in zip(starts, widths, strict=True))
        device = self._model.device
        embeds = spans[0].embeds[None]  # [rows, widest, hidden]
        if len(spans) > 1:
            embeds = torch.nn.utils.rnn.pad_sequence([s.embeds for s in spans], batch_first=True)
        positions = torch.tensor(starts, device=device)[:, None] + torch.arange(
            widest, device=device
        )
        plain = len(spans) == 1 and starts[0] == 0 and spans[0].tree is None
        mask = None if plain else self._mask(spans, positions, visible)
        for row, span in enumerate(spans):
            if span.tree:
                prompt = span.width - len(span.tree.tokens)
                depths = torch.tensor(span.tree.depths, device=device)
                positions[row, prompt : span.width] = span.start + prompt + depths
        hidden = self._forward(
            Window(first, starts, widths, visible),
            embeds,
            positions,
            mask,
            [span.adapter for span in spans],
        )
        ends = [s.width - (len(s.tree.tokens) if s.tree else 0) - 1 for s in spans]
        return [
            self._model.logits(hidden[row, end : span.width]).float()
            for row, (span, end) in enumerate(zip(spans, ends, strict=True))
        ]

    def decode(
        self,
        first: int,
        starts: Sequence[int],
        token_ids: Sequence[int],
        adapters: Sequence[str | None],
    ) -> torch.Tensor:
        """Add one token to each of the slots from `first` on.

        Returns:
            Float32 logits [rows, vocabulary] after the tokens.
        """
        device = self._model.device
        embeds = self._model.embed(torch.tensor(token_ids, device=device))[:, None]
        positions = torch.tensor(starts, device=device)[:, None]  # [rows, 1]
        visible = max(starts) + 1
        mask = None
        if min(starts) + 1 != visible:
            mask = (torch.arange(visible, device=device) <= positions)[:, None, None]
        window = Window(first, tuple(starts), (1,) * len(starts), visible)
        hidden = self._forward(window, embeds, positions, mask, adapters)
        return self._model.logits(hidden[:, 0]).float()

    def _mask(self, spans: Sequence[Span], positions: torch.Tensor, visible: int) -> torch.Tensor:
        """Which keys each query sees: bool [rows, 1, widest, visible]."""
        keys = torch.arange(visible, device=positions.device)
        mask = keys <= positions[:, :, None]
        for row, span in enumerate(spans):
            if span.tree:
                nodes = len(span.tree.tokens)
                before = span.start + span.width - nodes
                mask[row, span.width - nodes : span.width] = keys < before
                mask[row, span.width - nodes : span.width, before : before + nodes] = (
                    span.tree.ancestry(positions.device)
                )
        return mask[:, None]

    def _forward(
        self,
        window: Window,
        embeds: torch.Tensor,
        positions: torch.Tensor,
        mask: torch.Tensor | None,
        adapters: Sequence[str | None],
    ) -> torch.Tensor:
        self.slots.aim(window)
        with self._adapters.chosen(adapters):
            output = self._model.decoder(
                inputs_embeds=embeds,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=self.slots,
                use_cache=True,
            )
        hidden: torch.Tensor = output.last_hidden_state  # [rows, widest, hidden]
        return hidden
