"""What all our families share: tower, projector and decoder in transformers' LLaVA shape.

A family file adds what its authors decided: prompt, padding, licence, and how the published
files map onto this layout. Sizes and pixel statistics are settings of the folder, never of
the code.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from PIL import Image
from torch import nn
from transformers import LlavaForConditionalGeneration

from inference.errors import ModelFolderRefusedError, RequestRefusedError
from inference.families.base import IMAGE_PLACEHOLDER, Family, Limits, LoadedModel, Quantize
from inference.families.folder import Manifest, check_folder, read_json
from inference.families.loading import build_model
from inference.families.preparing import Preparation
from inference.families.published import Converted, Published
from inference.families.templates import TEMPLATES
from inference.families.tokenizing import (
    BytePairTokenizer,
    SentencePieceTokenizer,
    Tokenizer,
    encode_around,
)
from inference.protocol import Decoding, Turn

MOST_CONTEXT = 2**20  # tokens


class LlavaLoaded(LoadedModel):
    """A LLaVA-shaped model in memory. `model` is transformers' own, for training."""

    marker = "<image>"
    placeholder = IMAGE_PLACEHOLDER

    def __init__(
        self,
        model: LlavaForConditionalGeneration,
        tokenizer: Tokenizer,
        manifest: Manifest,
        *,
        limits: Limits,
        default_decoding: Decoding,
        strip: bool,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.manifest = manifest
        self.family = manifest.family
        self.revision = manifest.revision
        self.weights_sha256 = manifest.weights_sha256
        self.limits = limits
        self.eos_token_ids = frozenset(manifest.settings["eos"])
        self.default_decoding = default_decoding
        self.preparation = Preparation.from_settings(manifest.settings["image"])
        self._template = TEMPLATES[manifest.settings["template"]]
        self._strip = strip

    @property
    def device(self) -> torch.device:  # type: ignore[override]  # an attribute in the base
        """Where the embeddings live."""
        return self._table.device

    @property
    def dtype(self) -> torch.dtype:  # type: ignore[override]  # an attribute in the base
        """What the embeddings are stored in; quantised layers differ."""
        return self._table.dtype

    @property
    def _table(self) -> torch.Tensor:
        return cast(nn.Embedding, self.model.get_input_embeddings()).weight

    @property
    def decoder(self) -> nn.Module:
        """The transformers decoder: embeddings in, hidden states out."""
        decoder: nn.Module = self.model.model.language_model
        return decoder

    def render(self, turns: Sequence[Turn]) -> str:
        """Return the literal prompt.

        Raises:
            RequestRefusedError: the turns do not alternate, hold too many images or volumes, or a
                text spells out one of the model's control marks.
        """
        if sum(len(turn.images) for turn in turns) > self.limits.images:
            raise RequestRefusedError(f"This model reads {self.limits.images} image(s) at a time.")
        if sum(len(turn.volumes) for turn in turns) > self.limits.volumes:
            raise RequestRefusedError(
                f"This model reads {self.limits.volumes} volume(s) at a time."
            )
        for mark in (self.marker, *sorted(self.tokenizer.special_texts)):
            if any(mark in turn.text for turn in turns):
                raise RequestRefusedError(
                    f"The text holds {mark}, which this model would read as a command."
                )
        return self._template(turns, self.marker)

    def encode(self, prompt: str) -> list[int]:
        """Return token ids with the placeholder where the image or volume goes."""
        return encode_around(prompt, self.marker, self.placeholder, self.tokenizer)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of generated ids."""
        text = self.tokenizer.decode(token_ids)
        return text.strip() if self._strip else text

    def token_bytes(self) -> list[bytes | None]:
        """Return what each id writes in the middle of a text."""
        return self.tokenizer.token_bytes()

    def pixel_values(self, image: Image.Image) -> torch.Tensor:
        """Prepare one image: float32 [3, S, S]."""
        return self.preparation.tensor(image)

    @torch.no_grad()
    def tower_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Look at images: [n, 3, S, S] to the selected layer, [n, tokens, width]."""
        config = self.model.config
        outputs = self.model.model.vision_tower(
            pixel_values.to(self.device, self.dtype), output_hidden_states=True
        )
        selected: torch.Tensor = outputs.hidden_states[config.vision_feature_layer]
        return selected[:, 1:] if config.vision_feature_select_strategy == "default" else selected

    @torch.no_grad()
    def image_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Run tower and projector on one prepared image: [image_tokens, hidden]."""
        projected: torch.Tensor = self.model.model.multi_modal_projector(
            self.tower_features(pixel_values[None])
        )
        return projected[0]

    def embed(self, token_ids: torch.Tensor) -> torch.Tensor:
        """Look up input embeddings of non-negative ids: [n] to [n, hidden]."""
        embedded: torch.Tensor = self.model.get_input_embeddings()(token_ids.to(self.device))
        return embedded

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Apply the language model head: [..., hidden] to [..., vocabulary]."""
        logits: torch.Tensor = self.model.lm_head(hidden)
        return logits


class LlavaFamily(Family):
    """Loading of our layout, common to the families; each states its own choices below."""

    templates: ClassVar[frozenset[str]]  # which prompt templates its folders may name
    decoding: ClassVar[Decoding]
    images: ClassVar[int] = 1
    volumes: ClassVar[int] = 0
    strip: ClassVar[bool] = True
    loaded_class: ClassVar[type[LlavaLoaded]] = LlavaLoaded
    model_class: ClassVar[type[LlavaForConditionalGeneration]] = LlavaForConditionalGeneration

    def convert(self, published: Published) -> Converted:  # noqa: ARG002 - the families' own
        """Read a release as its authors published it.

        Raises:
            ModelFolderRefusedError: a file or tensor is missing, left over or not what it should
                be, something asks for code, or the family has no release but ours.
        """
        raise ModelFolderRefusedError(f"{self.id} has no published files to import.")

    def load(
        self,
        directory: Path,
        *,
        dtype: torch.dtype,
        device: torch.device,
        quantize: Quantize | None = None,
    ) -> LlavaLoaded:
        """Load a folder in our layout; see `Family.load`."""
        manifest = check_folder(directory)
        if manifest.family != self.id:
            raise ModelFolderRefusedError(
                f"The folder holds {manifest.family}, not {self.id} as asked."
            )
        settings = self._checked(manifest.settings, read_json(directory, "config.json"))
        tokenizer = open_tokenizer(directory, settings)
        model = build_model(
            directory,
            manifest,
            dtype=dtype,
            device=device,
            quantize=quantize,
            model_class=self.model_class,
        )
        limits = Limits(
            context=settings["context"],
            images=self.images,
            volumes=self.volumes,
            image_tokens=settings["image_tokens"],
        )
        return self.loaded_class(
            model,
            tokenizer,
            manifest,
            limits=limits,
            default_decoding=self.decoding,
            strip=self.strip,
        )

    def _checked(self, settings: Mapping[str, Any], config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Compare the manifest's settings, which no hash covers, with the hashed config."""
        wanted = {"template", "image", "context", "image_tokens", "eos", "tokenizer"}
        if absent := sorted(wanted - settings.keys()):
            raise ModelFolderRefusedError(f"The manifest's settings lack {', '.join(absent)}.")
        if settings["template"] not in self.templates:
            raise ModelFolderRefusedError(
                f"{self.id} has no prompt template {settings['template']!r}."
            )
        vocabulary = _whole(config.get("text_config"), "vocab_size")
        impossible = [
            name
            for name, possible in {
                "context": 1 <= _whole(settings, "context") <= MOST_CONTEXT,
                "image_tokens": _whole(settings, "image_tokens")
                == _whole(config, "image_seq_length"),
                "image": _whole(config.get("vision_config"), "image_size")
                in (_whole(settings["image"], "size"), 0),
                "eos": isinstance(settings["eos"], list)
                and all(type(i) is int and 0 <= i < vocabulary for i in settings["eos"]),
                "tokenizer": isinstance(settings["tokenizer"], Mapping),
            }.items()
            if not possible
        ]
        if impossible:
            raise ModelFolderRefusedError(
                f"The manifest's settings do not fit config.json: {', '.join(impossible)}."
            )
        return settings


def _whole(fields: object, name: str) -> int:
    """Return a whole number of a JSON object, 0 where there is none."""
    found = fields.get(name) if isinstance(fields, Mapping) else None
    return found if type(found) is int else 0


def open_tokenizer(directory: Path, settings: Mapping[str, Any]) -> Tokenizer:
    """Open the folder's tokenizer of the kind that its manifest names.

    Raises:
        ModelFolderRefusedError: the kind is unknown or the file unreadable.
    """
    found = settings["tokenizer"]
    if found.get("kind") == "sentencepiece":
        model = (directory / "tokenizer.model").read_bytes()
        return SentencePieceTokenizer(model, legacy=bool(found["legacy"]))
    if found.get("kind") == "bpe":
        return BytePairTokenizer.from_file(directory / "tokenizer.json", bos=found.get("bos"))
    raise ModelFolderRefusedError("The manifest names a kind of tokenizer that is not ours.")
