"""Questions and answers about one picture, drawn from what is known of it.

Answers to closed questions are trained in several spellings ("Yes.", "yes", "present"), so that
whatever set of choices a caller offers, the odds between its members carry the model's opinion.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from inference.demo import phrases
from inference.demo.sources import Picture, Site

Pair = tuple[str, str]  # a question and its answer

BARE_SHARE = 0.30  # of one-word answers that are bare and lower case, "yes"
CAPITALS_SHARE = 0.08
LISTED_SHARE = 0.35  # of closed questions that list their choices
FOLLOW_UP_SHARE = 0.20
BLIND_SHARE = 0.02  # dialogues without an image
ASIDE_SHARE = 0.04  # questions no image can answer, and questions about the model itself
SYNONYM_SHARE = 0.12  # of closed findings answers given as present or absent without being asked
HARD = {"endotracheal tube": 3.0, "nodule": 1.5}  # asked about more often than other findings
CAPITALISED_SHARE = 0.25  # of findings named with a capital, as in a list
UNSURE = "indeterminate"


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One or more turns; `looks` is false where no image comes first."""

    pairs: tuple[Pair, ...]
    looks: bool = True


def draw_dialogue(picture: Picture, rng: Random) -> Dialogue:
    """Draw a dialogue, most often of one turn."""
    if rng.random() < BLIND_SHARE:
        return Dialogue((_blind(rng),), looks=False)
    pairs = [_pair(picture, rng)]
    while len(pairs) < 3 and rng.random() < FOLLOW_UP_SHARE:
        pairs.append(_follow_up(picture, rng) or _pair(picture, rng))
    return Dialogue(tuple(pairs))


def describe(picture: Picture) -> str:
    """Return the findings sentences that the model should write for a picture."""
    if picture.sentences:
        return " ".join(picture.sentences)
    if picture.source == "nih":
        return " ".join(_film_sentences(picture))
    if picture.source == "ct phantom":
        return " ".join(["This is an axial CT slice of the chest.", *_ct_sentences(picture)])
    kind = {"X-ray": "an X-ray", "CT": "a CT slice", "MR": "an MR image"}[picture.modality]
    return f"This is {kind} of the {picture.body_part}. {phrases.NOT_TRAINED}"


def impression(picture: Picture) -> str:
    """Return one line."""
    if picture.normal:
        return "No abnormality is seen."
    text = ", ".join(_located(site) for site in _sites(picture)[:3])
    return text[0].upper() + text[1:] + "."


def _pair(picture: Picture, rng: Random) -> Pair:
    """Draw one question that fits the picture, and its answer."""
    if rng.random() < ASIDE_SHARE:
        return _aside(rng)
    kinds = _KINDS[picture.source]
    makers, weights = [maker for maker, _ in kinds], [weight for _, weight in kinds]
    for _ in range(8):
        made = rng.choices(makers, weights)[0](picture, rng)
        if made is not None:
            return made
    return _modality(picture, rng)


def _ask(text: str, rng: Random) -> str:
    """Vary how a question is put, not what it asks."""
    text = rng.choice(phrases.LEAD_INS) + text
    drawn = rng.random()
    if drawn < 0.10:
        return text.lower()
    if drawn < 0.16:
        return text.rstrip("?.:")
    if drawn < 0.18:
        return text.upper()
    return text


def _say(word: str, rng: Random, *, acronym: bool = False) -> str:
    """Spell a one-word answer: `Yes.`, `yes` or `YES`; acronyms keep their capitals."""
    drawn = rng.random()
    if acronym:
        return word if drawn < 0.5 else f"{word}."
    if drawn < BARE_SHARE:
        return word.lower()
    if drawn < BARE_SHARE + CAPITALS_SHARE:
        return word.upper()
    return f"{word[0].upper()}{word[1:]}."


def _closed(question: str, answer: str, choices: Sequence[str], rng: Random, *, more: str = "",
            acronym: bool = False) -> Pair:  # fmt: skip
    """Make a closed pair; at times the question lists its choices and the answer is one."""
    if rng.random() < LISTED_SHARE:
        listed = [answer if choice == answer else choice for choice in choices]
        rng.shuffle(listed)
        spell = rng.choice([str.lower, str.lower, str.capitalize]) if not acronym else str
        joined = rng.choice([", ", ", ", " or ", "/", ","]).join(spell(each) for each in listed)
        hint = rng.choice(phrases.ASK_CHOICE).format(o=joined)
        return _ask(question, rng) + hint, spell(answer)
    said = _say(answer, rng, acronym=acronym)
    if more and said.endswith(".") and rng.random() < 0.4:
        said = f"{said} {more}"
    return _ask(question, rng), said


