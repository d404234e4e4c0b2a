"""What must happen to a text before a trainer may read it."""

import re
from typing import Final

# Loaders count these in any text, also in what a person typed, and a tokenizer turns the
# others into control tokens.
_PLACEHOLDER: Final = re.compile(
    r"<(/?(?:(?:image|video|audio|vid|im)[\w-]*|s|unk|pad|bos|eos|mask)|\|[^<>|\s]{1,40}\|)>",
    re.IGNORECASE,
)


def escaped(text: str) -> str:
    """Return the text with placeholders such as `<image>` spelt `‹image›`."""
    return _PLACEHOLDER.sub(r"‹\1›", text)


def folded(text: str) -> str:
    """Return the text with every run of white space as one space, to compare meanings."""
    return " ".join(text.split())
