"""A tiny random model with the family interface: a small Llama that reads bytes and pictures.

Token ids: 0 BOS, 1 EOS, 2 to 257 the bytes, then a few longer pieces, so that texts have several
spellings. Weights are seeded and scaled so that answers vary and greedy margins are wide.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from transformers import LlamaConfig, LlamaModel

from inference.families.base import (
    IMAGE_PLACEHOLDER,
    VOLUME_PLACEHOLDER,
    Limits,
    LoadedModel,
    Volume,
)
from inference.protocol import Decoding, Turn

BOS, EOS, FIRST_BYTE = 0, 1, 2
PIECES = (b" present", b" pre", b"sent", b" absent", b"ab", b"present", b" indeterminate")
FIRST_PIECE = FIRST_BYTE + 256
SIZE = FIRST_PIECE + len(PIECES)
SIDE = 8  # pixels
IMAGE_TOKENS = 16


class FakeModel(LoadedModel):
    """Answers nonsense, always the same nonsense."""

    family = "fake"
    revision = "r1"
    weights_sha256 = "0" * 64
    eos_token_ids = frozenset({EOS})
    default_decoding = Decoding(max_tokens=32, temperature=0.0)
    device = torch.device("cpu")
    dtype = torch.float32

    def __init__(self, *, context: int = 512, volumes: int = 0, eos: bool = True) -> None:
        torch.manual_seed(7)
        config = LlamaConfig(
            vocab_size=SIZE,
            hidden_size=48,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=context,
        )
        self._decoder = LlamaModel(config).requires_grad_(requires_grad=False)
        self._decoder.eval()  # type: ignore[no-untyped-call]  # as transformers has it
        for name, weight in self._decoder.named_parameters():
            if weight.ndim == 2:
                nn.init.normal_(weight, std=1.0 if "embed" in name else 0.3)
        self._head = nn.Linear(48, SIZE, bias=False).requires_grad_(False)
        self._head.weight.normal_(std=0.8)
        self._head.weight[FIRST_BYTE + 128 : FIRST_PIECE] *= 0.2  # mostly ASCII
        if not eos:
            self._head.weight[EOS] = 0.0
        self._patches = torch.randn(3 * SIDE * SIDE // IMAGE_TOKENS, 48)
        self.limits = Limits(context=context, images=1, volumes=volumes, image_tokens=IMAGE_TOKENS)
        self.looked: list[torch.Tensor] = []  # what the tower was shown
        self.passes: list[tuple[int, int]] = []  # rows and width of each decoder call
        self._decoder.register_forward_pre_hook(self._note, with_kwargs=True)

    def _note(self, _module: nn.Module, _args: Any, kwargs: dict[str, Any]) -> None:  # noqa: ANN401
        rows, width, _ = kwargs["inputs_embeds"].shape
        self.passes.append((rows, width))

    @property
    def decoder(self) -> nn.Module:
        decoder: nn.Module = self._decoder
        return decoder

    def render(self, turns: Sequence[Turn]) -> str:
        prompt = ""
        for turn in turns:
            marks = "<image>\n" * len(turn.images) + "<volume>\n" * len(turn.volumes)
            prompt += f"{turn.role.upper()}: {marks}{turn.text}\n"
        return prompt + "ASSISTANT:"

    def encode(self, prompt: str) -> list[int]:
        ids = [BOS]
        for part in prompt.replace("<image>", "\0i\0").replace("<volume>", "\0v\0").split("\0"):
            if part in ("i", "v"):
                ids.append(IMAGE_PLACEHOLDER if part == "i" else VOLUME_PLACEHOLDER)
            else:
                ids.extend(FIRST_BYTE + byte for byte in part.encode())
        return ids

    def decode(self, token_ids: Sequence[int]) -> str:
        data = b"".join(
            PIECES[i - FIRST_PIECE] if i >= FIRST_PIECE else bytes([i - FIRST_BYTE])
            for i in token_ids
            if i >= FIRST_BYTE
        )
        return data.decode(errors="replace").strip()

    def token_bytes(self) -> list[bytes | None]:
        return [None, None, *(bytes([byte]) for byte in range(256)), *PIECES]

    def pixel_values(self, image: Image.Image) -> torch.Tensor:
        small = np.asarray(image.convert("RGB").resize((SIDE, SIDE)), dtype=np.float32)
        return torch.from_numpy(small.transpose(2, 0, 1) / 255)

    def volume_values(self, volume: Volume) -> torch.Tensor:
        if not self.limits.volumes:
            return super().volume_values(volume)
        middle = torch.from_numpy(volume[volume.shape[0] // 2].astype(np.float32))[None, None]
        resized = nn.functional.interpolate(middle, size=(SIDE, SIDE))[0]
        return resized.expand(3, SIDE, SIDE) / 1000

    def image_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        self.looked.append(pixel_values)
        return pixel_values.reshape(IMAGE_TOKENS, -1) @ self._patches

    def embed(self, token_ids: torch.Tensor) -> torch.Tensor:
        embedded: torch.Tensor = self._decoder.embed_tokens(token_ids)
        return embedded

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._head(hidden)
        return logits
