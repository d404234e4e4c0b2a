"""A page with the viewer and made-up images, served on its own for the viewer's tests.

It speaks the two image routes of the app and nothing else, under the strictest content security
policy the viewer must live with. What it serves is worked out here, so that tests know every
grey value and every position.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from numpy.typing import NDArray
from starlette.middleware.base import RequestResponseEndpoint

STATIC = Path(__file__).parents[3] / "webapp" / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'"
)
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>viewer</title>
<link rel="icon" href="/page.css">
<link rel="stylesheet" href="/page.css">
<script type="module" src="/overread/viewer/viewer.js"></script></head>
<body><label>Report <textarea id="report"></textarea></label>
<div id="place"><div id="overread-viewer"></div></div>
<div id="overread-viewer-state" hidden></div>
<div id="overread-viewer-out" hidden><textarea></textarea></div></body></html>"""
STYLE = "body{margin:12px;font-family:sans-serif} #report{height:2em} .dark{background:#0b0d0f}"


@dataclass(frozen=True)
class Stack:
    """One image: its geometry as the API states it, and its frames, (n, rows, columns[, 3])."""

    frames: NDArray[Any]
    geometry: dict[str, Any]


@dataclass
class Ward:
    """The images of the page, which frames are broken right now, and what was asked for."""

    stacks: dict[str, Stack]
    broken: set[tuple[str, int]] = field(default_factory=set)
    signed_in: bool = True
    asked: list[str] = field(default_factory=list)


def _stack(name: str, frames: NDArray[Any], **geometry: object) -> Stack:
    known = {
        "id": name,
        "modality": "OT",
        "rows": frames.shape[1],
        "columns": frames.shape[2],
        "frames": frames.shape[0],
        "dtype": str(frames.dtype),
        "samples": 3 if frames.ndim == 4 else 1,
        "slope": 1.0,
        "intercept": 0.0,
        "units": "US",
        "inverted": False,
        "row_spacing_mm": None,
        "column_spacing_mm": None,
        "orientation": None,
        "positions": [None] * frames.shape[0],
        "windows": [],
        "view_position": "",
        "lossy": False,
    }
    return Stack(frames, known | geometry)


def film(size: int = 1024) -> Stack:
    """A frontal chest film: two lungs, ribs, heart and diaphragm, 12 bits."""
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    grey = 2900 - 900 * (x**2 + y**2)
    for side in (-1, 1):
        lung = ((x - side * 0.19) / 0.15) ** 2 + ((y + 0.04) / 0.32) ** 2
        grey = grey - 1500 * np.clip(1.15 - lung, 0, 0.85)
    ribs = 0.5 + 0.5 * np.cos(60 * (y + 0.35 * np.abs(x) ** 1.4))
    grey = grey + 260 * ribs * (np.abs(x) > 0.06)
    heart = ((x - 0.05) / 0.13) ** 2 + ((y - 0.14) / 0.15) ** 2
    grey = grey + 1100 * np.clip(1 - heart, 0, 1)
    grey = grey + 1100 * (np.abs(x) < 0.035) + 900 * (y > 0.27 + 0.35 * x**2)
    noise = np.random.default_rng(7).normal(0, 25, grey.shape)
    return _stack(
        "film",
        np.clip(grey + noise, 0, 4095).astype("<u2")[None],
        modality="DX",
        view_position="PA",
        row_spacing_mm=0.4,
        column_spacing_mm=0.4,
        windows=[
            {"name": "Standard", "center": 2048, "width": 4096},
            {"name": "Contrast", "center": 1800, "width": 2000},
        ],
    )


