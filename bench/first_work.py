"""Notes when a function is first done, in seconds since process 1 began.

`bench.cold` puts this file into a container as `sitecustomize`, so that every Python process there has it, spawned ones
too; it uses the standard library alone. FIRST_WORK names the function as `module:name`, FIRST_WORK_FILE the file.
"""

import importlib.util
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import wraps
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

START_TIME = 19
"""Where /proc/<pid>/stat has the start in clock ticks since boot, counted after the command's name (man 5 proc)."""


def note() -> None:
    """Write the seconds down, unless an earlier call has."""
    ticks = int(Path("/proc/1/stat").read_text("utf-8").rpartition(")")[2].split()[START_TIME])
    seconds = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    try:
        with Path(os.environ["FIRST_WORK_FILE"]).open("x", encoding="utf-8") as file:
            file.write(f"{seconds:.3f}")
    except FileExistsError:
        pass


class Watch(MetaPathFinder):
    """Waits for the module, and wraps the function in it."""

    def __init__(self, module: str, function: str) -> None:
        self.module, self.function = module, function

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's own spec, with a loader that wraps the function afterwards."""
        if fullname != self.module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        assert spec
        assert spec.loader
        load = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            load(module)
            self.wrap(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec

    def wrap(self, module: ModuleType) -> None:
        """Put a function in its place that notes its first end."""
        holder, _, name = self.function.rpartition(".")
        owner = attrgetter(holder)(module) if holder else module
        function: Callable[..., Any] = getattr(owner, name)

        @wraps(function)
        def noted(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            note()
            return result

        setattr(owner, name, noted)


if os.environ.get("FIRST_WORK"):
    sys.meta_path.insert(0, Watch(*os.environ["FIRST_WORK"].split(":")))
