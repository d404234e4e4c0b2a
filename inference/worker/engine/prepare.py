"""From a question to what the engine computes: ids, positions' names, pictures, choices.

Runs in the thread that hands a question in, so that reading a PNG or resampling a CT never
holds up the answers that are being written, and a bad question is refused before it queues.
"""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
import torch

from inference.errors import RequestRefusedError
from inference.families.base import IMAGE_PLACEHOLDER, VOLUME_PLACEHOLDER, LoadedModel
from inference.protocol import Ask, Turn
from inference.worker.engine.choices import ChoiceTree, plant, usable
from inference.worker.engine.features import FeatureCache
from inference.worker.engine.prefix import Keys
from inference.worker.engine.vocabulary import Vocabulary
from inference.worker.pictures import digest, read_image, read_volume

MAX_STOPS = 8
MAX_STOP_LENGTH = 100  # characters
LONGEST_TOKEN = 64  # characters of one token, generously: what is longer is not even tokenised


@dataclass(frozen=True, slots=True)
class Picture:
    """One image or volume of a prompt."""

    digest: str
    start: int  # its first position in the expanded prompt
    pixels: torch.Tensor | None  # None where the features were already kept
    prepare: Callable[[], torch.Tensor]  # makes the pixels again


@dataclass(frozen=True, slots=True)
class Album:
    """Pictures of questions that are handed in together: each is hashed and prepared once."""

    digests: dict[bytes, str] = field(default_factory=dict)
    pixels: dict[str, torch.Tensor] = field(default_factory=dict)

    def digest(self, data: bytes) -> str:
        """Return the content hash of a picture."""
        if data not in self.digests:
            self.digests[data] = digest(data)
        return self.digests[data]

    def prepared(self, known: str, prepare: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Return a picture's pixels."""
        if known not in self.pixels:
            self.pixels[known] = prepare()
        return self.pixels[known]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question, ready to be computed."""

    text: str
    token_ids: tuple[int, ...]  # one negative placeholder for each picture
    keys: Keys  # one name for each position: the token id, or below 0 inside a picture
    pictures: tuple[Picture, ...] = ()
    choices: tuple[str, ...] = ()
    tree: ChoiceTree | None = None
    # For each choice its tokens and a line break's, where an explanation is to follow.
    openings: tuple[tuple[int, ...], ...] = ()

    @property
    def longest_opening(self) -> int:
        """Positions that a choice and the line break after it may take."""
        return max(map(len, self.openings), default=0)


def check(ask: Ask) -> None:
    """Refuse what no model could do.

    Raises:
        RequestRefusedError: see the message.
    """
    if len(ask.stop) > MAX_STOPS or not all(0 < len(s) <= MAX_STOP_LENGTH for s in ask.stop):
        raise RequestRefusedError(
            f"Give up to {MAX_STOPS} stop strings of 1 to {MAX_STOP_LENGTH} characters."
        )
    if ask.explain_tokens < 0 or (ask.explain_tokens and not ask.choices):
        raise RequestRefusedError("An explanation follows a choice: offer choices as well.")
    if ask.json_schema and (ask.choices or ask.stop):
        raise RequestRefusedError("A schema excludes choices and stop strings.")


@dataclass(frozen=True, slots=True)
class Preparer:
    """Prepares questions for one model. Safe to use from several threads.

    The tokenizer is used by one thread at a time, for a moment: those who write answers need it
    too. Preparing pixels touches no weights and is not locked. Volumes are prepared one at a time,
    since one may take 1.6 GB while it is.
    """

    model: LoadedModel
    vocabulary: Vocabulary
    features: FeatureCache
    lock: Lock = field(default_factory=Lock)
    _one_volume: Lock = field(default_factory=Lock, repr=False)
    _secret: bytes = field(default_factory=lambda: secrets.token_bytes(16), repr=False)

    def prepare(self, ask: Ask, album: Album | None = None) -> Prompt:
        """Render, tokenise and place the pictures; `album` holds those of earlier questions.

        Raises:
            RequestRefusedError: too long, too many or unreadable pictures, unusable choices or
                stop strings, or wishes that exclude each other.
        """
        check(ask)
        contents = [
            *((IMAGE_PLACEHOLDER, data) for turn in ask.turns for data in turn.images),
            *((VOLUME_PLACEHOLDER, data) for turn in ask.turns for data in turn.volumes),
        ]
        self._check_counts(contents)
        choices = usable(ask.choices) if ask.choices else []
        for choice in choices:  # refuses the model's control marks
            self.model.render((Turn("user", choice),))
        text = self.model.render(ask.turns)
        if len(text) > LONGEST_TOKEN * self.model.limits.context:
            raise RequestRefusedError(
                f"The conversation is too long: {len(text):,} characters; this model reads "
                f"{self.model.limits.context} tokens."
            )
        with self.lock:
            token_ids = tuple(self.model.encode(text))
            own = [tuple(self.vocabulary.own(choice)) for choice in choices]
            openings = [
                tuple(self.vocabulary.own(f"{choice}\n"))
                for choice in (choices if ask.explain_tokens else ())
            ]
        tree = plant(choices, own, self.vocabulary) if choices else None
        wanted = [kind for kind, _ in contents]
        if sorted(i for i in token_ids if i < 0) != sorted(wanted) or not token_ids:
            raise RequestRefusedError("The text names an image that was not sent.")
        size = self.model.limits.image_tokens
        length = len(token_ids) + len(contents) * (size - 1)
        behind = [len(tree.tokens) if tree else 0, *map(len, openings)]
        room = self.model.limits.context - length - max(behind)
        if room < 1:
            raise RequestRefusedError(
                f"The conversation is too long: {length} tokens, of which the images take "
                f"{len(contents) * size}; this model reads {self.model.limits.context}."
            )
        album = album or Album()
        keys, starts = self._expand(token_ids, contents, album)
        pictures = [self._picture(kind, data, start, album) for (kind, data), start in starts]
        return Prompt(
            text, token_ids, keys, tuple(pictures), tuple(ask.choices), tree, tuple(openings)
        )

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of generated ids."""
        with self.lock:
            return self.model.decode(token_ids)

    def decode_open(self, token_ids: Sequence[int]) -> str:
        """Return the text of generated ids to which more will come."""
        with self.lock:
            return self.vocabulary.decode_open(token_ids)

    def _check_counts(self, contents: Sequence[tuple[int, bytes]]) -> None:
        limits = self.model.limits
        for placeholder, most, name in (
            (IMAGE_PLACEHOLDER, limits.images, "image"),
            (VOLUME_PLACEHOLDER, limits.volumes, "volume"),
        ):
            if sum(kind == placeholder for kind, _ in contents) > most:
                few = f"at most {most} {name}{'s' * (most != 1)}" if most else f"no {name}s"
                raise RequestRefusedError(f"This model reads {few} in a conversation.")

    def _expand(
        self, token_ids: tuple[int, ...], contents: Sequence[tuple[int, bytes]], album: Album
    ) -> tuple[Keys, list[tuple[tuple[int, bytes], int]]]:
        """Name every position and find where each picture starts."""
        size = self.model.limits.image_tokens
        left = list(contents)
        parts: list[Keys] = []
        starts = []
        done = 0
        for token_id in token_ids:
            if token_id >= 0:
                parts.append(np.array([token_id]))
                done += 1
                continue
            index = next(i for i, (kind, _) in enumerate(left) if kind == token_id)
            content = left.pop(index)
            starts.append((content, done))
            parts.append(self._name(album.digest(content[1])) - np.arange(size))
            done += size
        return np.concatenate(parts).astype(np.int64), starts

    def _name(self, known: str) -> int:
        """A number below 0 for a picture's first position; secret, so none can be forged."""
        mark = hashlib.blake2b(known.encode(), key=self._secret, digest_size=8).digest()
        return -1 - (int.from_bytes(mark) % 2**62)

    def _picture(self, kind: int, data: bytes, start: int, album: Album) -> Picture:
        def prepare() -> torch.Tensor:
            if kind == VOLUME_PLACEHOLDER:
                with self._one_volume:
                    return self.model.volume_values(read_volume(data))
            return self.model.pixel_values(read_image(data))

        known = album.digest(data)
        pixels = None if known in self.features else album.prepared(known, prepare)
        return Picture(known, start, pixels, prepare)
