"""One undisturbed run of the digits stages, for all tests that disturb them."""

import pytest

from tests.chaos.volume import Undisturbed


@pytest.fixture(scope="session")
def undisturbed_stages(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("stages"))
