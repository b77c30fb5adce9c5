"""upload_demo: reads what pack_demo made; writes the demo's space on the Hub."""

from stages._container import Container

CONTAINER = Container(
    image="publish",
    cpu="1",
    memory="2Gi",
    reads="what pack_demo made",
    writes="the demo's space on the Hub",
    network=True,
    token=True,
)


def main() -> None:
    """Run the stage as `--config` says."""
    from stages._entrypoint import run

    run("upload_demo")


if __name__ == "__main__":
    main()
