"""One undisturbed run of the digits stages, for all tests that disturb them."""

import os

import pytest

# Read when torch is loaded, which stages do in processes of their own with the same setting. Threads that spin while
# they wait for others make tests ten times slower where anything else runs.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from tests.chaos.volume import Undisturbed


@pytest.fixture(scope="session")
def undisturbed_stages(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("stages"))
