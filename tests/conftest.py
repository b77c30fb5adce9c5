"""What all tests share: how they are spread over processes, and one undisturbed run of the digits stages."""

import os
import signal
from pathlib import Path

import pytest

# Read when torch is loaded, which stages do in processes of their own with the same setting. Threads that spin while
# they wait for others make tests ten times slower where anything else runs.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# A shell lets what it starts in the background ignore Ctrl-C, and so would everything that tests start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from tests.chaos.volume import Undisturbed

TESTS = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of a folder run in one process, where they share what a session makes once."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(item.path.parent.relative_to(TESTS).as_posix()))


@pytest.fixture(scope="session")
def undisturbed_stages(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("stages"))
