"""What goes to the model and what its rules know of it: explanations, priors, texts alone."""

from typing import Any

import pytest

from inference.protocol import Decoding, ServedModel
from storage.tables import Case, Draft, Image, Instance, Message
from storage.vocabulary import Role
from tests.unit.services.fake_worker import FakeWorker
from tests.unit.services.test_asking import ask, draft_of, text_of
from tests.unit.services.world import World
from webapp.services.actor import Actor
from webapp.services.asking import Asking
from webapp.services.views import DraftView

CLOSED: dict[str, Any] = {"text": "Is there a pleural effusion?", "template": "closed_question"}
COMPARES = "Compared with the previous film the effusion is smaller."


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker(listed=(ServedModel("llava-med", "llava-med-v1.5", "a" * 64),))


@pytest.fixture
def asking(world: World, worker: FakeWorker) -> Asking:
    return Asking(world.store, world.blobs, world.clock, worker, Decoding(max_tokens=64))


@pytest.fixture
def reader(world: World) -> Actor:
    return world.make_actor(Role.READER)


@pytest.fixture
def case(world: World, reader: Actor) -> Case:
    return world.make_case(world.make_collection(reader), reader, frames=(bytes(64), b"\x20" * 64))


def add_image(world: World, case: Case) -> str:
    """Give a case a second image like its first, and return its id."""
    first = world.image_of(case)
    (instance,) = world.rows(Instance)
    second = Image.model_validate(first.model_dump(exclude={"id"}) | {"number": 1})
    world.add(second)
    fields = instance.model_dump(exclude={"id"}) | {"image_id": second.id}
    world.add(Instance.model_validate(fields))
    return str(second.id)


async def test_choice_is_followed_by_its_explanation_and_both_are_reviewed(
    asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.says = ("present\n", "There is fluid at the left base.")
    worker.choices = {"present": 0.9, "absent": 0.1, "indeterminate": 0.0}
    worker.later = [("present",)]
    draft = draft_of(await ask(asking, reader, case, **CLOSED))
    assert [asked.explain_tokens for asked in worker.asked] == [64, 0]
    assert [sentence.text for sentence in draft.sentences] == [
        "present",
        "There is fluid at the left base.",
    ]
    assert draft.choices == {"present": 0.9, "absent": 0.1, "indeterminate": 0.0}
    assert draft.decoding["explain_tokens"] == 64
    assert draft.flags == ()


async def test_model_that_was_never_told_to_explain_answers_with_the_word_alone(
    asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.says, worker.listed = ("present",), (ServedModel("overread-demo", "overread-demo"),)
    draft = draft_of(await ask(asking, reader, case, **CLOSED))
    assert [asked.explain_tokens for asked in worker.asked] == [0, 0]
    assert "explain_tokens" not in draft.decoding


async def test_explanation_is_judged_by_the_rules_like_any_text(
    asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.says = ("present\n", "Give amoxicillin 500 mg three times daily.")
    worker.later = [("present",)]
    events = await ask(asking, reader, case, **CLOSED)
    assert text_of(events) == "present\n[Treatment advice withheld.]"
    assert draft_of(events).raw_text is None


async def test_contradiction_points_at_the_choice_and_not_at_its_explanation(
    asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.says, worker.later = ("present\n", "No fluid elsewhere."), [("absent",)]
    draft = draft_of(await ask(asking, reader, case, **CLOSED))
    (flag,) = draft.flags
    assert draft.shown_text[flag["start"] : flag["end"]] == "present"


async def test_open_question_leaves_no_room_for_an_explanation(
    asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    draft = draft_of(await ask(asking, reader, case))
    assert worker.asked[0].explain_tokens == 0
    assert "explain_tokens" not in draft.decoding


def rules_of(draft: DraftView) -> list[str]:
    return [flag["rule"] for flag in draft.flags]


async def test_comparison_is_no_claim_when_an_earlier_image_was_sent(
    world: World, asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.says = (COMPARES,)
    both = [{"image_id": str(world.image_of(case).id)}, {"image_id": add_image(world, case)}]
    draft = draft_of(await ask(asking, reader, case, template="compare_with_prior", images=both))
    assert len(worker.asked[0].turns[-1].images) == len(draft.images) == 2
    assert rules_of(draft) == []


@pytest.mark.parametrize(
    ("template", "images"),
    [
        pytest.param("compare_with_prior", "one", id="nothing to compare with"),
        pytest.param("compare_with_prior", "frames", id="two frames of one image"),
        pytest.param("free_chat", "two", id="two views, none of them earlier"),
    ],
)
async def test_comparison_without_an_earlier_image_is_flagged(
    world: World, asking: Asking, worker: FakeWorker, reader: Actor, case: Case,
    template: str, images: str,
) -> None:  # fmt: skip
    worker.says = (COMPARES,)
    first = str(world.image_of(case).id)
    shown = {
        "one": [{"image_id": first}],
        "frames": [{"image_id": first, "frame": 0}, {"image_id": first, "frame": 1}],
        "two": [{"image_id": first}, {"image_id": add_image(world, case)}],
    }[images]
    draft = draft_of(await ask(asking, reader, case, template=template, images=shown))
    assert rules_of(draft) == ["comparison.without_prior"]


async def test_template_about_a_text_sends_no_image_and_its_draft_names_none(
    world: World, asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    on_screen = [{"image_id": str(world.image_of(case).id)}]
    for key, images in (("a", None), ("b", on_screen)):
        draft = draft_of(
            await ask(
                asking, reader, case, key, text="No effusion.", template="summarise_report",
                images=images,
            )
        )  # fmt: skip
        assert draft.images == ()
        assert all(turn["images"] == [] for turn in draft.messages)
    assert all(turn.images == () for asked in worker.asked for turn in asked.turns)
    assert [message.images for message in world.rows(Message)] == [[], []]
    assert all(draft.images == [] for draft in world.rows(Draft))
