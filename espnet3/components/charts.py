"""Charts as SVG, written by hand: lines over steps, and histograms.

Train draws its losses, collect_stats the durations, and the report shows both inside its HTML. A chart is text without
scripts, fonts or links, has no background, and uses colours that can be seen on white and on black. The same numbers
give the same bytes.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import ArrayLike, NDArray

INK = "#737a83"
COLOURS = ("#3b82c4", "#e0703a", "#3a9d6e", "#b557a0", "#b8912a", "#7a6fd0")
WIDTH, LEFT, RIGHT, TOP, BOTTOM, GAP = 720, 64, 24, 76, 48, 34
MOST_POINTS = 400
"""Of a line; longer ones are drawn by the least and the greatest value of each run of points."""


@dataclass(frozen=True)
class Series:
    """A line: values over places. Values that are not finite leave a gap."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class Panel:
    """Lines that share an axis."""

    label: str
    """Of the vertical axis, with its unit."""
    series: Sequence[Series]
    log: bool = False
    """Whether the vertical axis is logarithmic; values up to zero are then left out."""
    height: int = 220


@dataclass(frozen=True)
class _Axis:
    """Values to pixels, and where the ticks are."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)


def line_chart(title: str, panels: Sequence[Panel], x_label: str = "") -> str:
    """An SVG of panels, one below the other over the same horizontal axis, with a legend of all lines."""
    panels = [_drawable(panel) for panel in panels]
    series = [line for panel in panels for line in panel.series]
    places = [x for line in series for x in line.x]
    horizontal = _linear_axis(min(places, default=0), max(places, default=1), LEFT, WIDTH - RIGHT)
    colours = dict(zip([line.name for line in series], COLOURS * (1 + len(series) // len(COLOURS)), strict=False))
    parts, top = [_legend(colours)], float(TOP)
    for number, panel in enumerate(panels, start=1):
        frame = (top, top + panel.height)
        parts.append(_panel(panel, horizontal, frame, colours))
        parts.append(_horizontal_ticks(horizontal, frame, labelled=number == len(panels)))
        top = frame[1] + GAP
    return _document(title, parts, top - GAP, x_label)


def histogram(title: str, groups: Mapping[str, ArrayLike], x_label: str = "", y_label: str = "%") -> str:
    """An SVG that shows how the values of each group are spread, in percent of the group."""
    values = {name: np.asarray(group, np.float64) for name, group in groups.items()}
    edges = _bins(np.concatenate([np.empty(0), *values.values()]))
    shares = {name: _shares(group, edges) for name, group in values.items()}
    frame = (float(TOP), TOP + 260.0)
    horizontal = _linear_axis(edges[0], edges[-1], LEFT, WIDTH - RIGHT, tight=True)
    vertical = _linear_axis(0, max((share.max() for share in shares.values()), default=1) or 1, frame[1], frame[0])
    colours = dict(zip(shares, COLOURS * (1 + len(shares) // len(COLOURS)), strict=False))
    parts = [_legend(colours), _vertical_ticks(vertical, frame, y_label), _horizontal_ticks(horizontal, frame, True)]
    for name, share in shares.items():
        steps = [
            (horizontal(x), vertical(y)) for x, y in zip(np.repeat(edges, 2), [0, *np.repeat(share, 2), 0], strict=True)
        ]
        parts.append(
            f'<path d="{_path(steps)}" fill="{colours[name]}" fill-opacity="0.18" stroke="{colours[name]}" '
            f'stroke-width="1.6" stroke-linejoin="round"/>'
        )
    return _document(title, parts, frame[1], x_label)


def _document(title: str, parts: Sequence[str], bottom: float, x_label: str) -> str:
    height = int(bottom + BOTTOM)
    caption = escape(title)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="{caption}" style="max-width:100%;height:auto" '
        f'font-family="system-ui, Roboto, sans-serif" font-size="12" fill="{INK}">',
        f"<title>{caption}</title>",
        _text(LEFT, 28, title, size=16, weight=600),
        *parts,
        _text((LEFT + WIDTH - RIGHT) / 2, bottom + 38, x_label, anchor="middle"),
        "</svg>\n",
    ]
    return "\n".join(line for line in lines if line)


def _legend(colours: Mapping[str, str]) -> str:
    place, parts = float(LEFT), []
    for name, colour in colours.items():
        parts.append(f'<rect x="{place:g}" y="44" width="14" height="4" rx="2" fill="{colour}"/>')
        parts.append(_text(place + 20, 50, name))
        place += 44 + 6.6 * len(name)
    return "\n".join(parts)


def _panel(panel: Panel, horizontal: _Axis, frame: tuple[float, float], colours: Mapping[str, str]) -> str:
    values = [y for line in panel.series for y in line.y if math.isfinite(y)]
    low, high = min(values, default=1), max(values, default=10)
    vertical = _log_axis(low, high, frame) if panel.log else _linear_axis(low, high, frame[1], frame[0])
    parts = [_vertical_ticks(vertical, frame, panel.label)]
    if not values:
        parts.append(_text((LEFT + WIDTH - RIGHT) / 2, sum(frame) / 2, "no values", anchor="middle"))
    for line in panel.series:
        for run in _runs(line):
            points = [(horizontal(x), vertical(y)) for x, y in _thinned(run)]
            parts.append(_line(points, colours[line.name]))
    return "\n".join(parts)


def _line(points: Sequence[tuple[float, float]], colour: str) -> str:
    if len(points) == 1:
        return f'<circle cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="3" fill="{colour}"/>'
    return (
        f'<path d="{_path(points)}" fill="none" stroke="{colour}" stroke-width="1.8" stroke-linejoin="round" '
        'stroke-linecap="round"/>'
    )


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _vertical_ticks(axis: _Axis, frame: tuple[float, float], label: str) -> str:
    middle = sum(frame) / 2
    parts = [
        f'<text transform="translate(16 {middle:g}) rotate(-90)" text-anchor="middle">{escape(label)}</text>'
        if label
        else ""
    ]
    for tick in axis.ticks:
        y = axis(tick)
        parts.append(_rule(LEFT, y, WIDTH - RIGHT, y))
        parts.append(_text(LEFT - 8, y + 4, _number(tick), anchor="end"))
    return "\n".join(part for part in parts if part)


def _horizontal_ticks(axis: _Axis, frame: tuple[float, float], labelled: bool) -> str:
    parts = []
    for tick in axis.ticks:
        parts.append(_rule(axis(tick), *frame[:1], axis(tick), frame[1]))
        if labelled:
            parts.append(_text(axis(tick), frame[1] + 18, _number(tick), anchor="middle"))
    return "\n".join(parts)


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{INK}" stroke-opacity="0.22"/>'


def _text(x: float, y: float, text: str, anchor: str = "start", **style: float) -> str:
    if not text:
        return ""
    extra = "".join(f' font-{name}="{value:g}"' for name, value in style.items())
    position = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{position}{extra}>{escape(text)}</text>'


def _linear_axis(low: float, high: float, start: float, end: float, tight: bool = False) -> _Axis:
    """Ticks at 1, 2 or 5 times a power of ten; the axis ends at ticks, or at `low` and `high` if `tight`."""
    if high - low <= max(1e-9 * max(abs(low), abs(high)), 1e-12):
        margin = max(abs(high), abs(low)) / 10 or 0.5
        low, high = low - max(margin, 1e-12), high + max(margin, 1e-12)
    step = _nice_step((high - low) / (abs(end - start) / 50))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(number * step for number in range(first, last + 1))
    if tight:
        return _Axis(low, high, start, end, tuple(tick for tick in ticks if low - 1e-9 <= tick <= high + 1e-9))
    return _Axis(ticks[0], ticks[-1], start, end, ticks)


def _log_axis(low: float, high: float, frame: tuple[float, float]) -> _Axis:
    """Ticks at powers of ten and, if they are few, at 2 and 5 times those."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(decades) <= 4 else (1,)
    ticks = [factor * 10.0**power for power in decades for factor in factors]
    below = max((tick for tick in ticks if tick <= low), default=low)
    above = min((tick for tick in ticks if tick >= high and tick > below), default=2 * high)
    return _Axis(below, above, frame[1], frame[0], tuple(tick for tick in ticks if below <= tick <= above), log=True)


