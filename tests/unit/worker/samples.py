"""Small pictures, volumes and questions."""

import gzip
import io
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inference.protocol import Ask, Decoding, Turn


def png(seed: int, side: int = 20) -> bytes:
    """Noise as a PNG, the same for the same seed."""
    levels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "PNG")
    return buffer.getvalue()


def plain_png(level: int) -> bytes:
    """A PNG of one grey."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (level, level, level)).save(buffer, "PNG")
    return buffer.getvalue()


def nifti(
    volume: NDArray[np.int16], *, slope: float = 1.0, intercept: float = 0.0, order: str = "<"
) -> bytes:
    """A gzipped NIfTI-1 file of [D, H, W], written field by field from the standard."""
    depth, height, width = volume.shape
    header = bytearray(352)
    struct.pack_into(f"{order}i", header, 0, 348)
    struct.pack_into(f"{order}8h", header, 40, 3, width, height, depth, 1, 1, 1, 1)
    struct.pack_into(f"{order}2h", header, 70, 4, 16)  # int16, 16 bits
    struct.pack_into(f"{order}3f", header, 108, 352.0, slope, intercept)
    header[344:348] = b"n+1\0"
    return gzip.compress(bytes(header) + volume.astype(f"{order}i2").tobytes())


def question(
    text: str,
    image: int | None = None,
    *,
    max_tokens: int = 16,
    choices: tuple[str, ...] = (),
    temperature: float | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    stop: tuple[str, ...] = (),
    explain_tokens: int = 0,
) -> Ask:
    """One turn, greedy unless a temperature is given, about picture number `image`."""
    images = () if image is None else (png(image),)
    decoding = Decoding(max_tokens=max_tokens, temperature=temperature, top_p=top_p, seed=seed)
    return Ask(
        (Turn("user", text, images),),
        decoding=decoding,
        choices=choices,
        stop=stop,
        explain_tokens=explain_tokens,
    )
