"""A model whose validation takes much longer than its training."""

import os
import time
from pathlib import Path
from typing import Any

from espnet3.systems.asr.models.bilstm import BiLSTMCTC

SECONDS = 0.5


class SlowValidation(BiLSTMCTC):
    """Leaves a file named by its process beside `marks` when it begins to validate."""

    def __init__(self, marks: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.marks = Path(marks)

    def forward(self, *arguments: Any, **named: Any) -> Any:
        if not self.training:
            (self.marks / f"validating.{os.getpid()}").touch()
            time.sleep(SECONDS)
        return super().forward(*arguments, **named)
