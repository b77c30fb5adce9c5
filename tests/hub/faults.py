"""Faults on demand: what the tests' Hub does instead of answering, or after it has done what it was asked."""

import re
from dataclasses import dataclass, field


@dataclass
class Fault:
    """An error for the next `times` requests that match.

    A status of 0 cuts the connection. `late` faults come after the request was carried out: its answer is lost.
    """

    status: int
    method: str = "*"
    path: str = ""
    """Regular expression, searched in the path."""
    times: int = 1
    late: bool = False
    headers: dict[str, str] = field(default_factory=lambda: {"Retry-After": "0"})
    message: str = "a fault on demand"

    def matches(self, method: str, path: str) -> bool:
        """Whether this request meets the fault."""
        return self.times > 0 and self.method in ("*", method) and re.search(self.path, path) is not None


@dataclass
class Faults:
    """The faults that are still to come."""

    pending: list[Fault] = field(default_factory=list)

    def take(self, method: str, path: str, late: bool) -> Fault | None:
        """The first fault that this request meets, used up once."""
        for fault in self.pending:
            if fault.late == late and fault.matches(method, path):
                fault.times -= 1
                return fault
        return None
