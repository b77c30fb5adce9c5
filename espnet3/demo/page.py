"""What the demo shows of a transcript, as HTML and SVG: the waveform, and each token with its time and confidence.

`listener` calls it. Pure text from numbers: the same transcript gives the same page; no scripts, fonts or links.
"""

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from espnet3.systems.asr.transcriber import SpokenToken

WIDTH, WAVE, BAND, AXIS = 900, 110, 26, 20
"""Pixels: of all, and the heights of the waveform, of the tokens and of the time axis."""
COLUMNS = 450
"""In which the waveform is drawn, by the least and greatest sample of each."""
INK = "#737a83"
GRADES = ((0.9, "#3a9d6e", "sure"), (0.6, "#b8912a", "unsure"), (0.0, "#d0553b", "a guess"))
"""Least confidence, colour, and name, from the best."""
NARROWEST_LABEL = 11
"""Pixels that a token's symbol needs."""


def waveform(samples: NDArray[np.float32], rate: int, tokens: Sequence[SpokenToken]) -> str:
    """An SVG of samples (n,) at `rate` Hz, with the tokens below where they were heard."""
    seconds = len(samples) / rate
    parts = [_envelope(samples), *(_token(token, seconds) for token in tokens), *_axis(seconds)]
    height = WAVE + BAND + AXIS
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" width="100%" role="img" aria-label="Waveform of {seconds:.2f} seconds '
        f'with {len(tokens)} tokens" font-family="system-ui, sans-serif" font-size="12">{"".join(parts)}</svg>'
    )


def token_line(tokens: Sequence[SpokenToken]) -> str:
    """The tokens in a line, coloured by confidence, with a legend."""
    spans = [
        f'<span title="{token.confidence:.0%}, {token.start:.2f} to {token.end:.2f} s" style="border-bottom: 3px solid '
        f'{_grade(token.confidence)[0]}; padding: 0 1px; margin: 0 1px">{escape(_shown(token.symbol))}</span>'
        for token in tokens
    ]
    legend = " · ".join(
        f'<span style="border-bottom: 3px solid {colour}">{name}</span>{f" (from {least:.0%})" if least else ""}'
        for least, colour, name in GRADES
    )
    return f'<p style="font-size: 1.2em; line-height: 2">{"".join(spans)}</p><p><small>{legend}</small></p>'


def token_table(tokens: Sequence[SpokenToken]) -> str:
    """Every number, to be opened."""
    rows = "".join(
        f"<tr><td>{escape(_shown(token.symbol))}</td><td>{token.start:.2f}</td><td>{token.end:.2f}</td>"
        f"<td>{token.confidence:.1%}</td></tr>"
        for token in tokens
    )
    head = "<tr><th>token</th><th>from (s)</th><th>to (s)</th><th>confidence</th></tr>"
    return f"<details><summary>Times and confidence of each token</summary><table>{head}{rows}</table></details>"


def _envelope(samples: NDArray[np.float32]) -> str:
    columns = np.array_split(samples, min(COLUMNS, max(1, len(samples))))
    loudest = max(float(np.abs(samples).max(initial=0.0)), 1e-3)
    step, middle = WIDTH / len(columns), WAVE / 2
    scale = (middle - 4) / loudest
    lines = "".join(
        f"M{(index + 0.5) * step:.1f} {middle - float(column.max()) * scale:.1f}"
        f"V{middle - float(column.min()) * scale + 0.5:.1f}"
        for index, column in enumerate(columns)
    )
    return f'<path d="{lines}" stroke="#3b82c4" stroke-width="{step * 0.8:.2f}"/>'


def _token(token: SpokenToken, seconds: float) -> str:
    left, right = (max(0.0, min(1.0, time / seconds)) * WIDTH for time in (token.start, token.end))
    width = max(2.0, right - left)
    colour, _ = _grade(token.confidence)
    title = f"<title>{escape(_shown(token.symbol))} {token.confidence:.0%}</title>"
    size = f'width="{width:.1f}" height="{BAND - 6}" rx="2"'
    box = f'<rect x="{left:.1f}" y="{WAVE}" {size} fill="{colour}">{title}</rect>'
    label = ""
    if width >= NARROWEST_LABEL * len(_shown(token.symbol)):
        place = f'x="{left + width / 2:.1f}" y="{WAVE + 14}"'
        label = f'<text {place} text-anchor="middle" fill="#fff">{escape(_shown(token.symbol))}</text>'
    return box + label


def _axis(seconds: float) -> list[str]:
    step = next((each for each in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if seconds / each <= 12), 60)
    times = [number * step for number in range(int(seconds / step) + 1)]
    y = WAVE + BAND + AXIS - 8
    return [
        f'<text x="{max(14.0, min(WIDTH - 14.0, time / seconds * WIDTH)):.1f}" y="{y}" text-anchor="middle" '
        f'fill="{INK}">{time:g} s</text>'
        for time in times
    ]


def _grade(confidence: float) -> tuple[str, str]:
    return next(((colour, name) for least, colour, name in GRADES if confidence >= least), GRADES[-1][1:])


def _shown(symbol: str) -> str:
    return "␣" if symbol in ("<space>", "▁") else symbol
