"""upload_model: reads what pack_model made; writes the model's repository on the Hub."""

from stages._container import Container

CONTAINER = Container(
    image="publish",
    cpu="1",
    memory="2Gi",
    reads="what pack_model made",
    writes="the model's repository on the Hub",
    network=True,
    token=True,
)


def main() -> None:
    """Run the stage as `--config` says."""
    from stages._entrypoint import run

    run("upload_model")


if __name__ == "__main__":
    main()
