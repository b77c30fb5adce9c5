"""pack_model: reads the trained model and its scores; writes a folder that can be published, under `exp_dir`."""

from stages._container import Container

CONTAINER = Container(
    image="infer",
    cpu="2",
    memory="4Gi",
    reads="the trained model and its scores",
    writes="a folder that can be published, under `exp_dir`",
)


def main() -> None:
    """Run the stage as `--config` says."""
    from stages._entrypoint import run

    run("pack_model")


if __name__ == "__main__":
    main()