def _nice_step(at_least: float) -> float:
    power = 10.0 ** math.floor(math.log10(at_least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= at_least * (1 - 1e-9))


def _number(value: float) -> str:
    """A short form: 0.5, 1200, 15k, 2M, 1e-05."""
    for size, suffix in ((1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (size if suffix == 'M' else 1e3):.6g}{suffix}"
    return f"{0.0 if abs(value) < 1e-12 else value:.4g}"


def _drawable(panel: Panel) -> Panel:
    """`panel` with NaN for what its axis cannot show."""
    if not panel.log:
        return panel
    series = [Series(s.name, s.x, [y if y > 0 else math.nan for y in s.y]) for s in panel.series]
    return Panel(panel.label, series, panel.log, panel.height)


def _runs(line: Series) -> Iterator[list[tuple[float, float]]]:
    """The parts of a line between its gaps."""
    run: list[tuple[float, float]] = []
    for x, y in zip(line.x, line.y, strict=True):
        if math.isfinite(y):
            run.append((x, y))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _thinned(run: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """At most about MOST_POINTS points that show the same extremes."""
    size = -(-2 * len(run) // MOST_POINTS)
    if size <= 2:
        return run
    parts = [range(start, min(start + size, len(run))) for start in range(0, len(run), size)]
    extremes = ({min(part, key=lambda i: run[i][1]), max(part, key=lambda i: run[i][1])} for part in parts)
    return [run[index] for part in extremes for index in sorted(part)]


def _bins(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """About forty bins with round edges."""
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    step = _nice_step(max(high - low, abs(high) * 1e-3, 1e-9) / 40)
    return np.asarray(step * np.arange(math.floor(low / step), math.floor(high / step) + 2), np.float64)


def _shares(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    counts = np.histogram(values, edges)[0]
    return 100.0 * counts / max(1, len(values))
