"""Conversations to literal prompts, character by character as the published code writes them.

BOS is not part of a prompt; the tokenizer adds it. A conversation that ends with a question gets
the cue for an answer; one that ends with an answer (as in training) ends with its separator.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from inference.errors import RequestRefusedError
from inference.protocol import Turn

VICUNA_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)


class Template(Protocol):
    """Turn a conversation into a prompt with `marker` where an image or volume goes."""

    def __call__(self, turns: Sequence[Turn], marker: str) -> str:
        """Render turns that `split_system` accepts."""
        ...


def split_system(turns: Sequence[Turn]) -> tuple[str | None, list[Turn]]:
    """Take the system text off the front and check that the rest alternates from the user.

    Raises:
        RequestRefusedError: there is no question, or two turns of one side follow each other.
    """
    system = turns[0].text if turns and turns[0].role == "system" else None
    rest = list(turns if system is None else turns[1:])
    expected = ("user", "assistant")
    if not rest or any(turn.role != expected[i % 2] for i, turn in enumerate(rest)):
        raise RequestRefusedError(
            "A conversation starts with a question, and questions and answers take turns."
        )
    return system, rest


def with_marker(turn: Turn, marker: str) -> str:
    """Put one marker and a line break before the text for each image or volume of a turn."""
    return f"{marker}\n" * (len(turn.images) + len(turn.volumes)) + turn.text


def mistral_instruct(turns: Sequence[Turn], marker: str) -> str:
    """LLaVA's LLAMA_2 style with an empty separator, as LLaVA-Med v1.5 uses it.

    No system text by default; given one, it goes into the first instruction between `<<SYS>>`.
    """
    system, rest = split_system(turns)
    prompt = ""
    for index, turn in enumerate(rest):
        text = with_marker(turn, marker)
        if index == 0 and system:
            text = f"<<SYS>>\n{system}\n<</SYS>>\n\n{text}"
        prompt += f"[INST] {text} [/INST]" if turn.role == "user" else f" {text} </s>"
    return prompt


def two_separators(default_system: str, end: str) -> Template:
    """LLaVA's TWO style: `SYSTEM USER: q ASSISTANT: a<end>USER: q ASSISTANT:`."""

    def render(turns: Sequence[Turn], marker: str) -> str:
        system, rest = split_system(turns)
        system = default_system if system is None else system
        prompt = f"{system} " if system else ""
        for turn in rest:
            text = with_marker(turn, marker)
            prompt += f"USER: {text} " if turn.role == "user" else f"ASSISTANT: {text}{end}"
        return prompt + "ASSISTANT:" if rest[-1].role == "user" else prompt

    return render


def llava_hf(turns: Sequence[Turn], marker: str) -> str:
    """The chat template of llava-hf: no system text by default, a space behind every turn."""
    system, rest = split_system(turns)
    prompt = f"{system} " if system else ""
    for turn in rest:
        prompt += f"{turn.role.upper()}: {with_marker(turn, marker)} "
    return prompt + "ASSISTANT:" if rest[-1].role == "user" else prompt


TEMPLATES: dict[str, Callable[[Sequence[Turn], str], str]] = {
    "mistral_instruct": mistral_instruct,
    "vicuna_v1": two_separators(VICUNA_SYSTEM, "</s>"),
    "llava_hf": llava_hf,
    "qwen2": two_separators(VICUNA_SYSTEM, "<|im_end|>"),
    "overread_demo": two_separators("", "</s>"),
}
