"""train_tokenizer: reads the transcripts of the training split; writes the tokenizer's file."""

from stages._container import Container

CONTAINER = Container(
    image="data",
    cpu="1",
    memory="4Gi",
    reads="the transcripts of the training split",
    writes="the tokenizer's file",
)


def main() -> None:
    """Run the stage as `--config` says."""
    from stages._entrypoint import run

    run("train_tokenizer")


if __name__ == "__main__":
    main()