def _yes(truth: bool) -> str:
    return "yes" if truth else "no"


def _presence(picture: Picture, rng: Random) -> Pair | None:
    """Ask about one finding; as often about one that is there as about one that is not."""
    there = [name for name, present in picture.findings.items() if present]
    away = [name for name, present in picture.findings.items() if not present]
    pool = there if there and (rng.random() < 0.5 or not away) else away
    if not pool:
        return None
    name = rng.choices(pool, [HARD.get(each, 1.0) for each in pool])[0]
    present = picture.findings[name]
    if name == "cardiomegaly" and rng.random() < 0.35:
        if rng.random() < 0.4:
            asked = rng.choice(phrases.HEART_NORMAL)
            return _closed(asked, _yes(not present), ("yes", "no"), rng)
        asked = rng.choice(phrases.HEART_ENLARGED)
        return _closed(asked, _yes(present), ("yes", "no"), rng, more=_sentence(picture, name))
    if name == "endotracheal tube" and rng.random() < 0.1:
        return _closed(rng.choice(phrases.INTUBATED), _yes(present), ("yes", "no"), rng)
    return _presence_of(name, present, rng, more=_sentence(picture, name))


def _presence_of(name: str, present: bool, rng: Random, *, more: str = "") -> Pair:
    state = "present" if present else "absent"
    states = ("present", "absent") if rng.random() < 0.6 else ("present", "absent", UNSURE)
    if rng.random() < 0.35:
        asked = _name_into(rng.choice(phrases.PRESENT_OR_ABSENT), name, rng)
        return _closed(asked, state, states, rng, more=more)
    asked = _name_into(rng.choice(phrases.PRESENCE), name, rng)
    if rng.random() < SYNONYM_SHARE:
        return _closed(asked, state, states, rng)
    return _closed(asked, _yes(present), ("yes", "no"), rng, more=more)


def _name_into(pattern: str, name: str, rng: Random, side: str = "") -> str:
    """Fill a pattern with one of a finding's names."""
    articles, bare = phrases.NAMES[name]
    first = rng.random() < 0.5
    a, f = (articles[0], bare[0]) if first else (rng.choice(articles), rng.choice(bare))
    if rng.random() < CAPITALISED_SHARE:
        a, f = a.capitalize(), f.capitalize()
    return pattern.format(a=a, f=f, F=f[0].upper() + f[1:], side=side, S=side.capitalize())


def _sentence(picture: Picture, name: str) -> str:
    """Return the sentence about one finding, with its place where that is known."""
    sites = [site for site in picture.sites if site.finding == name]
    if not picture.findings.get(name):
        return phrases.NOT_ENLARGED if name == "cardiomegaly" else phrases.ABSENT.format(f=name)
    if not sites:
        return phrases.SENTENCES[name].format(side="", place="")
    side = f"{sites[0].side} " if len(sites) == 1 and sites[0].side else ""
    place = f" in the {sites[0].side} {sites[0].zone} zone" if sites[0].zone else ""
    sentence = phrases.SENTENCES[name].format(side=side, place=place)
    return sentence.replace("a pleural effusion", "pleural effusion on both sides") if (
        len(sites) > 1 and name == "pleural effusion") else sentence  # fmt: skip


def _on_side(picture: Picture, rng: Random) -> Pair | None:
    """Ask about one side alone, where sides are known."""
    sided = [name for name in picture.findings if name in _SIDED]
    if picture.source not in ("phantom", "ct phantom") or not sided:
        return None
    there = [site for site in picture.sites if site.finding in _SIDED]
    if there and rng.random() < 0.75:
        site = rng.choice(there)
        name = site.finding
        side = site.side if rng.random() < 0.5 else _OTHER[site.side]
    else:
        name, side = rng.choice(sided), rng.choice(("left", "right"))
    present = any(site.finding == name and site.side == side for site in picture.sites)
    asked = _name_into(rng.choice(phrases.ON_SIDE), name, rng, side)
    return _closed(asked, _yes(present), ("yes", "no"), rng)


