"""A small SVG canvas: the elements that the plots are made of, with colours left to the page's style sheet."""

import math
from xml.etree import ElementTree as ET

from markupsafe import Markup

# Small enough to be read unscaled on a telephone.
WIDTH, HEIGHT = 440, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 34, 44


class Drawing:
    """A plot with a frame: data go between x0 and x1, y0 (the bottom) and y1.

    Args:
      name: an id that is unique in the page.
      title: what is shown, in a few words; a screen reader says it.
      description: what a reader sees, in a sentence.
    """

    x0, x1 = LEFT, WIDTH - RIGHT
    y0, y1 = HEIGHT - BOTTOM, TOP

    def __init__(self, name: str, title: str, description: str) -> None:
        labels = f"{name}-title {name}-description"
        self.root: ET.Element = ET.Element(
            "svg", {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "role": "img", "aria-labelledby": labels}
        )
        ET.SubElement(self.root, "title", {"id": f"{name}-title"}).text = title
        ET.SubElement(self.root, "desc", {"id": f"{name}-description"}).text = description

    def add(self, tag: str, css: str, **attributes: str | float) -> ET.Element:
        """Adds an element; numbers are rounded to tenths."""
        words = {
            name.replace("_", "-"): f"{value:.1f}" if isinstance(value, float) else str(value)
            for name, value in attributes.items()
        }
        return ET.SubElement(self.root, tag, {"class": css, **words})

    def line(self, x1: float, y1: float, x2: float, y2: float, css: str) -> None:
        """A straight line."""
        self.add("line", css, x1=x1, y1=y1, x2=x2, y2=y2)

    def text(self, x: float, y: float, words: str, css: str = "") -> None:
        """Words; css says how they are aligned: "middle" and "end", or from x on."""
        self.add("text", css, x=x, y=y).text = words

    def labelled(self, element: ET.Element, words: str) -> None:
        """What a pointer that rests on the element shows."""
        ET.SubElement(element, "title").text = words

    def axis_names(self, x: str, y: str) -> None:
        """Names the axes."""
        self.text((self.x0 + self.x1) / 2, HEIGHT - 8, x, "middle")
        self.text(4, 14, y)

    def y_tick(self, y: float, label: str) -> None:
        """A horizontal line with its label."""
        self.line(self.x0, y, self.x1, y, "grid")
        self.text(self.x0 - 6, y + 4, label, "end")

    def x_tick(self, x: float, label: str) -> None:
        """A mark below the axis with its label."""
        self.line(x, self.y0, x, self.y0 + 4, "axis")
        self.text(x, self.y0 + 17, label, "middle")

    def markup(self) -> Markup:
        """The element as text, escaped."""
        return Markup(ET.tostring(self.root, encoding="unicode"))  # noqa: S704  ElementTree escapes


class LogScale:
    """Whole decades onto positions.

    Args:
      values: positive numbers that must fit; one decade if there are none.
      start, stop: the positions of the scale's ends.
    """

    def __init__(self, values: list[float], start: float, stop: float) -> None:
        logs = [math.log10(value) for value in values] or [0.0]
        self.low: int = math.floor(min(logs))
        self.high: int = max(math.ceil(max(logs)), self.low + 1)
        self.start: float = start
        self.stop: float = stop

    def __call__(self, value: float) -> float:
        """The position of a positive number."""
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)

    def ticks(self, most: int) -> list[float]:
        """Powers of ten, at most so many."""
        step = max(1, math.ceil((self.high - self.low) / (most - 1)))
        return [10.0**power for power in range(self.low, self.high + 1, step)]
