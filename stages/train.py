"""train: reads manifests, audio, statistics and the tokenizer;
writes checkpoints, averaged weights and curves under `exp_dir`.
"""

from stages._container import Container

CONTAINER = Container(
    image="train",
    cpu="4",
    memory="16Gi",
    reads="manifests, audio, statistics and the tokenizer",
    writes="checkpoints, averaged weights and curves under `exp_dir`",
    gpu=1,
)


def main() -> None:
    """Run the stage as `--config` says."""
    from stages._entrypoint import run

    run("train")


if __name__ == "__main__":
    main()
