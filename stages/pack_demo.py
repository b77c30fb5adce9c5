"""pack_demo: reads what pack_model made; writes a folder of the demo that can be published."""

from stages._container import Container

CONTAINER = Container(
    image="publish",
    cpu="1",
    memory="4Gi",
    reads="what pack_model made",
    writes="a folder of the demo that can be published",
)


def main() -> None:
    """Run the stage as `--config` says."""
    from stages._entrypoint import run

    run("pack_demo")


if __name__ == "__main__":
    main()
