"""What the demo shows of a transcript."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from espnet3.demo.page import token_line, token_table, waveform
from espnet3.systems.asr.transcriber import SpokenToken

TOKENS = (
    SpokenToken("o", 0.10, 0.16, 0.99),
    SpokenToken("<space>", 0.2, 0.22, 0.7),
    SpokenToken("<b>&", 0.3, 0.9, 0.1),
)


def tone(seconds: float, rate: int = 8000) -> np.ndarray:
    return np.sin(np.arange(round(seconds * rate)) / 5).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.001, 1.0, 60.0])
def test_the_waveform_is_well_formed_and_small(seconds: float) -> None:
    svg = waveform(tone(seconds), 8000, TOKENS)
    ET.fromstring(svg)
    assert len(svg) < 30_000
    assert "script" not in svg


def test_the_waveform_of_silence_is_a_flat_line() -> None:
    ET.fromstring(waveform(np.zeros(8000, np.float32), 8000, ()))


def test_a_token_lies_where_it_was_heard() -> None:
    root = ET.fromstring(waveform(tone(1.0), 8000, TOKENS))
    boxes = root.findall("rect")
    assert [float(box.attrib["x"]) for box in boxes] == pytest.approx([90, 180, 270], abs=0.1)
    assert float(boxes[2].attrib["width"]) == pytest.approx(540, abs=0.1)


def test_confidence_is_a_colour_and_a_number() -> None:
    line = token_line(TOKENS)
    assert len({part.split(";")[0] for part in line.split("solid ")[1:4]}) == 3
    assert "99%" in line
    assert "10.0%" in token_table(TOKENS)


def test_symbols_of_the_model_cannot_write_html() -> None:
    for shown in (token_line(TOKENS), token_table(TOKENS), waveform(tone(1.0), 8000, TOKENS)):
        assert "<b>" not in shown
        assert "&lt;b&gt;&amp;" in shown
