"""How the viewer's tests sit in front of the page: mouse, keys, and what they can see."""

import json
from typing import Any, Literal

from playwright.sync_api import ConsoleMessage, Error, Page, Request, expect

from tests.browser.viewer.page import Ward

Box = tuple[float, float, float, float]
Button = Literal["left", "middle", "right"]


class Desk:
    """One page with the viewer, and everything the browser complained about."""

    def __init__(self, page: Page, images: Ward, address: str) -> None:
        self.page = page
        self.images = images
        self.address = address
        self.complaints: list[str] = []
        self.expected_failures = False
        self.stage = page.locator(".ovr-stage")
        self.slice = page.locator(".ovr-br")
        self.reading = page.locator(".ovr-bl")
        self.cover = page.locator(".ovr-cover")
        page.on("pageerror", self._on_error)
        page.on("console", self._on_console)
        page.on("request", self._on_request)

    def _on_error(self, error: Error) -> None:
        self.complaints.append(f"page error: {error}")

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type != "error":
            return
        if not (self.expected_failures and "the server responded with" in message.text):
            self.complaints.append(f"console: {message.text}")

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.address}/", "blob:", "data:")):
            self.complaints.append(f"request: {request.url}")

    def assert_quiet(self) -> None:
        """Fail if there was an error, a policy violation or a request to another place."""
        assert not self.complaints, "\n".join(self.complaints)

    def tell(self, *images: str, case: str = "case-1", **more: object) -> None:
        """Write the page's state as the app would."""
        state = {
            "case_id": case,
            "images": [{"id": name, "label": f"Image {name}"} for name in images],
            "selected_sentence": None,
            "regions": [],
            "readonly": False,
        } | more
        script = "text => { document.getElementById('overread-viewer-state').textContent = text }"
        self.page.evaluate(script, json.dumps(state))

    def open(self, *images: str, case: str = "case-1", **more: object) -> None:
        """Write the state and wait until the first image is on screen."""
        self.tell(*images, case=case, **more)
        expect(self.page.locator(".ovr-tl")).to_contain_text(f"Image {images[0]}")
        expect(self.cover).to_be_hidden()
        self.settle()

    def settle(self) -> None:
        """Wait until what was asked for is drawn."""
        self.page.evaluate(
            "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def resize(self, width: int, height: int) -> None:
        """Give the page another size and wait until the pane has followed."""
        self.page.set_viewport_size({"width": width, "height": height})
        followed = """() => {
            const host = document.querySelector('.ovr-host');
            const canvas = host?.querySelector('canvas');
            const whole = length => Math.round(length * window.devicePixelRatio);
            return innerWidth === %d && innerHeight === %d && canvas
                && canvas.width === whole(host.clientWidth)
                && canvas.height === whole(host.clientHeight);
        }"""
        self.page.wait_for_function(followed % (width, height))
        self.settle()

    def heard(self) -> dict[str, Any]:
        """Return what the viewer wrote for the page."""
        self.settle()
        self.page.wait_for_timeout(200)  # the viewer writes 150 ms after the last change
        text = self.page.evaluate("document.querySelector('#overread-viewer-out textarea').value")
        written: dict[str, Any] = json.loads(text)
        return written

    def boxes(self) -> list[dict[str, Any]]:
        """Return the regions the viewer wrote for the page."""
        regions: list[dict[str, Any]] = self.heard()["regions"]
        return regions

    def pane(self) -> Box:
        """Return x, y, width and height of the pane in CSS pixels of the page."""
        box = self.stage.bounding_box()
        assert box is not None
        return box["x"], box["y"], box["width"], box["height"]

    def drag(
        self, start: tuple[float, float], end: tuple[float, float], button: Button = "left"
    ) -> None:
        """Drag between two points given from the pane's upper left corner."""
        x, y, _, _ = self.pane()
        mouse = self.page.mouse
        mouse.move(x + start[0], y + start[1])
        mouse.down(button=button)
        mouse.move(x + end[0], y + end[1], steps=4)
        mouse.up(button=button)
        self.settle()

    def click(self, at: tuple[float, float]) -> None:
        """Click a point of the pane and wait out the library's double-click time."""
        x, y, _, _ = self.pane()
        self.page.mouse.click(x + at[0], y + at[1])
        self.page.wait_for_timeout(500)
        self.settle()

    def press(self, *keys: str) -> None:
        """Press keys with the focus on the pane."""
        self.stage.focus()
        for key in keys:
            self.page.keyboard.press(key)
        self.settle()

    def tool(self, command: str) -> None:
        """Click a toolbar button."""
        self.page.locator(f'[data-command="{command}"]').click()
        self.settle()

    def pixels(self, points: list[tuple[float, float]]) -> list[tuple[int, int, int]]:
        """Return red, green and blue of the canvas at points of the pane, in CSS pixels."""
        script = """points => {
            const canvas = document.querySelector('.ovr-host canvas');
            const {width, height, data} = canvas.getContext('2d')
                .getImageData(0, 0, canvas.width, canvas.height);
            const ratio = window.devicePixelRatio;
            return points.map(([x, y]) => {
                const at = 4 * (Math.floor(y * ratio) * width + Math.floor(x * ratio));
                return [data[at], data[at + 1], data[at + 2]];
            });
        }"""
        return [tuple(rgb) for rgb in self.page.evaluate(script, points)]

    def count(self, colour: tuple[int, int, int]) -> int:
        """Return how many canvas pixels of the lowest 30 CSS pixels have exactly this colour."""
        script = """([red, green, blue]) => {
            const canvas = document.querySelector('.ovr-host canvas');
            const rows = 30 * window.devicePixelRatio;
            const {data} = canvas.getContext('2d')
                .getImageData(0, canvas.height - rows, canvas.width, rows);
            let found = 0;
            for (let at = 0; at < data.length; at += 4)
                found += data[at] === red && data[at + 1] === green && data[at + 2] === blue;
            return found;
        }"""
        return int(self.page.evaluate(script, colour))

    def bright_box(self) -> Box:
        """Return left, top, right and bottom, in CSS pixels, of all white canvas pixels."""
        script = """() => {
            const canvas = document.querySelector('.ovr-host canvas');
            const {width, height, data} = canvas.getContext('2d')
                .getImageData(0, 0, canvas.width, canvas.height);
            let [left, top, right, bottom] = [width, height, 0, 0];
            for (let y = 0; y < height; y += 1) for (let x = 0; x < width; x += 1) {
                const at = 4 * (y * width + x);
                if (Math.min(data[at], data[at + 1], data[at + 2]) < 128) continue;
                left = Math.min(left, x); right = Math.max(right, x + 1);
                top = Math.min(top, y); bottom = Math.max(bottom, y + 1);
            }
            return [left, top, right, bottom].map(v => v / window.devicePixelRatio);
        }"""
        left, top, right, bottom = self.page.evaluate(script)
        return left, top, right, bottom

    def place(self, image: str, pixel: tuple[float, float]) -> tuple[float, float]:
        """Return where an image pixel [column, row] lies in a pane that it fits, by hand.

        0 is the centre of the first pixel; the image is centred and as large as fits.
        """
        return self.places(image, [pixel])[0]

    def places(self, image: str, pixels: list[tuple[float, float]]) -> list[tuple[float, float]]:
        """Return where several image pixels lie, as `place` does."""
        x, y, across, down = self._fit(image)
        return [(x + (column + 0.5) * across, y + (row + 0.5) * down) for column, row in pixels]

    def pixel_at(self, image: str, point: tuple[float, float]) -> tuple[float, float]:
        """Return the image pixel [column, row] at a point of the pane: the reverse of `place`."""
        x, y, across, down = self._fit(image)
        return (point[0] - x) / across - 0.5, (point[1] - y) / down - 0.5

    def _fit(self, image: str) -> Box:
        """Return where the image's corner lies, and how wide and high one pixel is shown."""
        geometry = self.images.stacks[image].geometry
        across = geometry["column_spacing_mm"] or 1
        down = geometry["row_spacing_mm"] or 1
        _, _, width, height = self.pane()
        scale = min(width / (geometry["columns"] * across), height / (geometry["rows"] * down))
        left = (width - geometry["columns"] * across * scale) / 2
        top = (height - geometry["rows"] * down * scale) / 2
        return left, top, across * scale, down * scale
