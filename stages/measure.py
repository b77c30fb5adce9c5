"""measure: reads the inference's outputs and the references;
writes `metrics.json`, tables, aligned errors and `report.html` under `inference_dir`.
"""

from stages._container import Container

CONTAINER = Container(
    image="measure",
    cpu="1",
    memory="2Gi",
    reads="the inference's outputs and the references",
    writes="`metrics.json`, tables, aligned errors and `report.html` under `inference_dir`",
)


def main() -> None:
    """Run the stage as `--config` says."""
    from stages._entrypoint import run

    run("measure")


if __name__ == "__main__":
    main()