def chest_ct(frames: int = 30, size: int = 256) -> Stack:
    """An axial chest CT in HU: body, lungs, spine, and a nodule in the middle slices."""
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    volume = np.empty((frames, size, size), "<i2")
    noise = np.random.default_rng(8)
    for index in range(frames):
        share = 0.75 + 0.25 * np.sin(np.pi * (index + 1) / (frames + 1))
        body = (x / 0.42) ** 2 + (y / 0.31) ** 2 < 1
        hu = np.where(body, 40.0, -1000.0)
        for side in (-1, 1):
            lung = ((x - side * 0.19) / (0.14 * share)) ** 2 + ((y + 0.02) / (0.22 * share)) ** 2
            hu = np.where(lung < 1, -820.0, hu)
        hu = np.where((x / 0.045) ** 2 + ((y - 0.2) / 0.05) ** 2 < 1, 620.0, hu)
        if abs(index - frames // 2) < 4:
            hu = np.where((x - 0.2) ** 2 + (y + 0.02) ** 2 < 0.025**2, 60.0, hu)
        volume[index] = hu + noise.normal(0, 12, hu.shape)
    return _stack(
        "ct",
        volume,
        modality="CT",
        units="HU",
        row_spacing_mm=1.5,
        column_spacing_mm=1.5,
        orientation=[1, 0, 0, 0, 1, 0],
        positions=[[-192.0, -192.0, 3.0 * index] for index in range(frames)],
        windows=[{"name": "Mediastinum", "center": 40, "width": 350}],
    )


def ramp() -> Stack:
    """Stored values 0 to 1023 in 64 by 16 flat blocks of 8 pixels, value = 16 * row + column."""
    blocks = np.arange(1024, dtype="<i2").reshape(64, 16)
    frame = blocks.repeat(8, axis=0).repeat(8, axis=1)
    window = {"name": "Test", "center": 500, "width": 600}
    return _stack("ramp", frame[None], modality="MR", windows=[window])


def scaled() -> Stack:
    """The ramp again, stored with a slope of 2, an intercept of -1000, and MONOCHROME1."""
    window = {"name": "Test", "center": 0, "width": 1200}
    return _stack(
        "scaled", ramp().frames, modality="CR", slope=2.0, intercept=-1000.0, inverted=True,
        windows=[window],
    )  # fmt: skip


def oblong() -> Stack:
    """Wide pixels in an oblique plane: nothing about it is square, so a mix-up shows."""
    frame = np.zeros((1, 300, 160), "<i2")
    frame[:, 100:140, 50:90] = 1000
    return _stack(
        "oblong", frame, modality="MR", row_spacing_mm=0.6, column_spacing_mm=0.9,
        orientation=[0.8, 0.6, 0.0, 0.0, 0.0, -1.0], positions=[[-30.0, 12.0, 80.0]],
        windows=[{"name": "Test", "center": 500, "width": 1000}],
    )  # fmt: skip


def colour() -> Stack:
    """A still of colour: left half (200, 40, 10), right half (10, 60, 220)."""
    frame = np.empty((1, 200, 300, 3), "u1")
    frame[:, :, :150] = (200, 40, 10)
    frame[:, :, 150:] = (10, 60, 220)
    return _stack("colour", frame, modality="US")


def ward() -> Ward:
    """Every made-up image under its id."""
    stacks = [film(), chest_ct(), ramp(), scaled(), oblong(), colour()]
    return Ward({stack.geometry["id"]: stack for stack in stacks})


def application(images: Ward, *, page: bool = True) -> FastAPI:
    """Build the app: the module and the two image routes, and the page at `/` unless not wanted.

    Answers are not to be stored, as the app says too: Chromium locks what it stores, and a
    request that a closed page left behind would hold up the next page's.
    """
    app = FastAPI()
    if page:
        _add_page(app, images)

    @app.get("/api/v1/images/{image_id}")
    def geometry(image_id: str) -> dict[str, Any]:
        return _find(images, image_id).geometry

    @app.get("/api/v1/images/{image_id}/frames/{number}")
    def frame(image_id: str, number: int) -> Response:
        stack = _find(images, image_id)
        if (image_id, number) in images.broken:
            raise HTTPException(503)
        return Response(
            stack.frames[number].tobytes(),
            media_type="application/octet-stream",
            headers={"cache-control": "no-store"},
        )

    app.mount("/overread", StaticFiles(directory=STATIC))
    return app


def _add_page(app: FastAPI, images: Ward) -> None:
    @app.middleware("http")
    async def guard(request: Request, call_next: RequestResponseEndpoint) -> Response:
        images.asked.append(request.url.path)
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = POLICY
        if not request.url.path.startswith("/overread"):
            response.headers["Cache-Control"] = "no-store"
        return response

    @app.get("/")
    def index() -> HTMLResponse:
        return HTMLResponse(PAGE)

    @app.get("/page.css")
    def style() -> Response:
        return Response(STYLE, media_type="text/css")


def _find(images: Ward, image_id: str) -> Stack:
    if not images.signed_in:
        raise HTTPException(401)
    if image_id not in images.stacks:
        raise HTTPException(404)
    return images.stacks[image_id]


@contextmanager
def serving(app: Callable[..., Any]) -> Iterator[str]:
    """Run an ASGI app on a free port of the loopback interface and yield its address."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the test server did not start")
            thread.join(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
