"""collect_stats: reads manifests and audio;
writes mean and variance, shapes, a summary and a histogram under `stats_dir`.
"""

from stages._container import Container

CONTAINER = Container(
    image="data",
    cpu="2",
    memory="4Gi",
    reads="manifests and audio",
    writes="mean and variance, shapes, a summary and a histogram under `stats_dir`",
    sharded=True,
)


def main() -> None:
    """Run the stage as `--config` says."""
    from stages._entrypoint import run

    run("collect_stats")


if __name__ == "__main__":
    main()
