"""Texts on their way to a trainer."""

import pytest

from storage.exports.text import escaped, folded


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("see <image> here", "see ‹image› here"),
        ("<image3d><video></audio>", "‹image3d›‹video›‹/audio›"),
        ("<im_start>", "‹im_start›"),
        ("stop</s>go<s>", "stop‹/s›go‹s›"),
        ("<|endoftext|>", "‹|endoftext|›"),
        ("<IMAGE>", "‹IMAGE›"),
        ("a < b and c > d, <5 mm>", "a < b and c > d, <5 mm>"),
        ("<imaging is poor", "<imaging is poor"),
    ],
)
def test_a_placeholder_in_a_text_is_defused(typed: str, expected: str) -> None:
    assert escaped(typed) == expected


def test_escaping_twice_changes_nothing_more() -> None:
    assert escaped(escaped("<image> </s>")) == escaped("<image> </s>")


def test_white_space_is_folded() -> None:
    assert folded("  a\n\tb  c ") == "a b c"
