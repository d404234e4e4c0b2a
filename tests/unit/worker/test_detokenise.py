"""Text as it grows."""

from collections.abc import Sequence

from hypothesis import example, given
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


def _decode_open(token_ids: Sequence[int]) -> str:
    return bytes(token_ids).decode(errors="replace").lstrip()


def _until(data: bytes, *stop: str) -> tuple[list[str], str, bool]:
    """Feed bytes until a stop string has come; return the pieces, the text and whether it has."""
    detokeniser = Detokeniser(_decode, stop=stop, decode_open=_decode_open)
    pieces = []
    for byte in data:
        pieces.append(detokeniser.push(byte))
        if detokeniser.stopped:
            break
    last, text = detokeniser.finish()
    return [*pieces, last], text, detokeniser.stopped


def test_a_stop_string_that_straddles_tokens_ends_the_text_before_it() -> None:
    assert _until(b"abSTOPcd", "STOP") == (["a", "b", "", "", "", "", ""], "ab", True)


def test_what_only_began_like_a_stop_string_is_shown_once_that_is_certain() -> None:
    assert _until(b"aSTx", "STOP") == (["a", "", "", "STx", ""], "aSTx", False)


def test_an_end_that_began_like_a_stop_string_is_shown_at_the_end() -> None:
    assert _until(b"aST", "STOP") == (["a", "", "", "ST"], "aST", False)


def test_white_space_that_decoding_strips_still_stops() -> None:
    assert _until(b"one \n\ntwo", "\n\n")[1:] == ("one", True)


def test_the_first_of_several_stop_strings_counts() -> None:
    assert _until(b"one two three", "three", "two")[1] == "one"


def test_a_stop_string_may_overlap_its_own_beginning() -> None:
    assert _until(b"xaab", "aab") == (["x", "", "", "", ""], "x", True)


@example("a a", [" ", "a a"])
@given(
    st.text("ab \né", max_size=30),
    st.lists(st.text("ab \né", min_size=1, max_size=4), min_size=1, max_size=3),
)
def test_nothing_of_a_stop_string_is_ever_shown(text: str, stop: list[str]) -> None:
    pieces, shown, stopped = _until(text.encode(), *stop)
    whole = text.lstrip()
    ended = (whole[:end] for end in range(1, len(whole) + 1) if whole[:end].endswith(tuple(stop)))
    first = next(ended, None)  # the text when the first stop string was complete
    assert "".join(pieces) == shown
    assert stopped == (first is not None)
    if first is None:
        assert shown == whole.strip()
    else:
        longest = max(len(s) for s in stop if first.endswith(s))
        assert shown == first[:-longest].rstrip()
