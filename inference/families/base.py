"""What the engine needs of a model, and what a family must own.

A family is chosen by its explicit id, never by a path's name. It reads the published files,
renders the prompt, tokenises around the image and prepares pixels exactly as its authors' code
does; the engine does everything else and knows no family by name.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from inference.protocol import Decoding, Turn

IMAGE_PLACEHOLDER = -200
VOLUME_PLACEHOLDER = -201

Quantize = Literal["nf4", "int8"]
# HU [D, H, W] in integers or floats, or uint8 [1, 32, H, W], already windowed and resampled
Volume = NDArray[np.int16] | NDArray[np.float32] | NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a family accepts; a request beyond it is refused, never cut silently."""

    context: int  # tokens, image tokens included
    images: int
    volumes: int
    image_tokens: int  # positions that one placeholder becomes


class LoadedModel(ABC):
    """Weights in memory, with the family's way of asking them.

    The weights are used from one thread. `render`, `encode` and `decode` may be called from
    others, one at a time; `pixel_values` and `volume_values` touch no weights and may be called
    from any thread at any time.
    """

    family: str
    revision: str
    weights_sha256: str
    limits: Limits
    eos_token_ids: frozenset[int]
    default_decoding: Decoding
    device: torch.device
    dtype: torch.dtype

    @property
    @abstractmethod
    def decoder(self) -> nn.Module:
        """The transformers decoder (LlamaModel and the like): embeddings in, hidden states out."""

    @abstractmethod
    def render(self, turns: Sequence[Turn]) -> str:
        """Return the literal prompt, image markers in it, without the BOS token."""

    @abstractmethod
    def encode(self, prompt: str) -> list[int]:
        """Return token ids, with a negative placeholder id where the image or volume goes."""

    @abstractmethod
    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of generated ids, special tokens skipped, stripped as the original."""

    def token_bytes(self) -> list[bytes | None]:
        """Return what each id writes in the middle of a text, None where that is nothing.

        An empty list where that cannot be told: answers cannot be held to a JSON schema then.
        """
        return []

    @abstractmethod
    def pixel_values(self, image: Image.Image) -> torch.Tensor:
        """Prepare one image: float32 [3, H, W]."""

    def volume_values(self, volume: Volume) -> torch.Tensor:
        """Prepare one CT volume: float32 [3, D, H, W]; families without 3D refuse."""
        raise NotImplementedError(f"{self.family} reads no volumes")

    @abstractmethod
    def image_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Run tower and projector on one prepared image or volume: [image_tokens, hidden]."""

    @abstractmethod
    def embed(self, token_ids: torch.Tensor) -> torch.Tensor:
        """Look up input embeddings of non-negative ids: [n] to [n, hidden]."""

    @abstractmethod
    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Apply the language model head: [..., hidden] to [..., vocabulary]."""


class Family(ABC):
    """A published model layout. Instances hold no weights."""

    id: str
    licence: str  # shown to the operator before first use
    research_only: bool

    @abstractmethod
    def load(
        self,
        directory: Path,
        *,
        dtype: torch.dtype,
        device: torch.device,
        quantize: Quantize | None = None,
    ) -> LoadedModel:
        """Load a folder in our layout.

        Raises:
            ModelFolderRefusedError: a tensor is missing, unexpected or mis-shaped (named), a
                hash differs, or the folder holds something that is not plain data.
        """