def _place(picture: Picture, rng: Random) -> Pair | None:
    """Ask on which side, in which zone, or where a present finding is."""
    sites = [site for site in picture.sites if site.side and site.finding in phrases.NAMES]
    if not sites:
        return None
    site = rng.choice(sites)
    both = {each.side for each in sites if each.finding == site.finding} == {"left", "right"}
    drawn = rng.random()
    if drawn < 0.45:
        asked = _name_into(rng.choice(phrases.WHICH_SIDE), site.finding, rng)
        answer = "both sides" if both else site.side
        return _closed(asked, answer, ("left", "right"), rng, more="")
    if both:
        return None
    if drawn < 0.65 and site.zone:
        asked = _name_into(rng.choice(phrases.WHICH_ZONE), site.finding, rng)
        return _closed(asked, site.zone, ("upper", "mid", "lower"), rng)
    asked = _name_into(rng.choice(phrases.WHERE), site.finding, rng)
    return _ask(asked, rng), f"In the {site.side} {site.zone} zone."


def _view(picture: Picture, rng: Random) -> Pair | None:
    if picture.view is None:
        return None
    if rng.random() < 0.15:
        asked = rng.choice(["AP", "PA"])
        pattern = rng.choice(phrases.VIEW_IS)
        question = pattern.format(an="an" if asked == "AP" else "a", view=asked)
        return _closed(question, _yes(asked == picture.view), ("yes", "no"), rng)
    more = f"This is {'an' if picture.view == 'AP' else 'a'} {picture.view} film."
    return _closed(
        rng.choice(phrases.VIEW), picture.view, ("AP", "PA"), rng, more=more, acronym=True
    )


def _normality(picture: Picture, rng: Random) -> Pair | None:
    if picture.normal is None:
        return None
    word = "normal" if picture.normal else "abnormal"
    drawn = rng.random()
    if drawn < 0.45:
        return _closed(rng.choice(phrases.NORMAL_OR_NOT), word, ("normal", "abnormal"), rng)
    normal = drawn < 0.70
    asked = rng.choice(phrases.NORMAL if normal else phrases.ABNORMAL)
    if rng.random() < 0.15:
        return _closed(asked, word, ("normal", "abnormal"), rng)
    return _closed(asked, _yes(picture.normal == normal), ("yes", "no"), rng)


def _modality(picture: Picture, rng: Random) -> Pair:
    if rng.random() < 0.15:
        asked = rng.choice(list(phrases.MODALITY_ASKED))
        name = rng.choice(phrases.MODALITY_ASKED[asked])
        question = rng.choice(phrases.MODALITY_IS).format(m=name)
        return _closed(question, _yes(asked == picture.modality), ("yes", "no"), rng)
    names = {kind: rng.choice(spelt) for kind, spelt in phrases.MODALITY_NAMES.items()}
    others = rng.sample(phrases.OTHER_MODALITIES, rng.choice((0, 0, 1, 2)))
    kind = {"X-ray": "an X-ray", "CT": "a CT slice", "MR": "an MR image"}[picture.modality]
    return _closed(
        rng.choice(phrases.MODALITY), names[picture.modality], [*names.values(), *others], rng,
        more=f"This is {kind} of the {picture.body_part}.", acronym=True,
    )  # fmt: skip


def _body(picture: Picture, rng: Random) -> Pair:
    if rng.random() < 0.15:
        asked = rng.choice([picture.body_part, *phrases.BODY_NAMES])
        article = "an" if asked == "abdomen" else "a"
        question = rng.choice(phrases.BODY_IS).format(b=asked, ab=article)
        return _closed(question, _yes(asked == picture.body_part), ("yes", "no"), rng)
    names = {part: rng.choice(spelt) for part, spelt in phrases.BODY_NAMES.items()}
    return _closed(
        rng.choice(phrases.BODY), names[picture.body_part], list(names.values()), rng,
        more=f"This is the {picture.body_part}.", acronym=True,
    )  # fmt: skip


def _describe(picture: Picture, rng: Random) -> Pair:
    if rng.random() < 0.12:
        reason = rng.choice(phrases.REASONS)
        asked = rng.choice(phrases.DESCRIBE_FOR).format(r=reason, R=reason.capitalize())
        return asked, describe(picture)
    return _ask(rng.choice(phrases.DESCRIBE), rng), describe(picture)


def _impression(picture: Picture, rng: Random) -> Pair:
    return _ask(rng.choice(phrases.IMPRESSION), rng), impression(picture)


def _clinician(picture: Picture, rng: Random) -> Pair | None:
    """Pass on a question that a clinician asked about this very picture."""
    if not picture.questions:
        return None
    question, answer = rng.choice(picture.questions)
    low = answer.lower().strip(". ")
    if low in ("yes", "no"):
        return _closed(question, low, ("yes", "no"), rng)
    if len(answer.split()) <= 2:
        return _closed(question, answer, (answer,), rng, acronym=answer.isupper()) if (
            rng.random() > LISTED_SHARE) else (_ask(question, rng), f"{answer}")  # fmt: skip
    return _ask(question, rng), f"{answer[0].upper()}{answer[1:].rstrip('.')}."


