"""Words with their classes, and patterns over them."""

import re

import pytest

from inference.safety import policy
from inference.safety.slots import Lexicon, Pattern

LEXICON = Lexicon.of(
    {
        "joining": ["and", "to"],
        "not_so_ended": ["cystatin"],
        "words": {"drug": ["heparin", "blood thinner"], "home": ["go home"], "told": ["after"]},
        "verbs": {"act": ["start", "stop+", "give given giving"], "act-noun": ["change"]},
        "endings": {"drug": ["statin"]},
    }
)


def tagged(sentence: str) -> str:
    return "|".join(LEXICON.statements(sentence))


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        pytest.param("start heparin", "start<go><act> heparin<drug> ", id="words"),
        pytest.param("a blood thinner", "a<go> blood_thinner<drug> ", id="phrase"),
        pytest.param("rosuvastatin", "rosuvastatin<go><drug> ", id="ending"),
        pytest.param("cystatin", "cystatin<go> ", id="only ends so"),
        pytest.param(
            "stopped giving", "stopped<go><act-ed> giving<act-ing> ", id="participle and gerund"
        ),
        pytest.param("change", "change<go><act-noun> ", id="a noun as well"),
        pytest.param("changed", "changed<go><act-ed> ", id="no noun any more"),
        pytest.param("then, stop", "then<go> , stop<go><act> ", id="after a mark"),
        pytest.param("and stop", "and<go> stop<go><act> ", id="after a joining word"),
        pytest.param("1) stop", "stop<go><act> ", id="number of an item"),
        pytest.param("q.d. 5 x", "qd<go> 5<num> x ", id="dotted letters and numbers"),
        pytest.param("yes. stop", "yes<go> . |stop<go><act> ", id="two statements"),
    ],
)
def test_words_carry_their_classes(sentence: str, expected: str) -> None:
    assert tagged(sentence) == expected


@pytest.mark.parametrize(
    ("pattern", "sentence", "met"),
    [
        pytest.param("<act> <drug>", "start heparin", True, id="classes"),
        pytest.param("<act> <drug>", "start the heparin", False, id="next to each other"),
        pytest.param("<act> -2 <drug>", "start the same heparin", True, id="gap"),
        pytest.param("<act> -1 <drug>", "start the same heparin", False, id="gap too narrow"),
        pytest.param("<act> -2 <drug>", "start , heparin", False, id="gap ends at a mark"),
        pytest.param("<act> ~2 <drug>", "start , heparin", True, id="gap over marks"),
        pytest.param("a =3 <drug>", "a b or heparin", True, id="gap of what orders nothing"),
        pytest.param("a =3 <drug>", "a give heparin", False, id="gap with an order"),
        pytest.param("^<act>", "i start", False, id="not where orders begin"),
        pytest.param("^<act>", "i, start", True, id="where orders begin"),
        pytest.param("start|stop now", "stop now", True, id="as written"),
        pytest.param("stop it? now", "stop now", True, id="zero or one"),
        pytest.param("<drug> $", "heparin now", False, id="not at the end"),
        pytest.param("<drug> $", "heparin.", True, id="at the end"),
        pytest.param("in (19|20)\\d\\d", "in 2019", True, id="expression"),
        pytest.param("<act|home> now", "go home now", True, id="one of two classes"),
        pytest.param("<act|home>|they now", "they now", True, id="a class or a word"),
        pytest.param("<act-s> it", "he stops it", True, id="third person"),
        pytest.param("!this a =1 <drug>", "a good heparin", True, id="not followed by"),
        pytest.param("!this a =1 <drug>", "a good heparin for this", False, id="followed by"),
        pytest.param("no > now", "no this, that and more now", True, id="in one breath"),
        pytest.param("no > now", "no this but that now", False, id="the breath ends at but"),
        pytest.param("no > , stop", "no this, stop", True, id="and before an order"),
    ],
)
def test_pattern_is_met(pattern: str, sentence: str, *, met: bool) -> None:
    statements = LEXICON.statements(sentence)
    assert any(Pattern.of(pattern).search(statement) for statement in statements) is met


def test_what_is_told_loses_its_classes_and_the_rest_keeps_them() -> None:
    (statement,) = LEXICON.statements("after heparin stop heparin")
    assert Pattern.of("<told> =2 <drug>").untag(statement) == (
        "after<go> heparin stop<act> heparin<drug> "
    )


def test_what_is_left_unsaid_loses_its_words() -> None:
    (statement,) = LEXICON.statements("who knows of heparin, stop heparin")
    assert Pattern.of("# who knows >").untag(statement) == ("unsaid , stop<go><act> heparin<drug> ")


def test_every_class_a_rule_speaks_of_is_in_the_lexicon() -> None:
    reader, rules = policy().reader, policy().rules
    known = {tag for tags in reader.lexicon.words.values() for tag in tags} | {"num"}
    known |= {tag for phrases in reader.lexicon.phrases.values() for _, ts in phrases for tag in ts}
    patterns = [*reader.told, *(p for rule in rules for p in (*rule.slots, *rule.unless_slots))]
    named = {
        tag
        for pattern in patterns
        for group in re.findall(r"<([\w|-]+)>", pattern.written)
        for tag in group.split("|")
    }
    assert named <= known
