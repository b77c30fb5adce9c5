"""How fast a training goes, for the log."""

import time


class Stopwatch:
    """Audio per wall time."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin again."""
        self._begin = time.monotonic()
        self._audio = 0.0

    def add(self, seconds: float) -> None:
        """Take in seconds of audio."""
        self._audio += seconds

    def speed(self) -> float:
        """Seconds of audio per second."""
        return self._audio / max(time.monotonic() - self._begin, 1e-9)
