"""What a training tells while it runs: metrics.csv, TensorBoard, a picture of the losses, a line per epoch.

The loop hands over numbers; every file can be made again from metrics.csv. Nothing that depends on the machine's
speed enters metrics.csv, so two runs of the same training leave the same bytes.
"""

import csv
import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from espnet3.components.charts import Panel, Series, line_chart
from espnet3.runtime.files import write_text
from espnet3.runtime.temporaries import name_file

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

log = logging.getLogger(__name__)

Row = dict[str, float]
POSITION = ("epoch", "step")


class Report:
    """The files of one training, in `exp_dir`; rows are kept in memory and written at checkpoints."""

    def __init__(self, exp_dir: Path) -> None:
        self.exp_dir = exp_dir
        self.rows: list[Row] = []
        self._tensorboard: SummaryWriter | None = None

    def resume(self, rows: int) -> None:
        """Go on after the first `rows` rows of metrics.csv: later ones belong to steps that are taken again."""
        path = self.exp_dir / "metrics.csv"
        try:
            self.rows = read_metrics(path)[:rows] if path.exists() else []
        except (ValueError, csv.Error) as error:
            log.warning("%s cannot be read (%s); it begins anew.", path, error)
            self.rows = []

    def add(self, row: Row) -> None:
        """Take in a row, which has `epoch` and `step`."""
        self.rows.append(row)
        with self._on_tensorboard() as writer:
            for name, value in row.items():
                if name not in POSITION:
                    writer.add_scalar(name, value, int(row["step"]))

    def write(self) -> None:
        """Bring metrics.csv up to date."""
        write_text(self.exp_dir / "metrics.csv", format_metrics(self.rows))
        if self._tensorboard is not None:
            with self._on_tensorboard() as writer:
                writer.flush()

    def draw(self) -> None:
        """Bring loss.svg up to date: losses, learning rate and norm of the gradients over the steps."""
        panels = [
            Panel("loss", [self._line(name) for name in ("train/loss", "valid/loss")], log=True),
            Panel("learning rate", [self._line("lr")]),
            Panel("gradient norm", [self._line("grad_norm")], log=True),
        ]
        write_text(self.exp_dir / "loss.svg", line_chart("Training", panels, "optimizer step"))

    def _line(self, name: str) -> Series:
        points = [(row["step"], row[name]) for row in self.rows if name in row]
        return Series(name, [step for step, _ in points], [value for _, value in points])

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self._tensorboard is not None:
            with self._on_tensorboard() as writer:
                writer.close()

    @contextmanager
    def _on_tensorboard(self) -> "Iterator[SummaryWriter]":
        """TensorBoard's writer; its errors do not say where it writes."""
        try:
            yield self._writer()
        except OSError as error:
            name_file(error, self.exp_dir / "tensorboard")
            raise

    def _writer(self) -> "SummaryWriter":
        if self._tensorboard is None:
            from torch.utils.tensorboard import SummaryWriter

            first = int(self.rows[-1]["step"])
            self._tensorboard = SummaryWriter(str(self.exp_dir / "tensorboard"), purge_step=first)
        return self._tensorboard


def columns(rows: Sequence[Row]) -> list[str]:
    """Epoch and step, then every name that a row has, sorted."""
    return [*POSITION, *sorted({name for row in rows for name in row} - set(POSITION))]


def format_metrics(rows: Sequence[Row]) -> str:
    """Rows as CSV; a value that a row lacks is an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_metrics(path: Path) -> list[Row]:
    """Rows of a metrics.csv; epoch and step are whole numbers."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {name: int(value) if name in POSITION else float(value) for name, value in row.items() if value}
            for row in csv.DictReader(file)
        ]


def summary(row: Mapping[str, Any]) -> str:
    """The numbers of an epoch in one line."""
    return ", ".join(f"{name} {value:.4g}" for name, value in row.items() if name not in POSITION)
