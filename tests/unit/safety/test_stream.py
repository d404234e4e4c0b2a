"""What a reader sees while an answer streams in."""

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.safety import StreamFilter, policy, screen
from inference.safety.units import cut
from tests.unit.safety.sentences import labelled

WITHHELD = "[Treatment advice withheld.]"


def shown(text: str, size: int) -> str:
    """Feed `text` in pieces of `size` characters."""
    stream = StreamFilter()
    deltas = [stream.feed(text[at : at + size]) for at in range(0, len(text), size)]
    return "".join(deltas) + stream.finish()[0]


def test_sentence_is_held_back_until_it_is_complete() -> None:
    stream = StreamFilter()
    assert stream.feed("The heart is enlarged") == ""
    assert stream.feed(". ") == ""
    assert stream.feed("There") == "The heart is enlarged. "
    assert stream.finish() == ("There", [])


def test_harmless_text_comes_through_unchanged() -> None:
    text = "  The heart is enlarged.\n\n1. Effusion.\n2. Nodule of 3.5 cm, e.g. here.\n"
    assert shown(text, 4) == text


def test_advice_never_appears_and_its_neighbours_do() -> None:
    text = "There is consolidation. Start amoxicillin 500 mg. The heart is normal."
    assert shown(text, 1) == f"There is consolidation. {WITHHELD} The heart is normal."


def test_advice_in_a_row_leaves_one_mark() -> None:
    text = "Insert a chest tube. Give morphine 5 mg. Start antibiotics. Effusion."
    assert shown(text, 3) == f"{WITHHELD} Effusion."


def test_an_item_is_judged_by_the_heading_it_stands_under() -> None:
    text = "**Plan:**\n- Chest drain\n- CT\n\nThe chest drain is seen."
    assert shown(text, 1) == f"**Plan:**\n{WITHHELD}\n- CT\n\nThe chest drain is seen."


def test_a_heading_lends_nothing_to_what_follows_its_list() -> None:
    text = "Management:\n1. Diuretics\n\nEffusion on the left.\n- Chest drain"
    assert shown(text, 1) == f"Management:\n{WITHHELD}\n\nEffusion on the left.\n- Chest drain"


def test_a_withheld_sentence_names_one_rule() -> None:
    stream = StreamFilter()
    stream.feed("You should start heparin 5000 units IV and see a surgeon. ")
    assert [flag.rule for flag in stream.finish()[1]] == ["treatment.dose"]


def test_unfinished_advice_is_withheld_when_the_answer_is_cut_off() -> None:
    stream = StreamFilter()
    assert stream.feed("Give amoxicillin 500 m") == ""
    assert stream.finish()[0] == WITHHELD


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Give approx. 500 mg of amoxicillin.", id="abbreviation before the dose"),
        pytest.param("Amoxicillin 1.5 mg.", id="decimal point"),
        pytest.param("Give morphine i.v. every 4 hours.", id="abbreviated route"),
        pytest.param("- Amoxicillin 500 mg\n- Paracetamol 1 g", id="list"),
        pytest.param("Give\namoxicillin.", id="line break before the drug"),
    ],
)
def test_a_cut_never_separates_what_belongs_together(text: str) -> None:
    assert shown(text, 1).strip() == WITHHELD


def test_flags_name_the_rule_and_the_place_in_the_shown_text() -> None:
    stream = StreamFilter()
    stream.feed("Give morphine 5 mg. There is a left pneumothorax.")
    rest, flags = stream.finish()
    text = f"{WITHHELD} There is a left pneumothorax."
    assert rest == "There is a left pneumothorax."
    urgent = next(flag for flag in flags if flag.rule == "urgent.critical")
    assert text[urgent.start : urgent.end] == "There is a left pneumothorax."
    dose = next(flag for flag in flags if flag.rule == "treatment.dose")
    assert text[dose.start : dose.end] == WITHHELD
    assert dose.as_json() == {
        "rule": "treatment.dose",
        "kind": "treatment",
        "effect": "withhold",
        "message": "Treatment advice was withheld.",
        "where": "answer",
        "start": 0,
        "end": 28,
    }


