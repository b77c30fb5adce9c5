"""Charts are sound, self-contained SVG whatever the numbers and the names."""

import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet3.components.charts import Panel, Series, histogram, line_chart

numbers = st.floats(allow_nan=True, allow_infinity=True, width=32)
SVG = "{http://www.w3.org/2000/svg}"


def losses(**options: bool) -> Panel:
    return Panel("loss", [Series("train", [0, 100, 200], [90.0, 9.0, 3.0]), Series("valid", [200], [4.0])], **options)


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize(
    "svg",
    [
        pytest.param(line_chart("Losses", [losses(), losses(log=True)], "steps"), id="lines"),
        pytest.param(line_chart("Losses", [], "steps"), id="no panel"),
        pytest.param(line_chart("Losses", [Panel("loss", [])]), id="no line"),
        pytest.param(line_chart("Losses", [Panel("loss", [Series("a", [], [])], log=True)]), id="no point"),
        pytest.param(histogram("Durations", {"train": [1, 2, 2, 3], "valid": [2.5]}, "seconds"), id="histogram"),
        pytest.param(histogram("Durations", {"train": [2.0, 2.0]}), id="one value"),
        pytest.param(histogram("Durations", {"train": []}), id="empty group"),
        pytest.param(histogram("Durations", {}), id="no group"),
    ],
)
def test_a_chart_is_self_contained_xml(svg: str) -> None:
    root = ET.fromstring(svg)
    assert root.find(f"{SVG}title") is not None
    assert "nan" not in svg
    assert "inf" not in svg
    assert not re.search(r"href|url\(|<script|<style|<image", svg)


@given(st.lists(st.tuples(numbers, numbers), max_size=30), st.booleans())
def test_any_numbers_can_be_drawn(points: list[tuple[float, float]], log: bool) -> None:
    finite = [(x, y) for x, y in points if math.isfinite(x)]
    line = Series("a", [x for x, _ in finite], [y for _, y in finite])
    drawn = line_chart("Any", [Panel("value", [line], log)])
    assert not re.search(r"nan|inf\b", drawn)
    ET.fromstring(drawn)


def test_names_are_escaped() -> None:
    svg = line_chart('a < b & "c"', [Panel("<y>", [Series("</svg>", [0, 1], [0, 1])])], "x > 0")
    assert {'a < b & "c"', "<y>", "</svg>", "x > 0"} <= set(texts(svg))


def test_the_same_numbers_give_the_same_bytes() -> None:
    assert line_chart("Losses", [losses()]) == line_chart("Losses", [losses()])


def test_ticks_are_round_and_labels_there() -> None:
    labels = texts(line_chart("Losses", [losses()], "steps"))
    assert {"Losses", "steps", "loss", "train", "valid", "0", "20", "40", "60", "80", "100", "200"} <= set(labels)


def test_a_logarithmic_axis_leaves_out_what_it_cannot_show() -> None:
    panel = Panel("loss", [Series("train", [0, 1, 2, 3], [100.0, 0.0, -1.0, 10.0])], log=True)
    root = ET.fromstring(line_chart("Losses", [panel]))
    assert len(root.findall(f"{SVG}circle")) == 2


def test_a_gap_parts_the_line() -> None:
    def pieces(values: list[float]) -> int:
        svg = line_chart("Losses", [Panel("loss", [Series("train", range(len(values)), values)])])
        return svg.count('stroke-width="1.8"')

    assert pieces([1.0, 2.0, 3.0, 4.0]) == 1
    assert pieces([1.0, 2.0, math.nan, 3.0, 4.0]) == 2


def test_a_long_line_stays_small_and_keeps_its_extremes() -> None:
    values = np.random.default_rng(0).random(100_000).tolist()
    values[54_321] = 30.0
    svg = line_chart("Losses", [Panel("loss", [Series("train", range(len(values)), values)])])
    assert len(svg) < 20_000
    assert "30" in texts(svg)
    heights = [
        float(y) for y in re.findall(r"L[\d.]+ ([\d.]+)", svg.split('stroke-width="1.8"')[0].rsplit("<path", 1)[1])
    ]
    assert min(heights) == 76.0


def test_histogram_heights_are_percent_of_the_group() -> None:
    svg = histogram("Durations", {"train": [1.0] * 75 + [9.0] * 25, "valid": [1.0]}, y_label="% of utterances")
    assert {"100", "20", "% of utterances", "train", "valid"} <= set(texts(svg))
