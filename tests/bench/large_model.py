"""A random LLaVA with LLaVA-Med's proportions of work, as large as two cores run in minutes.

576 image tokens, four query heads to a key-value head, a feed-forward part 3.5 times as wide as
the hidden size, a tower of about 4 % of the decoder's weights. One word of text is one token.
"""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import nn
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from inference.families.base import IMAGE_PLACEHOLDER, Limits, LoadedModel
from inference.protocol import Decoding, Turn

IMAGE_TOKENS = 576
IMAGE_ID = 3
WORDS = 4000


class LargeModel(LoadedModel):
    """Our interface on transformers' own model, so that both ways use the same weights."""

    family = "bench"
    revision = "random"
    weights_sha256 = ""
    limits = Limits(context=2048, images=1, volumes=0, image_tokens=IMAGE_TOKENS)
    eos_token_ids = frozenset({2})
    default_decoding = Decoding(max_tokens=32, temperature=0.0)
    device = torch.device("cpu")
    dtype = torch.float32

    def __init__(self, *, hidden: int = 1024, layers: int = 8) -> None:
        torch.manual_seed(0)
        config = LlavaConfig(
            text_config=LlamaConfig(
                vocab_size=WORDS,
                hidden_size=hidden,
                intermediate_size=hidden * 7 // 2,
                num_hidden_layers=layers,
                num_attention_heads=hidden // 64,
                num_key_value_heads=hidden // 256,
                max_position_embeddings=2048,
                bos_token_id=1,
                eos_token_id=2,
            ),
            vision_config=CLIPVisionConfig(
                image_size=336,
                patch_size=14,
                hidden_size=192,
                intermediate_size=768,
                num_hidden_layers=10,
                num_attention_heads=3,
            ),
            image_token_index=IMAGE_ID,
            image_seq_length=IMAGE_TOKENS,
        )
        self.model = LlavaForConditionalGeneration(config)
        self.model.requires_grad_(requires_grad=False)
        self.model.eval()  # type: ignore[no-untyped-call]  # as transformers has it
        self.model.lm_head.weight[2] = 0.0  # no answer ends early
        self._ids: dict[str, int] = {}

    @property
    def decoder(self) -> nn.Module:
        """The language model without its head."""
        decoder: nn.Module = self.model.model.language_model
        return decoder

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(weight.numel() for weight in self.model.parameters())

    def render(self, turns: Sequence[Turn]) -> str:
        """Join the turns with a word for each role, as a template would."""
        return (
            " ".join(f"<{turn.role}> {'<image> ' * len(turn.images)}{turn.text}" for turn in turns)
            + " <assistant>"
        )

    def encode(self, prompt: str) -> list[int]:
        """Give each new word the next id; what `decode` wrote becomes the ids it was."""
        ids = [1]
        for word in prompt.split():
            if word == "<image>":
                ids.append(IMAGE_PLACEHOLDER)
            elif word.startswith("t") and word[1:].isdigit():
                ids.append(int(word[1:]))
            else:
                ids.append(self._ids.setdefault(word, 10 + len(self._ids)))
        return ids

    def decode(self, token_ids: Sequence[int]) -> str:
        """Write known words, and numbers for the others."""
        words = {number: word for word, number in self._ids.items()}
        return " ".join(words.get(i, f"t{i}") for i in token_ids)

    def pixel_values(self, image: Image.Image) -> torch.Tensor:
        """Scale to 336 pixels: float32 [3, 336, 336]."""
        levels = np.asarray(image.convert("RGB").resize((336, 336)), dtype=np.float32)
        return torch.from_numpy(levels.transpose(2, 0, 1) / 255)

    def image_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Run tower and projector: [576, hidden]."""
        hidden = self.model.model.vision_tower(
            pixel_values[None], output_hidden_states=True
        ).hidden_states[-2]
        features: torch.Tensor = self.model.model.multi_modal_projector(hidden[:, 1:])
        return features[0]

    def embed(self, token_ids: torch.Tensor) -> torch.Tensor:
        """Look up embeddings."""
        embedded: torch.Tensor = self.model.get_input_embeddings()(token_ids)
        return embedded

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Apply the head."""
        logits: torch.Tensor = self.model.lm_head(hidden)
        return logits
