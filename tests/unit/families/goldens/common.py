"""Pictures, tokenizers, weights and the writing of expectations."""

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import nn

SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the user's questions."
)
SENTENCES = (
    "A chat between a curious user and an artificial intelligence assistant.",
    "The assistant gives helpful, detailed, and polite answers to the user's questions.",
    "USER: ASSISTANT: [INST] [/INST] is the heart enlarged on this film?",
    "There is a small left pleural effusion and no pneumothorax.",
    "The lungs are clear, the mediastinum is midline, the bones are intact.",
    "Describe the findings; is there a nodule in the right upper lobe?",
)
NEW_TOKENS = 8
MIN_MARGIN = 0.02  # between the first and second choice, so that no rounding swaps them
Weights = dict[str, torch.Tensor]


def seeded(seed: int) -> torch.Generator:
    """Return a generator of its own, so that one family's numbers do not move another's."""
    return torch.Generator().manual_seed(seed)


def fill(module: nn.Module, seed: int, dtype: torch.dtype) -> None:
    """Give every parameter a random value that is exact in 16 bits."""
    generator = seeded(seed)
    for name, parameter in sorted(module.named_parameters()):
        values = torch.randn(parameter.shape, generator=generator)
        scale = 1.0 if "embed_tokens" in name else 1.3 / max(parameter.shape[-1], 2) ** 0.5
        offset = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        rounded = (values * scale * (0.2 if offset else 1.0) + offset).to(dtype)
        parameter.data.copy_(rounded.to(torch.float16).to(dtype).float())


