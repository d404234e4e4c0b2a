"""Prompts, character by character as models.md's sources give them."""

import pytest

from inference.errors import RequestRefusedError
from inference.families.templates import TEMPLATES, VICUNA_SYSTEM
from inference.protocol import Turn

SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the user's questions."
)
Q1 = Turn("user", "Q1", images=(b"",))
A1, Q2 = Turn("assistant", "A1"), Turn("user", "Q2")


@pytest.mark.parametrize(
    ("template", "one", "two"),
    [
        pytest.param(
            "mistral_instruct",
            "[INST] <image>\nQ1 [/INST]",
            "[INST] <image>\nQ1 [/INST] A1 </s>[INST] Q2 [/INST]",
            id="LLaVA-Med",
        ),
        pytest.param(
            "vicuna_v1",
            f"{SYSTEM} USER: <image>\nQ1 ASSISTANT:",
            f"{SYSTEM} USER: <image>\nQ1 ASSISTANT: A1</s>USER: Q2 ASSISTANT:",
            id="LLaVA-1.5 and LLaVA-Rad",
        ),
        pytest.param(
            "llava_hf",
            "USER: <image>\nQ1 ASSISTANT:",
            "USER: <image>\nQ1 ASSISTANT: A1 USER: Q2 ASSISTANT:",
            id="llava-hf",
        ),
        pytest.param(
            "qwen2",
            f"{SYSTEM} USER: <image>\nQ1 ASSISTANT:",
            f"{SYSTEM} USER: <image>\nQ1 ASSISTANT: A1<|im_end|>USER: Q2 ASSISTANT:",
            id="MedM-VL",
        ),
        pytest.param(
            "overread_demo",
            "USER: <image>\nQ1 ASSISTANT:",
            "USER: <image>\nQ1 ASSISTANT: A1</s>USER: Q2 ASSISTANT:",
            id="our own",
        ),
    ],
)
def test_prompt_is_the_published_one(template: str, one: str, two: str) -> None:
    assert TEMPLATES[template]([Q1], "<image>") == one
    assert TEMPLATES[template]([Q1, A1, Q2], "<image>") == two


def test_vicuna_opens_with_the_published_sentence() -> None:
    assert VICUNA_SYSTEM == SYSTEM


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("mistral_instruct", "[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n<image>\nQ1 [/INST]"),
        ("vicuna_v1", "Be brief. USER: <image>\nQ1 ASSISTANT:"),
        ("llava_hf", "Be brief. USER: <image>\nQ1 ASSISTANT:"),
        ("qwen2", "Be brief. USER: <image>\nQ1 ASSISTANT:"),
        ("overread_demo", "Be brief. USER: <image>\nQ1 ASSISTANT:"),
    ],
)
def test_given_system_text_takes_the_place_of_the_default(template: str, expected: str) -> None:
    assert TEMPLATES[template]([Turn("system", "Be brief."), Q1], "<image>") == expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("mistral_instruct", "[INST] <image>\nQ1 [/INST] A1 </s>"),
        ("vicuna_v1", f"{SYSTEM} USER: <image>\nQ1 ASSISTANT: A1</s>"),
        ("llava_hf", "USER: <image>\nQ1 ASSISTANT: A1 "),
        ("qwen2", f"{SYSTEM} USER: <image>\nQ1 ASSISTANT: A1<|im_end|>"),
    ],
)
def test_training_text_ends_with_the_answer_s_separator(template: str, expected: str) -> None:
    assert TEMPLATES[template]([Q1, A1], "<image>") == expected


@pytest.mark.parametrize(
    "turns",
    [
        pytest.param([], id="nothing"),
        pytest.param([Turn("system", "x")], id="no question"),
        pytest.param([A1, Q1], id="answer first"),
        pytest.param([Q1, Q2], id="two questions running"),
        pytest.param([Q1, Turn("system", "x")], id="system text in the middle"),
    ],
)
def test_conversation_that_does_not_take_turns_is_refused(turns: list[Turn]) -> None:
    for render in TEMPLATES.values():
        with pytest.raises(RequestRefusedError):
            render(turns, "<image>")


def test_volume_takes_the_marker_it_is_given() -> None:
    question = Turn("user", "Q1", volumes=(b"",))
    assert TEMPLATES["qwen2"]([question], "<image3d>").endswith("USER: <image3d>\nQ1 ASSISTANT:")
