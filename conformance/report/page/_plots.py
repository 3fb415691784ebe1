"""The plots of the page: lines over a property of the inputs, and a histogram."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from lossproof.conformance.report.page._drawing import TOP, Drawing, LogScale
from lossproof.conformance.report.page.text import number

# Half an ulp is what correct rounding costs, so it is always in sight.
HALF_ULP = 0.5

# Each line has a shape of its own: colour alone says nothing.
MARKS = ("circle", "square", "triangle", "diamond")
ROW = 18  # height of the rows for 0 and inf, which a logarithmic axis has no place for

Bin = tuple[float | None, float | None, int]


@dataclass(frozen=True)
class Line:
    """Points of one name; y is None where the error is infinite or a special state is wrong."""

    name: str
    points: Sequence[tuple[float, float | None]]


def line_plot(name: str, title: str, x_name: str, lines: Sequence[Line]) -> Markup:
    """Errors in ulp on a logarithmic axis; the x values stand at equal distances.

    Args:
      name: an id that is unique in the page.
      title: what is shown.
      x_name: of the x axis.
      lines: at most four.
    """
    places = sorted({x for line in lines for x, _ in line.points})
    heights = [y for line in lines for _, y in line.points]
    bounded = [y for y in heights if y is not None]
    drawing = Drawing(name, title, _described(lines, x_name))
    drawing.axis_names(x_name, "ulp")
    top = drawing.y1 + (ROW if None in heights else 0)
    bottom = drawing.y0 - (ROW if 0 in bounded else 0)
    scale = LogScale([HALF_ULP, *(y for y in bounded if y > 0)], bottom, top + 4.0)
    for value in scale.ticks(6):
        drawing.y_tick(scale(value), number(value))
    for y, label in ((drawing.y1 + 2.0, "inf"), (drawing.y0 - 4.0, "0")):
        if label in {number(height) for height in heights}:
            drawing.y_tick(y, label)
    drawing.line(drawing.x0, scale(HALF_ULP), drawing.x1, scale(HALF_ULP), "best")
    drawing.line(drawing.x0, drawing.y0, drawing.x1, drawing.y0, "axis")
    step = (drawing.x1 - drawing.x0 - 30) / max(1, len(places) - 1)
    across = {x: drawing.x0 + 15 + step * index for index, x in enumerate(places)}
    for x in places:
        drawing.x_tick(across[x], number(x))

    def up(y: float | None) -> float:
        return drawing.y1 + 2.0 if y is None else scale(y) if y > 0 else drawing.y0 - 4.0

    for index, line in enumerate(lines):
        points = [(across[x], up(y)) for x, y in sorted(line.points, key=lambda point: point[0])]
        drawing.add("polyline", f"series s{index}", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points))
        for x, y in points:
            _mark(drawing, index, x, y)
        place = drawing.x0 + 8 + 86.0 * index
        _mark(drawing, index, place, TOP - 24.0)
        drawing.text(place + 9, TOP - 20.0, line.name)
    return drawing.markup()


def histogram(name: str, title: str, bins: Sequence[Bin]) -> Markup:
    """How many arrays used which share of the allowed error, on a logarithmic x axis.

    Args:
      name: an id that is unique in the page.
      title: what is shown.
      bins: low, high and a count; high 0: no error at all; high None: no finite share.
    """
    exact = sum(count for _, high, count in bins if high == 0)
    wrong = sum(count for _, high, count in bins if high is None)
    inner = [(low or 0.0, high, count) for low, high, count in bins if high]
    over = sum(count for low, _, count in inner if low >= 1)
    total = exact + wrong + sum(count for *_, count in inner)
    said = (
        f"{total} arrays judged: {exact} without any error, {over} above the allowed error, {wrong} beyond any bound."
    )
    drawing = Drawing(name, title, said)
    drawing.axis_names("error as a share of what is allowed", "arrays")
    left = drawing.x0 + (64 if exact else 6)
    right = drawing.x1 - (56 if wrong else 6)
    # A bin that begins at 0 has no left end on this axis; it is drawn as wide as a decade.
    ends = [(low or high / 10, high, count) for low, high, count in inner]
    scale = LogScale([1.0, *(end for low, high, _ in ends for end in (low, high))], left, right)
    most = max([1, exact, wrong, *(count for *_, count in inner)])
    for count in sorted({0, most // 2, most}):
        drawing.y_tick(_height(drawing, count, most), str(count))
    for value in scale.ticks(7):
        drawing.x_tick(scale(value), number(value))
    for low, high, count in ends:
        bar = (scale(low) + 0.5, scale(high) - 0.5)
        _bar(drawing, bar, count, most, f"{number(low)} to {number(high)}", "over" if low >= 1 else "bar")
    if exact:
        _bar(drawing, (drawing.x0 + 8.0, drawing.x0 + 28.0), exact, most, "no error at all", "bar")
        drawing.text(drawing.x0 + 18, drawing.y0 + 17, "exact", "middle")
    if wrong:
        _bar(drawing, (drawing.x1 - 28.0, drawing.x1 - 8.0), wrong, most, "beyond any bound", "over")
        drawing.text(drawing.x1 - 18, drawing.y0 + 17, "inf", "middle")
    drawing.line(drawing.x0, drawing.y0, drawing.x1, drawing.y0, "axis")
    drawing.line(scale(1.0), drawing.y0, scale(1.0), drawing.y1 - 4, "limit")
    beyond = f"too large: {over + wrong}" if over + wrong else "limit"
    drawing.text(scale(1.0), drawing.y1 - 10.0, beyond, "middle" if scale(1.0) < drawing.x1 - 40 else "end")
    return drawing.markup()


def _bar(drawing: Drawing, ends: tuple[float, float], count: int, most: int, what: str, css: str) -> None:
    if not count:
        return
    top = min(_height(drawing, count, most), drawing.y0 - 2.0)  # what is rare is seen, too
    x, width = ends[0], max(ends[1] - ends[0], 1.0)
    bar = drawing.add("rect", css, x=x, y=top, width=width, height=drawing.y0 - top)
    if css == "over":
        drawing.text(x + width / 2, top - 4, str(count), "middle small")
    drawing.labelled(bar, f"{what}: {count}")


def _height(drawing: Drawing, count: int, most: int) -> float:
    return drawing.y0 - (drawing.y0 - drawing.y1 - 4) * count / most


def _mark(drawing: Drawing, index: int, x: float, y: float) -> None:
    css, r = f"mark s{index}", 3.6
    shape = MARKS[index % len(MARKS)]
    if shape == "circle":
        drawing.add("circle", css, cx=x, cy=y, r=r)
    elif shape == "square":
        drawing.add("rect", css, x=x - r, y=y - r, width=2 * r, height=2 * r)
    else:
        around = [(0, -1.3), (1.2, 1), (-1.2, 1)] if shape == "triangle" else [(0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)]
        drawing.add("polygon", css, points=" ".join(f"{x + a * r:.1f},{y + b * r:.1f}" for a, b in around))


def _described(lines: Sequence[Line], x_name: str) -> str:
    """The largest error of each line, in words."""
    found = []
    for line in lines:
        x, y = max(line.points, key=lambda point: float("inf") if point[1] is None else point[1])
        found.append(f"{line.name} {number(y)} ulp at {number(x)}")
    return f"Largest errors by {x_name}: {'; '.join(found)}."
