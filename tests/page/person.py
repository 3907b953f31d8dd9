"""Someone in front of the page: draws, drops and reads, as far as a browser's driver can."""

import base64
import io
import time

import numpy as np
from PIL import Image

from ml_lstm.data.sources import glyphs

PATIENCE = 60_000
"""Milliseconds that a step may take on a machine that has much else to do."""

CROSS = [[(0.2, 0.2), (0.8, 0.8)], [(0.8, 0.2), (0.2, 0.8)]]
BAR = [[(0.5, 0.15), (0.5, 0.85)]]
SQUARE = [[(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75), (0.25, 0.25)]]
ROOF = [[(0.15, 0.8), (0.5, 0.2), (0.85, 0.8)]]
DASHES = [[(0.15, 0.3), (0.85, 0.3)], [(0.15, 0.7), (0.85, 0.7)]]
GLYPHS = {"cross": CROSS, "bar": BAR, "square": SQUARE, "roof": ROOF, "dashes": DASHES}

DROP = """([place, files]) => {
    const transfer = new DataTransfer();
    for (const { name, type, b64 } of files) {
        const bytes = Uint8Array.from(atob(b64), (sign) => sign.charCodeAt(0));
        transfer.items.add(new File([bytes], name, { type }));
    }
    for (const kind of ["dragenter", "dragover", "drop"]) {
        place.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
    }
}"""


def picture_file(color, size=(60, 40), kind="PNG", **options):
    """The bytes of a picture of one color."""
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, kind, **options)
    return file.getvalue()


def invented(rng):
    """A new character as strokes, by two of the hands that the source `glyphs` makes up."""
    drawn = glyphs._redraw(glyphs._invent_character(rng), rng)
    points = np.clip(glyphs._spline_weights(16, glyphs._CONTROLS) @ drawn[:2], 0.02, 0.98)
    return [[[(float(x), float(y)) for x, y in stroke] for stroke in strokes] for strokes in points]


def shifted(strokes, right, down):
    """The same strokes elsewhere."""
    return [[(x + right, y + down) for x, y in stroke] for stroke in strokes]


class Person:
    """Uses a page.

    Args:
        page: Playwright's, of a browser that shows ours.
    """

    def __init__(self, page):
        self.page = page

    def card(self, number):
        """The card of a class, from 0."""
        return self.page.locator(".card").nth(number)

    def name(self, number, name):
        """Gives a class a name."""
        self.card(number).locator("input").fill(name)

    def draw(self, place, strokes):
        """Draws with the mouse on the pad of a card, or of the question."""
        pad = place.locator(".pad canvas")
        pad.scroll_into_view_if_needed()
        box = pad.bounding_box()
        mouse = self.page.mouse
        for stroke in strokes:
            points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
            mouse.move(*points[0])
            mouse.down()
            for point in points[1:]:
                mouse.move(*point, steps=3)
            mouse.up()

    def ask(self, strokes):
        """Draws on the question's pad."""
        self.draw(self.page.locator("#question"), strokes)

    def teach(self, glyphs):
        """Draws one picture of each class, `{name: strokes}`, and names it."""
        for number, (name, strokes) in enumerate(glyphs.items()):
            if self.page.locator(".card").count() <= number:
                self.page.click("#add-class")
            self.name(number, name)
            self.draw(self.card(number), strokes)

    def drop(self, place, *files):
        """Drops files, `(name, type, bytes)`, on a locator."""
        told = [{"name": name, "type": kind, "b64": base64.b64encode(data).decode()} for name, kind, data in files]
        self.page.evaluate(DROP, [place.element_handle(), told])

    def choose_model(self, name, side):
        """Chooses one of the server's models, and waits until pictures are shown at its size."""
        self.page.select_option("#models", name)
        self.page.locator(f"#seen + span >> text=({side} × {side} pixels").wait_for()

    def until(self, expression):
        """Waits for an expression of JavaScript: Playwright's own way to do so is against the page's policy."""
        deadline = time.monotonic() + 120
        while not self.page.evaluate(expression):
            assert time.monotonic() < deadline, expression
            self.page.wait_for_timeout(50)

    def settled(self, words=""):
        """Waits until the page shows answers to all that it was given, and says `words` of them.

        It takes less than that back in the event of a click, a drop or a stroke, so that it holds right after one.
        """
        self.page.locator(f'#status[data-kind="answered"]:has-text("{words}")').wait_for()

    def answer(self):
        """The answer in large letters."""
        self.settled()
        return self.page.inner_text(".headline")

    def shares(self):
        """The texts beside the bars, by class."""
        self.settled()
        rows = self.page.locator(".bars li").all()
        return {row.locator(".name").inner_text(): row.locator(".share").inner_text() for row in rows}

    def likeliest(self):
        """The class with the largest share."""
        percentages = {name: int(text.split()[0]) for name, text in self.shares().items() if text.endswith(" %")}
        return max(percentages, key=percentages.get)

    def says(self, words):
        """Waits until the page says so of what it does, where that is no answer."""
        self.page.locator("#status", has_text=words).wait_for()


def pixels(canvas):
    """What a canvas of the page shows, uint8 [H, W, 4]."""
    url = canvas.evaluate("canvas => canvas.toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))
