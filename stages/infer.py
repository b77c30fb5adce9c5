"""infer: reads the trained model and the test sets;
writes `<output>.scp` per test set, and timings, under `inference_dir`.
"""

from stages._container import Container

CONTAINER = Container(
    image="infer",
    cpu="2",
    memory="8Gi",
    reads="the trained model and the test sets",
    writes="`<output>.scp` per test set, and timings, under `inference_dir`",
    gpu=1,
    sharded=True,
)


def main() -> None:
    """Run the stage as `--config` says."""
    from stages._entrypoint import run

    run("infer")


if __name__ == "__main__":
    main()
