"""What was changed in a draft."""

from storage import sentences
from storage.exports.edits import Change, changes, negation_changed, word_distance

DRAFT = "The heart is large. No effusion."


def test_a_replaced_word_is_one_change_in_its_sentence() -> None:
    final = "The heart is normal. No effusion."
    assert changes(DRAFT, final, sentences.split(DRAFT)) == [Change(13, 18, "large", "normal", 0)]


def test_an_addition_at_the_end_belongs_to_the_last_sentence() -> None:
    final = DRAFT + " Tube in place."
    assert changes(DRAFT, final, sentences.split(DRAFT)) == [
        Change(32, 32, "", " Tube in place.", 1)
    ]


def test_the_changes_turn_the_draft_into_the_final_text() -> None:
    final = "Heart normal. Small effusion on the left, no air."
    result, shift = DRAFT, 0
    for change in changes(DRAFT, final, sentences.split(DRAFT)):
        start, end = change.start + shift, change.end + shift
        assert result[start:end] == change.old
        result = result[:start] + change.new + result[end:]
        shift += len(change.new) - len(change.old)
    assert result == final


def test_an_unchanged_draft_has_no_change() -> None:
    assert changes(DRAFT, DRAFT, sentences.split(DRAFT)) == []


def test_distance_counts_words() -> None:
    assert word_distance("a b c d", "a x c d e") == 2  # one replaced, one added
    assert word_distance("", "a b") == 2
    assert word_distance("a  b", "a b") == 0


def test_a_dropped_no_is_a_changed_negation() -> None:
    assert negation_changed("No effusion.", "Effusion.")
    assert negation_changed("There isn't air.", "There is air.")
    assert not negation_changed("No effusion.", "no pleural effusion")