def test_flags_are_there_as_soon_as_the_sentence_is_shown() -> None:
    stream = StreamFilter()
    stream.feed("There is a pneumothorax. ")
    assert stream.flags == []
    stream.feed("The")
    assert [flag.rule for flag in stream.flags] == ["urgent.critical"]


PIECES = st.sampled_from(
    [
        "The heart is enlarged. ",
        "Give amoxicillin 500 mg. ",
        "Start heparin",
        ". ",
        "\n",
        "2. ",
        "Dr. ",
        "No ",
        "pneumothorax. ",
        "e.g. ",
        "5 mg i.v. ",
        "twice daily",
        "?",
        " ",
        "insert a chest tube",
    ]
)


@settings(deadline=None)  # the first call reads the policy
@given(st.lists(PIECES, max_size=12).map("".join), st.integers(1, 9))
def test_tokens_make_no_difference(text: str, size: int) -> None:
    assert shown(text, size) == shown(text, max(1, len(text)))


ANY_TEXT = st.one_of(
    st.text(max_size=80),
    st.lists(st.one_of(PIECES, st.text(max_size=6)), max_size=12).map("".join),
)


@settings(deadline=None)  # the first call reads the policy
@given(ANY_TEXT, st.lists(st.integers(0, 160), max_size=12))
def test_any_chunking_shows_and_flags_what_one_piece_does(text: str, cuts: list[int]) -> None:
    whole = StreamFilter()
    at_once = whole.feed(text) + whole.finish()[0]
    stream = StreamFilter()
    edges = [0, *sorted(min(place, len(text)) for place in cuts), len(text)]
    chunks = [text[start:end] for start, end in pairwise(edges)]
    seen = ""
    for chunk in chunks:
        seen += stream.feed(chunk)
        assert at_once.startswith(seen)
    rest, flags = stream.finish()
    assert seen + rest == at_once
    assert flags == whole.flags


@settings(deadline=None)  # the first call reads the policy
@given(ANY_TEXT, st.sampled_from([s.text for s in labelled("dev") if s.form == "treatment"]))
def test_no_character_of_a_withheld_sentence_is_shown_on_the_way(text: str, advice: str) -> None:
    stream = StreamFilter()
    before = f"{text}.\n\nThe heart is normal.\n\n"
    shown_before = shown(before, len(before))
    seen = "".join(stream.feed(character) for character in before + advice)
    seen += stream.finish()[0]
    assert advice not in seen
    after = seen[len(shown_before) :].replace(WITHHELD, "")
    assert not any(advice[:length] in after for length in range(8, len(advice)))


@settings(deadline=None)  # the first call reads the policy
@given(st.lists(PIECES, max_size=12).map("".join))
def test_no_shown_sentence_is_one_that_a_rule_withholds(text: str) -> None:
    pieces, rest = cut(shown(text, 5))
    withholding = [rule for rule in policy().rules if rule.effect == "withhold"]
    assert not any(rule.speaks(piece) for rule in withholding for piece in [*pieces, rest])


@settings(deadline=None)  # the first call reads the policy
@given(st.text(max_size=200))
def test_pieces_joined_are_the_text(text: str) -> None:
    pieces, rest = cut(text)
    assert "".join(pieces) + rest == text


@pytest.mark.parametrize(
    "text",
    ["1" * 20_000, "1," * 10_000, "\n" * 20_000 + "a", "a.a-" * 5_000, "Mr. A. " * 2_000],
    ids=["digits", "commas", "line breaks", "dots", "initials"],
)
def test_no_text_takes_long(text: str) -> None:
    """A pattern that backtracks without bounds would run for minutes, and the test time out."""
    started = time.process_time()
    shown(text, 400)
    screen(text, where="question")
    assert time.process_time() - started < 30


def test_screening_points_out_identities_only() -> None:
    flags = screen("Give morphine 5 mg. Seen by Dr. Smith on 3 May 2021.", where="question")
    assert [(flag.rule, flag.where, flag.start, flag.end) for flag in flags] == [
        ("identifier.date", "question", 20, 52),
        ("identifier.name", "question", 20, 52),
    ]
