"""Pictures of single frames: plain ones for the model, marked ones for people.

The model must see what was on screen and nothing else, so the notice is never drawn for it.
Whatever a person can copy, save or export has the notice in its pixels, because metadata and
CSS do not survive a screenshot. Both carry it in the file's metadata.
"""

from io import BytesIO
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from storage.imaging.window import Window, apply_window
from storage.notice import NOTICE, NOTICE_ON_PIXELS

_SPACE, _DASH = 0.28, 0.5  # in font sizes
LEAST_WIDTH: Final = 320  # pixels below which the notice could not be read


def grey_levels(
    frame: NDArray[Any],
    *,
    window: Window | None,
    slope: float = 1.0,
    intercept: float = 0.0,
    inverted: bool = False,
) -> NDArray[np.uint8]:
    """Return one frame as it is shown, 8 bits a sample.

    Args:
        frame: Served values, (rows, columns) grey or (rows, columns, 3) RGB uint8.
        window: In modality units; None shows colour as it is and grey from its least to its
            greatest value.
        slope: Served value * slope + intercept gives modality units.
        intercept: See `slope`.
        inverted: MONOCHROME1: low values bright.
    """
    if frame.ndim == 3:
        return frame.astype(np.uint8)
    values = frame.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    if window is None:
        low, high = float(values.min()), float(values.max())
        window = Window("whole range", (low + high + 1) / 2, high - low + 1)
    grey = apply_window(values, center=window.center, width=window.width, function=window.function)
    levels = np.rint(grey * 255).astype(np.uint8)
    return 255 - levels if inverted else levels


def png_for_model(levels: NDArray[np.uint8]) -> bytes:
    """Return grey levels as PNG, pixel for pixel."""
    return _png(Image.fromarray(levels))


def png_for_people(levels: NDArray[np.uint8]) -> bytes:
    """Return grey levels as PNG with the notice written into the pixels.

    An image narrower than `LEAST_WIDTH` is enlarged by a whole factor, so that the notice can
    be read and no pixel is blurred.
    """
    factor = -(-LEAST_WIDTH // levels.shape[1])
    enlarged = levels.repeat(factor, axis=0).repeat(factor, axis=1)
    return _png(draw_notice(Image.fromarray(enlarged)))


def draw_notice(image: Image.Image) -> Image.Image:
    """Return a copy with the notice across its bottom, as wide as nine tenths of the image.

    The dash is drawn as a bar: Pillow's own font has no en dash.
    """
    marked = image.copy()
    pen = ImageDraw.Draw(marked)
    before, after = (words.strip() for words in NOTICE_ON_PIXELS.split("–"))
    size = max(8.0, 90 * marked.width / _width(before, after, _font(100), 100))
    font = _font(size)
    edge = max(1, round(size / 14))
    white = 255 if marked.mode == "L" else (255, 255, 255)
    black = 0 if marked.mode == "L" else (0, 0, 0)
    x = (marked.width - _width(before, after, font, size)) / 2
    y = marked.height - max(2, marked.height // 100) - edge

    def write(words: str, left: float) -> None:
        pen.text((left, y), words, white, font, "ls", stroke_width=edge, stroke_fill=black)

    write(before, x)
    dash = x + font.getlength(before) + _SPACE * size
    end = dash + _DASH * size
    top, bottom = y - 0.34 * size, y - 0.26 * size
    pen.rectangle((dash - edge, top - edge, end + edge, bottom + edge), fill=black)
    pen.rectangle((dash, top, end, bottom), fill=white)
    write(after, end + _SPACE * size)
    return marked


def _font(size: float) -> ImageFont.FreeTypeFont:
    """Return the font inside Pillow; asked for a size, it is always a scalable one."""
    return cast("ImageFont.FreeTypeFont", ImageFont.load_default(size))


def _width(before: str, after: str, font: ImageFont.FreeTypeFont, size: float) -> float:
    """Return the width of the whole notice in pixels."""
    return font.getlength(before) + font.getlength(after) + (2 * _SPACE + _DASH) * size


def _png(image: Image.Image) -> bytes:
    """Encode with the notice in an iTXt chunk."""
    notice = PngInfo()
    notice.add_itxt("Comment", NOTICE)
    buffer = BytesIO()
    image.save(buffer, format="PNG", pnginfo=notice, compress_level=1)
    return buffer.getvalue()
