"""Text to ids and back, as the tokenizers that the models were trained with.

Llama and Mistral ids come from sentencepiece on the published `tokenizer.model`: the conversions
inside current transformers differ on leading and double spaces. Qwen's and our own byte-level
BPE run in the `tokenizers` library from the published vocabulary.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import sentencepiece
import tokenizers

from inference.errors import ModelFolderRefusedError

# A protobuf merges a repeated message field by field, and the last value wins: these bytes, put
# behind a sentencepiece model, set normalizer_spec.add_dummy_prefix to false.
NO_DUMMY_PREFIX = b"\x1a\x02\x18\x00"
SPACE_MARK = "\N{LOWER ONE EIGHTH BLOCK}"  # how sentencepiece writes a space


class Tokenizer(Protocol):
    """What a family needs of its tokenizer."""

    bos_id: int | None
    special_texts: frozenset[str]  # control marks that a person's text must not hold

    def encode(self, text: str) -> list[int]:
        """Return ids without BOS; a special token spelt out in the text becomes its id."""
        ...

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return text; special tokens are skipped."""
        ...

    def token_bytes(self) -> list[bytes | None]:
        """Return what each id writes in the middle of a text, None where that is nothing."""
        ...


class SentencePieceTokenizer:
    """Llama's and Mistral's, in both of transformers' readings.

    They differ only behind a special token inside the text: `legacy` puts a space mark before the
    next word there too, the newer reading does not.
    """

    def __init__(self, model: bytes, *, legacy: bool) -> None:
        """Take the bytes of `tokenizer.model`.

        Raises:
            ModelFolderRefusedError: they are not a sentencepiece model.
        """
        try:
            self._pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
            self._bare = sentencepiece.SentencePieceProcessor(model_proto=model + NO_DUMMY_PREFIX)
        except RuntimeError as error:
            raise ModelFolderRefusedError(
                "tokenizer.model is not a sentencepiece model."
            ) from error
        self._legacy = legacy
        self.bos_id: int | None = self._pieces.bos_id()
        controls = (self._pieces.unk_id(), self._pieces.bos_id(), self._pieces.eos_id())
        self._specials = {self._pieces.id_to_piece(i): i for i in controls if i >= 0}
        self._special_ids = frozenset(self._specials.values())
        self._split = re.compile("(" + "|".join(map(re.escape, self._specials)) + ")")
        self.special_texts = frozenset(self._specials)

    def encode(self, text: str) -> list[int]:
        """Return ids without BOS; a special token spelt out in the text becomes its id."""
        ids: list[int] = []
        for index, part in enumerate(self._split.split(text)):
            if part in self._specials:
                ids.append(self._specials[part])
            elif part:
                pieces = self._pieces if self._legacy or index == 0 else self._bare
                ids.extend(pieces.encode(part))
        return ids

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return text; special tokens are skipped."""
        return str(self._pieces.decode([i for i in token_ids if i not in self._special_ids]))

    def token_bytes(self) -> list[bytes | None]:
        """Return what each id writes in the middle of a text, None where that is nothing."""
        return [self._bytes_of(i) for i in range(self._pieces.get_piece_size())]

    def _bytes_of(self, token_id: int) -> bytes | None:
        pieces = self._pieces
        if token_id in self._special_ids or pieces.is_control(token_id):
            return None
        text = pieces.id_to_piece(token_id)
        if pieces.is_byte(token_id):  # <0x0A>
            return bytes([int(text[3:5], 16)])
        return str(text).replace(SPACE_MARK, " ").encode()


class BytePairTokenizer:
    """Byte-level BPE held in a `tokenizer.json`: Qwen's, and `overread-demo`'s."""

    def __init__(self, inner: tokenizers.Tokenizer, *, bos: str | None = None) -> None:
        self._inner = inner
        self._inner.no_truncation()
        self._inner.no_padding()
        self.bos_id: int | None = None if bos is None else inner.token_to_id(bos)
        added = inner.get_added_tokens_decoder().values()
        self.special_texts = frozenset(token.content for token in added if token.special)

    @classmethod
    def from_file(cls, path: Path, *, bos: str | None = None) -> "BytePairTokenizer":
        """Read a `tokenizer.json`.

        Raises:
            ModelFolderRefusedError: the library cannot read it.
        """
        try:
            return cls(tokenizers.Tokenizer.from_file(str(path)), bos=bos)
        except Exception as error:  # the library raises nothing narrower
            raise ModelFolderRefusedError("tokenizer.json cannot be read.") from error

    def encode(self, text: str) -> list[int]:
        """Return ids without BOS; a special token spelt out in the text becomes its id."""
        return list(self._inner.encode(text, add_special_tokens=False).ids)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return text; special tokens are skipped."""
        return str(self._inner.decode(list(token_ids), skip_special_tokens=True))

    def token_bytes(self) -> list[bytes | None]:
        """Return what each id writes in the middle of a text, None where that is nothing.

        Nothing at all if the tokens are not spelt in GPT-2's alphabet of bytes.
        """
        if not isinstance(self._inner.decoder, tokenizers.decoders.ByteLevel):
            return []
        found: list[bytes | None] = [None] * self._inner.get_vocab_size(with_added_tokens=True)
        added = self._inner.get_added_tokens_decoder()
        alphabet = byte_alphabet()
        for text, token_id in self._inner.get_vocab(with_added_tokens=False).items():
            if token_id not in added:
                found[token_id] = bytes(alphabet[character] for character in text)
        return found


def byte_alphabet() -> dict[str, int]:
    """Return the letter that stands for each byte in GPT-2's vocabulary, as letter to byte.

    Bytes that print stand for themselves; the others are counted up from U+0100.
    """
    printing = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printing]
    return {chr(byte): byte for byte in printing} | {
        chr(256 + number): byte for number, byte in enumerate(others)
    }


def encode_around(prompt: str, marker: str, placeholder: int, tokenizer: Tokenizer) -> list[int]:
    """Tokenise each stretch of text between markers by itself, with a placeholder for each marker.

    This is what the published code does; tokenising the whole string at once loses the space mark
    that follows an image. One BOS, where the tokenizer has one, comes first.
    """
    ids = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
    for index, chunk in enumerate(prompt.split(marker)):
        if index:
            ids.append(placeholder)
        ids.extend(tokenizer.encode(chunk))
    return ids
