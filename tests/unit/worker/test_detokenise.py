"""Text as it grows."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from inference.worker.engine.detokenise import UNFINISHED, Detokeniser


def _decode(token_ids: Sequence[int]) -> str:
    return bytes(token_ids).decode(errors="replace").strip()


def _pieces(data: bytes) -> list[str]:
    detokeniser = Detokeniser(_decode)
    pieces = [detokeniser.push(byte) for byte in data]
    last, text = detokeniser.finish()
    assert text == _decode(data)
    return [*pieces, last]


def test_a_character_comes_whole() -> None:
    assert _pieces("é→".encode()) == ["", "é", "", "", "→", ""]


def test_a_space_waits_for_the_word_behind_it() -> None:
    assert _pieces(b"a b ") == ["a", "", " b", "", ""]


def test_bytes_that_never_become_a_character_come_at_the_end() -> None:
    assert _pieces(b"a\xe2\x86") == ["a", "", "", UNFINISHED]


@given(st.text().map(str.encode) | st.binary())
def test_the_pieces_joined_are_the_whole_text(data: bytes) -> None:
    assert "".join(_pieces(data)) == _decode(data)


@given(st.text())
def test_no_piece_of_real_text_holds_half_a_character(text: str) -> None:
    if UNFINISHED not in text:
        assert all(UNFINISHED not in piece for piece in _pieces(text.encode()))
