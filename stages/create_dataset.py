"""create_dataset: reads what the recipe's `dataset/` module prepares;
writes manifests (JSON Lines) and audio under `data_dir`.
"""

from stages._container import Container

CONTAINER = Container(
    image="data",
    cpu="2",
    memory="4Gi",
    reads="what the recipe's `dataset/` module prepares",
    writes="manifests (JSON Lines) and audio under `data_dir`",
    network=True,
)


def main() -> None:
    """Run the stage as `--config` says."""
    from stages._entrypoint import run

    run("create_dataset")


if __name__ == "__main__":
    main()
