"""Whether samples have the scale that the models expect, from -1 to 1, and what they look like where they do not.

`audio` asks for floats that were read from a file, `espnet3.systems.asr.speech_input` for arrays that a program hands
over. Nothing is scaled here without being told to: what is odd is refused.
"""

import numpy as np
from numpy.typing import NDArray

MOST = 8.0
"""Times full scale: recorders that store floats, resampling and mixing overshoot by less."""
_WIDTHS = ((15, "16-bit"), (23, "24-bit"), (31, "32-bit"))


def scale_problem(samples: NDArray[np.floating]) -> str | None:
    """What is wrong with the scale of float samples, as the end of a sentence; None where nothing is.

    Args:
        samples: of any shape, at least one.
    """
    high, low = float(samples.max()), float(samples.min())
    peak = max(high, -low)
    if not np.isfinite(peak):
        return "values that are no numbers (NaN or infinite)"
    if peak <= 1 or (peak <= MOST and not _is_whole(samples)):
        return None
    if not _is_whole(samples):
        return f"values up to {peak:.6g}, and floats are expected from -1 to 1: divide them by their full scale"
    bits, name = next((width for width in _WIDTHS if peak <= 1.25 * 2 ** width[0]), (0, ""))
    if not bits:
        return f"values up to {peak:.6g}, and floats are expected from -1 to 1: divide them by their full scale"
    return f"whole numbers up to {peak:.0f}, which look like {name} samples stored as floats: divide them by {2**bits}"


def _is_whole(samples: NDArray[np.floating]) -> bool:
    return bool((samples == np.rint(samples)).all())
