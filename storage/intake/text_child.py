"""The child that looks for text in pixels: gets a piece of an image, answers with boxes.

It is limited like the decoding child (`storage.intake.child`) and runs behind everything else
(nice 15). What a line says never leaves it: names are the very thing that may stand there. Only
words of the list of markers are told.

The detector and the recogniser are PP-OCR models inside the wheel of rapidocr; its parts are put
together here because its own front door takes a failed run for an image without text, and would
fetch a model that it misses.
"""

import logging
import os
import socket
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import rapidocr
from numpy.typing import NDArray
from omegaconf import OmegaConf
from rapidocr.ch_ppocr_det import TextDetector
from rapidocr.ch_ppocr_rec import TextRecInput, TextRecognizer
from rapidocr.utils.typings import EngineType

from storage.intake.child import keep_nursery
from storage.intake.limits import Limits
from storage.intake.markers import marker
from storage.intake.renderings import rendered
from storage.intake.wire import send

_MOST_READ: Final = 24  # lines of a piece; one with more is text, whatever they say
_LONGEST_MARKER: Final = 16  # width of a line of markers in its heights
_SURE_SEEN: Final = 0.6  # of the detector's score; below it, only what can be read is text
_SURE_READ: Final = 0.65  # of the recogniser's
_SMALL: Final = 0.1  # of the piece: hardly an organ
_MODELS: Final = Path(rapidocr.__file__).parent / "models"
_ENGINE: Final = {
    "engine_type": EngineType.ONNXRUNTIME,
    "engine_cfg": {
        "intra_op_num_threads": 1,  # no threads: the process that loads the models is forked
        "inter_op_num_threads": 1,
        "enable_cpu_mem_arena": False,
        "cpu_ep_cfg": {"arena_extend_strategy": "kSameAsRequested"},
        "use_cuda": False,
        "use_dml": False,
        "use_cann": False,
        "use_coreml": False,
    },
}
_DETECTING: Final = {
    "model_path": str(_MODELS / "PP-OCRv6_det_small.onnx"),
    "limit_side_len": 32,  # pieces are enlarged here, not there
    "limit_type": "min",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "thresh": 0.3,
    "box_thresh": 0.5,
    "max_candidates": 1000,
    "unclip_ratio": 1.6,
    "use_dilation": True,
    "score_mode": "fast",
}
_RECOGNISING: Final = {
    "model_path": str(_MODELS / "PP-OCRv6_rec_small.onnx"),
    "lang_type": "ch",  # the one model that reads Latin and Chinese letters
    "rec_batch_num": 6,
    "rec_img_shape": [3, 48, 320],
    "font_path": None,
}

Found = tuple[int, int, int, int, str]  # column0, row0, column1, row1, and the marker it says


class Finder:
    """A loaded detector and recogniser."""

    def __init__(self) -> None:
        logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)
        self._detect = TextDetector(OmegaConf.create(_ENGINE | _DETECTING))
        self._recognise = TextRecognizer(OmegaConf.create(_ENGINE | _RECOGNISING))

    def find(self, picture: NDArray[Any], scale: int) -> list[Found]:
        """Return the lines of text in one rendering.

        Args:
            picture: (rows, columns, 3).
            scale: Enlarge it this much; boxes are still in its own pixels.
        """
        size = picture.shape[1] * scale, picture.shape[0] * scale
        enlarged = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
        seen = self._detect(enlarged)
        if seen.boxes is None:
            return []
        boxes = [_around(quad, enlarged) for quad in seen.boxes]
        said = self._said(enlarged, boxes, seen.scores)
        return [
            (c0 // scale, r0 // scale, c1 // scale, r1 // scale, words)
            for (c0, r0, c1, r1), words in zip(boxes, said, strict=True)
            if words is not None
        ]

    def _said(
        self,
        picture: NDArray[Any],
        boxes: Sequence[tuple[int, int, int, int]],
        scores: Sequence[float],
    ) -> list[str | None]:
        """Return for each box the markers it says, an empty string for any other text.

        None where neither the detector nor the recogniser is sure that it is text, and it is as
        large as an organ's outline or no letter is read in it, as in a vessel end-on.
        """
        said: list[str | None] = [""] * len(boxes)
        to_read = [
            number
            for number, (c0, r0, c1, r1) in enumerate(boxes)
            if c1 - c0 <= _LONGEST_MARKER * (r1 - r0) or scores[number] < _SURE_SEEN
        ]
        if not to_read or len(boxes) > _MOST_READ:
            return said
        cut = [_cut(picture, boxes[number]) for number in to_read]
        read = self._recognise(TextRecInput(img=cut))
        for number, text, score in zip(to_read, read.txts, read.scores, strict=True):
            sure = scores[number] >= _SURE_SEEN or score >= _SURE_READ
            column0, row0, column1, row1 = boxes[number]
            small = min(column1 - column0, row1 - row0) <= _SMALL * min(picture.shape[:2])
            is_text = sure or (small and any(letter.isalnum() for letter in text))
            said[number] = marker(text, score) if is_text else None
        return said


def _cut(picture: NDArray[Any], box: tuple[int, int, int, int]) -> NDArray[Any]:
    """Return the part of a picture within a box."""
    return picture[box[1] : box[3] + 1, box[0] : box[2] + 1]


def _around(quad: NDArray[np.int32], picture: NDArray[Any]) -> tuple[int, int, int, int]:
    """Return the upright rectangle around a quadrilateral, within the picture."""
    (c0, r0), (c1, r1) = quad.min(axis=0), quad.max(axis=0)
    rows, columns = picture.shape[:2]
    return max(0, int(c0)), max(0, int(r0)), min(columns - 1, int(c1)), min(rows - 1, int(r1))


def main() -> None:
    """Be the nursery of children that look for text."""
    warnings.simplefilter("ignore")
    os.nice(15)
    cv2.setNumThreads(0)
    finder = Finder()

    def serve(
        channel: socket.socket, message: dict[str, Any], data: bytes, _limits: Limits
    ) -> None:
        try:
            shown = rendered(message, data)
            found = [each for picture, scale in shown for each in finder.find(picture, scale)]
            answer: dict[str, Any] = {"found": found}
        except Exception:  # noqa: BLE001 - whatever goes wrong, this piece was not looked at
            answer = {"failed": True}
        send(channel, answer)

    keep_nursery(serve)
