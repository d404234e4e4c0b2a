"""Sentences as words with the slots they may fill, and patterns over slots.

A word is looked up once (`lexicon.toml`: lists, phrases, endings, verbs in their forms) and carries
its classes as tags: `start<go><act> heparin<drug> `. Patterns speak of classes, not of words, so a
rule holds for every drug, procedure or verb the lexicon knows. In a pattern, separated by spaces:

    <drug>     a word of that class; <drug|proc> of either; <drug>|it one of the class, or "it"
    ^<act>     one that stands where an order may begin: at a clause's start, after "and", "please"
    must|shall a word as written, a regular expression without spaces
    *          the rest of the statement
    ~4         up to four words of the same statement, -4 of the same clause, =4 of those that
               neither order nor oblige
    >          the rest of what is said in one breath: to a stop, "but", or an order behind a comma
    !word      not followed by that word in the statement
    word?      zero or one of what stands before the question mark
    $          the statement's end; $|now that or a word
    #          first of all: what is met is read as left unsaid, words and all
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

START: Final = "go"
_TAGS: Final = r"(?:<[\w-]+>)*"
_WORD: Final = re.compile(
    r"\d+(?:[.,]\d+)*|q\d+h|[^\W\d_](?:\w|'(?=\w))*|[.,;:?!()|•·–—%→\n]|(?<= )-(?= )|[+&]"
)
_DOTTED: Final = re.compile(r"\b(?:[a-z]\.){2,}")
_SHORT: Final = re.compile(r"\b(?:h/o|s/p|r/o|w/o|c/w|k/c/o)(?!\w)|\bw/")
_LONG: Final = {
    "r/v": "review",
    "c/s": "consult",
    "d/w": "discuss with",
    "d/c": "discharge",
    "a&e": "casualty",
    "mc&s": "cultures",
}
_ABBREVIATED: Final = re.compile(rf"(?<!\w)(?:{'|'.join(_LONG)})(?!\w)")
_ITEM: Final = re.compile(r"^[\W_]*(?:\(?(?:\d{1,2}|[a-z]|[ivx]{1,4})[.)][\s]+)?[\W_]*")
_STOPS: Final = frozenset(".?!")
_MARKS: Final = frozenset(".,;:?!()")


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The classes of words, phrases and endings."""

    words: Mapping[str, tuple[str, ...]]
    phrases: Mapping[str, tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]]  # by first word
    endings: tuple[tuple[re.Pattern[str], str], ...]
    not_so_ended: frozenset[str]
    joining: frozenset[str]  # after these an order may begin

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Lexicon":
        """Read the parsed `lexicon.toml`."""
        classes: dict[str, list[str]] = {}
        for name, entries in fields["words"].items():
            for entry in entries:
                classes.setdefault(entry, []).append(name)
        for name, entries in fields["verbs"].items():
            for entry in entries:
                for form, suffix in _forms(entry):
                    tag = name.removesuffix("-noun") + suffix if suffix else name
                    tags = classes.setdefault(form, [])
                    tags += [tag] if tag not in tags else []
        phrases: dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]] = {}
        for entry, tags in classes.items():
            parts = tuple(entry.split())
            if len(parts) > 1:
                phrases.setdefault(parts[0], []).append((parts, tuple(tags)))
        return cls(
            words={entry: tuple(tags) for entry, tags in classes.items() if " " not in entry},
            phrases={
                first: tuple(sorted(found, key=lambda phrase: -len(phrase[0])))
                for first, found in phrases.items()
            },
            endings=tuple(
                (re.compile(rf"\w{{2,}}(?:{'|'.join(endings)})"), name)
                for name, endings in fields["endings"].items()
            ),
            not_so_ended=frozenset(fields["not_so_ended"]),
            joining=frozenset(fields["joining"]),
        )

    def statements(self, sentence: str) -> list[str]:
        """Return the tagged statements of a sentence, given in plain lower-case letters."""
        words = _words(sentence)
        statements: list[str] = []
        tagged: list[str] = []
        begins = True
        at = 0
        while at < len(words):
            word, tags, length = self._entry(words, at)
            at += length
            if word in _MARKS:
                tagged.append(word + " ")
                begins = True
                if word in _STOPS:
                    statements.append("".join(tagged))
                    tagged = []
                continue
            marks = (START, *tags) if begins else tags
            tagged.append(word + "".join(f"<{mark}>" for mark in marks) + " ")
            begins = word in self.joining
        return [*statements, "".join(tagged)] if tagged else statements

    def _entry(self, words: Sequence[str], at: int) -> tuple[str, tuple[str, ...], int]:
        word = words[at]
        for parts, tags in self.phrases.get(word, ()):
            if tuple(words[at : at + len(parts)]) == parts:
                return "_".join(parts), tags, len(parts)
        if word[0].isdigit():
            return word, ("num",), 1
        tags = self.words.get(word, ())
        if not tags and word not in self.not_so_ended:
            tags = tuple(name for ending, name in self.endings if ending.fullmatch(word))
        return word, tags, 1


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern over tagged words."""

    written: str
    regex: re.Pattern[str]
    needed: tuple[tuple[str, ...], ...] = field(repr=False)  # one tag of each must be there
    unsaid: bool = False

    @classmethod
    def of(cls, written: str) -> "Pattern":
        """Compile a pattern as the module describes it."""
        expression, needed = ["(?:^|(?<= ))"], []
        unsaid = written.startswith("# ")
        for element in written.removeprefix("# ").split():
            regex, tags = _element(element)
            expression.append(regex)
            needed += [tags] if tags else []
        return cls(written, re.compile("".join(expression)), tuple(needed), unsaid)

    def search(self, statement: str) -> re.Match[str] | None:
        """Return where the pattern is met first."""
        if all(any(tag in statement for tag in tags) for tags in self.needed):
            return self.regex.search(statement)
        return None

    def untag(self, statement: str) -> str:
        """Return the statement without the classes of care in what meets the pattern."""
        if self.search(statement) is None:
            return statement
        if self.unsaid:
            return self.regex.sub("unsaid ", statement)
        return self.regex.sub(lambda match: _CLASS.sub("", match[0]), statement)


_GAPS: Final = {
    "~": r"[^ ]+",
    "-": r"[^ .,;:?!()]+",
    "=": r"[^ <.,;:?!()]+(?:<(?!(?:must|ought|may|advise|act|care)>)[\w-]+>)*",
}
_REST: Final = (
    r"(?:(?!(?:but|however|though|although|yet|instead|nevertheless|except)[< ])"
    r"(?:[^ .,;:?!()]+ "
    r"|, (?![^ ]*<(?:act|care|advise|must|drug|proc)>[^ ]* (?!(?:, )?(?:or|nor|and)[< ]))))*"
)
_PLAIN: Final = re.compile(r"[a-z_'|]+")
_CLASS: Final = re.compile(rf"<(?!(?:{START}|look|mind|contrast|opens)>)[\w-]+>")


def _words(sentence: str) -> list[str]:
    text = _DOTTED.sub(lambda match: match[0].replace(".", ""), sentence.replace(" = ", " means "))
    text = _ABBREVIATED.sub(lambda match: _LONG[match[0]], text)
    text = _SHORT.sub(lambda match: match[0].replace("/", ""), _ITEM.sub("", text))
    return [_MARK.get(word, word) for word in _WORD.findall(text)]


_MARK: Final = {
    **dict.fromkeys(["–", "—", "-", "•", "·", "|", "→", "\n"], ";"),
    **{"+": "and", "&": "and"},
}


def _element(element: str) -> tuple[str, tuple[str, ...]]:
    optional = element.endswith("?")
    body = element[:-1] if optional else element
    needed: tuple[str, ...] = ()
    if body[0] == "$":
        words = f"|(?:{body[2:]}){_TAGS} " if body[1:] else ""
        return rf"(?:(?:[.?!] )?${words})", ()
    if body == "*":
        return "(?:[^ ]+ )*", ()
    if body == ">":
        return _REST, ()
    if body[0] == "!":
        return f"(?!(?:[^ ]+ )*{_element(body[1:])[0]})", ()
    if body[0] in _GAPS and body[1:].isdigit():
        return rf"(?:{_GAPS[body[0]]} ){{0,{body[1:]}}}?", ()
    if body in _MARKS:
        return f"(?:{re.escape(body)} ){'?' if optional else ''}", ()
    start = body.startswith("^")
    body = body.removeprefix("^")
    lead = f"<{START}>" if start else ""
    if body.startswith("<"):
        listed, _, words = body[1:].partition(">")
        regex = rf"[^ <]+{lead}[^ ]*<(?:{listed})>[^ ]* "
        needed = tuple(f"<{name}>" for name in listed.split("|"))
        if words:
            regex, needed = rf"(?:{regex}|(?:{words[1:]}){lead}{_TAGS} )", ()
    else:
        regex = rf"(?:{body}){lead}{_TAGS} "
        needed = tuple(body.split("|")) if _PLAIN.fullmatch(body) else ()
    return (f"(?:{regex})?", ()) if optional else (regex, needed)


def _forms(entry: str) -> Iterator[tuple[str, str]]:
    """Return a verb's forms: itself, `-s` (he does), `-ed` (participle) and `-ing`.

    `stop+` doubles its last letter; `give given giving` lists them.
    """
    base, *listed = entry.split()
    if listed:
        participle, gerund = listed
    elif base.endswith("+"):
        base = base[:-1]
        participle, gerund = base + base[-1] + "ed", base + base[-1] + "ing"
    elif base.endswith("e"):
        participle, gerund = base + "d", base[:-1] + "ing"
    elif base.endswith("y") and base[-2] not in "aeou":
        participle, gerund = base[:-1] + "ied", base + "ing"
    else:
        participle, gerund = base + "ed", base + "ing"
    if base.endswith(("s", "x", "z", "ch", "sh", "o")):
        third = base + "es"
    elif base.endswith("y") and base[-2] not in "aeou":
        third = base[:-1] + "ies"
    else:
        third = base + "s"
    yield from ((base, ""), (third, "-s"), (participle, "-ed"), (gerund, "-ing"))