def picture(width: int, height: int, mode: str) -> Image.Image:
    """Draw soft bands with one bright corner: nothing that a flip or a crop leaves unchanged."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    grey = 120 + 60 * np.sin(x / 5 + y / 11) + 50 * np.cos(y / 4)
    grey[: height // 4, : width // 3] = 250
    if mode == "L":
        return Image.fromarray(grey.clip(0, 255).astype(np.uint8))
    colours = np.stack([grey, grey * 0.7 + x, 255 - grey], axis=-1)
    return Image.fromarray(colours.clip(0, 255).astype(np.uint8))


def png(image: Image.Image) -> bytes:
    """Return PNG bytes."""
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def sentencepiece_model() -> bytes:
    """Train a Llama-like tokenizer: byte-pair, byte fallback, dummy prefix, spaces kept."""
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 3),
        model_writer=out,
        model_type="bpe",
        vocab_size=400,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        character_coverage=1.0,
        num_threads=1,
        minloglevel=2,
    )
    return out.getvalue()


def tokenizer_config(*, legacy: bool) -> dict[str, Any]:
    """Return the part of `tokenizer_config.json` that matters."""
    return {"add_bos_token": True, "legacy": legacy, "tokenizer_class": "LlamaTokenizer"}


class CloseChoiceError(Exception):
    """Two tokens are so nearly as likely that rounding might swap them: take another seed."""


@dataclass
class Golden:
    """One family's folder while it is made."""

    place: Path
    family: str
    marker: str
    placeholder: int
    eos: int
    mean: Sequence[float]
    std: Sequence[float]
    strip: bool
    inputs: dict[str, Any] = field(default_factory=dict)
    features: dict[str, torch.Tensor] = field(default_factory=dict)
    tensors: Weights = field(default_factory=dict)
    cases: list[dict[str, Any]] = field(default_factory=list)

    def write(self, name: str, content: bytes | dict[str, Any]) -> None:
        """Write a file of the checkpoint or its hub."""
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = content if isinstance(content, bytes) else json.dumps(content, indent=1).encode()
        path.write_bytes(raw)

    def write_weights(self, name: str, weights: Weights) -> None:
        """Write a safetensors file or, for any other suffix, a torch pickle."""
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        weights = {key: value.clone().contiguous() for key, value in weights.items()}
        if path.suffix == ".safetensors":
            save_file(weights, path, metadata={"format": "pt"})
        else:
            torch.save(weights, path)

    def write_shards(self, stem: str, suffix: str, parts: Sequence[Weights]) -> None:
        """Write numbered shards and their index."""
        weight_map: dict[str, str] = {}
        for number, part in enumerate(parts, start=1):
            name = f"{stem}-{number:05}-of-{len(parts):05}{suffix}"
            self.write_weights(f"checkpoint/{name}", part)
            weight_map |= dict.fromkeys(part, name)
        self.write(f"checkpoint/{stem}{suffix}.index.json", {"weight_map": weight_map})

    def add_input(
        self,
        name: str,
        file: str,
        content: bytes,
        levels: NDArray[np.uint8],
        tower: torch.Tensor,
        features: torch.Tensor,
    ) -> None:
        """Note what an input becomes: levels [3, H, W], tower and projected features."""
        self.write(f"inputs/{file}", content)
        self.inputs[name] = {"file": f"inputs/{file}"}
        for kind, tensor in (
            ("pixel_levels", torch.from_numpy(levels.copy())),
            ("tower_features", tower),
            ("image_features", features),
        ):
            self.inputs[name][kind] = f"{kind}.{name}"
            self.tensors[f"{kind}.{name}"] = tensor
        self.features[name] = features

    def add_case(
        self,
        case: str,
        image: str | None,
        messages: Sequence[tuple[str, str]],
        prompt: str,
        ids: Sequence[int],
        language_model: nn.Module,
        decode: Callable[[Sequence[int]], str],
    ) -> None:
        """Run one conversation through transformers' own `generate` and note everything."""
        embeddings = self._embeddings(ids, image, language_model)
        with torch.no_grad():
            logits = language_model(inputs_embeds=embeddings[None]).logits[0, -1]
            made = language_model.generate(  # type: ignore[operator]  # nn.Module to mypy
                inputs_embeds=embeddings[None],
                attention_mask=torch.ones(1, len(embeddings), dtype=torch.long),
                max_new_tokens=NEW_TOKENS,
                do_sample=False,
                eos_token_id=self.eos,
                pad_token_id=self.eos,
                output_logits=True,
                return_dict_in_generate=True,
            )
        for step in made.logits:
            first, second = step[0].topk(2).values.tolist()
            if first - second < MIN_MARGIN:
                raise CloseChoiceError(case)
        generated = made.sequences[0].tolist()
        text = decode([i for i in generated if i != self.eos])
        self.tensors[f"logits_last.{case}"] = logits
        self.cases.append(
            {
                "id": case,
                "image": image,
                "messages": [
                    {"role": role, "content": content}
                    | ({"image": image} if image and index == 0 else {})
                    for index, (role, content) in enumerate(messages)
                ],
                "prompt": prompt,
                "input_ids": list(ids),
                "expanded_length": len(embeddings),
                "logits_last": f"logits_last.{case}",
                "logits_stride": 1,
                "generated_ids": generated,
                "generated_text": text.strip() if self.strip else text,
            }
        )

    def _embeddings(
        self, ids: Sequence[int], image: str | None, language_model: nn.Module
    ) -> torch.Tensor:
        table: nn.Embedding = language_model.get_input_embeddings()  # type: ignore[operator]  # nn.Module to mypy
        if image is None:
            return table.weight[list(ids)].detach()
        at = list(ids).index(self.placeholder)
        parts = (
            table(torch.tensor(ids[:at])),
            self.features[image],
            table(torch.tensor(ids[at + 1 :])),
        )
        return torch.cat(parts).detach()

    def finish(self) -> None:
        """Write `expected.json` and `expected.safetensors`."""
        self.write(
            "expected.json",
            {
                "family": self.family,
                "image_marker": self.marker,
                "image_placeholder_id": self.placeholder,
                "pixel_normalisation": {"mean": list(self.mean), "std": list(self.std)},
                "generation": {"max_new_tokens": NEW_TOKENS, "eos_token_id": self.eos},
                "inputs": self.inputs,
                "cases": self.cases,
            },
        )
        self.write_weights("expected.safetensors", self.tensors)


def digest(folder: Path) -> str:
    """Hash every file of a folder, names included."""
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        total.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return total.hexdigest()
