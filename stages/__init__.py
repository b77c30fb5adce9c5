"""One module a stage, each the entrypoint of a container: `python -m stages.<stage> --config RUN_CONFIG`.

`python -m stages <stage> --config RUN_CONFIG` runs any stage, also one that only a recipe's System has. The workflow
generator reads how a stage runs as a container with `container_of`. Names with an underscore are no stages. What a
stage does is up to the System.
"""

import sys
from typing import TYPE_CHECKING

from stages import _process

if TYPE_CHECKING:
    from stages._container import Container

# Python's own mark that it is on its way to `python -m stages…`: nothing heavy has been imported yet.
if sys.argv[:1] == ["-m"]:
    _process.begin()


def container_of(stage: str) -> "Container":
    """How `stage` runs as a container: what its module says, or the default for a stage of one recipe alone."""
    import importlib
    from importlib.util import find_spec

    from stages._container import DEFAULT, Container

    if not stage.isidentifier() or stage.startswith("_") or find_spec(f"stages.{stage}") is None:
        return DEFAULT
    container = importlib.import_module(f"stages.{stage}").CONTAINER
    assert isinstance(container, Container)
    return container


def stages_with_a_file() -> list[str]:
    """The stages that have a module of their own here, by name."""
    from pkgutil import iter_modules

    return sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))
