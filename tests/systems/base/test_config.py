"""The typed config slots: what they refuse."""

import pytest

from espnet3.errors import ConfigError
from espnet3.systems.base.config import InferenceConfig, read_config


def test_an_empty_folder_is_refused_because_it_would_be_the_working_directory() -> None:
    config = {
        "exp_dir": "",
        "inference_dir": "exp/greedy",
        "data_dir": "data",
        "dataset": {},
        "model": {"_target_": "src.Model"},
    }
    with pytest.raises(ConfigError, match=r"^inference_config\.exp_dir: .*at least 1 character \(given: ''\)\.$"):
        read_config(InferenceConfig, config, "inference_config")