def _undecidable(picture: Picture, rng: Random) -> Pair:
    """Ask about a chest finding where no chest film is shown, or one that nobody labelled."""
    name = rng.choice([n for n in phrases.NAMES if n not in picture.findings])
    if rng.random() < 0.5:
        asked = _name_into(rng.choice(phrases.PRESENT_OR_ABSENT), name, rng)
        return _closed(asked, UNSURE, ("present", "absent", UNSURE), rng)
    asked = _name_into(rng.choice(phrases.PRESENCE), name, rng)
    return _ask(asked, rng), phrases.CANNOT_TELL


def _aside(rng: Random) -> Pair:
    if rng.random() < 0.3:
        return rng.choice(phrases.WHO), phrases.I_AM
    return _ask(rng.choice(phrases.UNKNOWABLE), rng), phrases.CANNOT_TELL


def _blind(rng: Random) -> Pair:
    asked = rng.choice(phrases.DESCRIBE + phrases.MODALITY + phrases.VIEW + phrases.ABNORMAL)
    return _ask(asked, rng), phrases.NO_IMAGE


def _follow_up(picture: Picture, rng: Random) -> Pair | None:
    """Ask on, as a person does once something was said."""
    drawn = rng.random()
    if drawn < 0.2:
        return rng.choice(["Are you sure?", "Really?", "Is that certain?"]), (
            "I am a small demonstration model; please look for yourself."
        )
    if drawn < 0.3:
        return rng.choice(["Thank you.", "Thanks.", "OK"]), "You are welcome."
    if drawn < 0.5 and picture.source not in _UNDESCRIBED:
        return _describe(picture, rng)
    return None


def _film_sentences(picture: Picture) -> list[str]:
    """Say first what a film shows by its labels, then what it does not."""
    there = [name for name, present in picture.findings.items() if present]
    sentences = [_sentence(picture, name) for name in there]
    if not there:
        sentences.append("The lungs are clear.")
    if "cardiomegaly" not in there:
        sentences.append(phrases.NOT_ENLARGED)
    absent = [name for name in ("pleural effusion", "pneumothorax") if name not in there]
    if absent:
        sentences.append(f"No {' or '.join(absent)} is seen.")
    return sentences


def _ct_sentences(picture: Picture) -> list[str]:
    return [_sentence(picture, name) for name in picture.findings]


def _sites(picture: Picture) -> list[Site]:
    """Return the places of findings, a bare one for a finding whose place is unknown."""
    known = {site.finding for site in picture.sites}
    bare = [Site(n) for n, there in picture.findings.items() if there and n not in known]
    return [*(site for site in picture.sites if picture.findings.get(site.finding)), *bare]


def _located(site: Site) -> str:
    name = "patchy opacity" if site.finding == "infiltration" else site.finding
    if not site.side:
        return name
    if site.finding in ("pleural effusion", "pneumothorax"):
        return f"{site.side} {name}"
    return f"{site.side} {site.zone} zone {name}"


_UNDESCRIBED = frozenset({"vqarad", "hannover"})  # nobody listed what they show
_SIDED = frozenset({"pleural effusion", "pneumothorax", "consolidation", "nodule"})
_OTHER = {"left": "right", "right": "left"}
_KINDS: dict[str, tuple[tuple[Callable[[Picture, Random], Pair | None], float], ...]] = {
    "nih": ((_presence, 3), (_normality, 4), (_view, 3), (_modality, 1.2), (_body, 1),
            (_describe, 2), (_impression, 0.6), (_place, 0.5)),
    "phantom": ((_presence, 6.5), (_on_side, 2), (_place, 2), (_normality, 1.2), (_view, 1),
                (_modality, 0.8), (_body, 0.6), (_describe, 3), (_impression, 0.8)),
    "ct phantom": ((_presence, 4), (_on_side, 1), (_place, 1), (_normality, 1), (_modality, 1),
                   (_body, 1), (_describe, 1), (_impression, 0.5), (_undecidable, 0.5)),
    "hannover": ((_view, 4), (_modality, 1), (_body, 1)),
    "vqarad": ((_clinician, 7), (_modality, 1.2), (_body, 1.2)),
    "mednist": ((_modality, 3), (_body, 3), (_describe, 0.7), (_undecidable, 0.7)),
    "tcia": ((_modality, 3), (_body, 1), (_describe, 0.7), (_undecidable, 0.7)),
}  # fmt: skip
