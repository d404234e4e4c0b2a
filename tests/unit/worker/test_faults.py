"""What goes wrong with one request ends that request alone."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

from inference.errors import AnswerFailedError, RequestRefusedError, WorkerUnavailableError
from inference.protocol import Ask, Decoding, Turn
from inference.worker.engine.engine import Engine
from tests.unit.worker.conftest import StartEngine
from tests.unit.worker.fake import FakeModel
from tests.unit.worker.plain import plain_answer
from tests.unit.worker.receiving import Receiver
from tests.unit.worker.samples import plain_png, png, question

BLACK, WHITE = plain_png(0), plain_png(255)


class FaultyModel(FakeModel):
    """Gives NaN for a black picture, raises for a white one, and cannot decode some ids."""

    def __init__(self) -> None:
        super().__init__(eos=False)
        self.undecodable: set[int] = set()

    def image_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        if pixel_values.min() == 1.0:
            raise RuntimeError("a text that must not be shown")
        features = super().image_features(pixel_values)
        return features * float("nan") if pixel_values.max() == 0.0 else features

    def pixel_values(self, image: Image.Image) -> torch.Tensor:
        if image.size == (13, 13):
            raise ZeroDivisionError("a text that must not be shown")
        return super().pixel_values(image)

    def decode(self, token_ids: Sequence[int]) -> str:
        if self.undecodable.intersection(token_ids):
            raise ValueError("a text that must not be shown")
        return super().decode(token_ids)

    def fail_when(self, test: Callable[[int, int], bool], error: Exception, times: int) -> None:
        """Make the decoder raise in its next `times` passes of which `test(rows, width)` holds."""
        left = [times]

        def hook(_module: nn.Module, _args: Any, kwargs: dict[str, Any]) -> None:  # noqa: ANN401
            rows, width, _ = kwargs["inputs_embeds"].shape
            if left[0] and test(rows, width):
                left[0] -= 1
                raise error

        self.decoder.register_forward_pre_hook(hook, with_kwargs=True)


@pytest.fixture
def model() -> FaultyModel:
    return FaultyModel()


def _about(image: bytes) -> Ask:
    return Ask((Turn("user", "poison " * 8, (image,)),), decoding=Decoding(max_tokens=30))


@pytest.mark.parametrize(
    "image", [pytest.param(BLACK, id="no finite numbers"), pytest.param(WHITE, id="raises")]
)
def test_a_poisoned_picture_fails_its_own_request(
    model: FaultyModel, engine: Engine, image: bytes
) -> None:
    good = question("fine", 1, max_tokens=60)
    beside = Receiver(engine, good)
    beside.until_piece()
    with pytest.raises(AnswerFailedError) as caught:
        engine.answer(_about(image))
    assert "must not be shown" not in str(caught.value)
    assert beside.ended().token_ids == plain_answer(model, good, 60)


def test_a_picture_that_the_familys_code_cannot_prepare_fails_alone(
    model: FaultyModel, engine: Engine
) -> None:
    with pytest.raises(AnswerFailedError):
        engine.answer(_about(png(1, side=13)))
    good = question("fine", 1)
    assert Receiver(engine, good).ended().token_ids == plain_answer(model, good, 16)


def test_numbers_that_are_not_finite_do_not_stay_in_a_slot(
    model: FaultyModel, engine: Engine
) -> None:
    first = Receiver(engine, question("first", max_tokens=60))
    first.until_piece()
    with pytest.raises(AnswerFailedError):
        engine.answer(_about(BLACK))
    short = question("s", max_tokens=30)  # takes the slot that held them, masked beyond its end
    assert Receiver(engine, short).ended().token_ids == plain_answer(model, short, 30)
    assert first.ended().finish_reason == "length"


def test_an_answer_that_cannot_be_decoded_ends_with_an_error(
    model: FaultyModel, engine: Engine
) -> None:
    bad, good = question("bad", max_tokens=10), question("a good one", max_tokens=10)
    model.undecodable = {plain_answer(model, bad, 4)[3]} - set(plain_answer(model, good, 10))
    assert model.undecodable
    beside = Receiver(engine, good)
    ended = Receiver(engine, bad).ended()
    assert isinstance(ended.error, AnswerFailedError)
    assert beside.ended().token_ids == plain_answer(model, good, 10)


def test_running_out_of_memory_once_frees_some_and_tries_again(
    model: FaultyModel, engine: Engine
) -> None:
    Receiver(engine, question("fills what is kept", 1)).ended()
    model.fail_when(lambda _, width: width > 1, torch.OutOfMemoryError("full"), times=1)
    ask = question("another", 1)
    assert Receiver(engine, ask).ended().token_ids == plain_answer(model, ask, 16)


def test_a_prompt_that_never_fits_fails_alone(model: FaultyModel, engine: Engine) -> None:
    good = question("fine", max_tokens=60)
    beside = Receiver(engine, good)
    beside.until_piece()
    model.fail_when(lambda _, width: width > 1, torch.OutOfMemoryError("full"), times=2)
    with pytest.raises(AnswerFailedError):
        engine.answer(question("too much"))
    assert beside.ended().token_ids == plain_answer(model, good, 60)


def test_a_batch_that_does_not_fit_is_answered_one_by_one(
    model: FaultyModel, engine: Engine
) -> None:
    model.fail_when(lambda rows, _: rows > 1, torch.OutOfMemoryError("full"), times=1000)
    asks = [question(f"request {n}", n, max_tokens=12) for n in range(4)]
    for receiver, ask in zip([Receiver(engine, a) for a in asks], asks, strict=True):
        assert receiver.ended().token_ids == plain_answer(model, ask, 12)


def test_a_lost_accelerator_ends_everything_and_says_so(
    model: FaultyModel, start_engine: StartEngine
) -> None:
    lost: list[bool] = []
    engine = start_engine(model, on_lost=lambda: lost.append(True))
    receivers = [Receiver(engine, question(f"request {n}", max_tokens=400)) for n in range(3)]
    receivers[0].until_piece()
    error = torch.AcceleratorError("device-side assert")
    model.fail_when(lambda *_: True, error, times=1)
    for receiver in receivers:
        assert isinstance(receiver.ended().error, WorkerUnavailableError)
    assert engine.stop(drain_seconds=10)
    assert lost == [True]


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"GIF89a" + bytes(20), id="a GIF"),
        pytest.param(plain_png(9)[:45], id="cut short"),
    ],
)
def test_a_picture_that_cannot_be_read_is_refused(engine: Engine, image: bytes) -> None:
    with pytest.raises(RequestRefusedError, match="cannot be read"):
        engine.answer(_about(image))
