"""`python -m images build|push|smoke|sizes`: what `make images`, `make push` and `make smoke` call."""

import argparse
import logging
import os
import sys

from espnet3.errors import Espnet3Error
from images import build, push, sizes
from images.catalog import DEVICES, NAMES, Variant, version
from images.engine import find


def main() -> int:
    """Do what the command line says; returns the exit code."""
    args = parse()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    variant = Variant(version(), args.device)
    try:
        return run(args, variant)
    except Espnet3Error as error:
        logging.getLogger(__name__).error("%s", error)
        return error.exit_code


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m images", description=__doc__)
    parser.add_argument("command", choices=("build", "push", "smoke", "sizes"))
    parser.add_argument("--images", nargs="+", choices=NAMES, default=list(NAMES), metavar="IMAGE")
    parser.add_argument("--device", choices=DEVICES, default="cpu")
    parser.add_argument("--registry", default="", help="where to push to, such as registry.example.org/speech")
    parser.add_argument(
        "--torch-index", default="", help="an index with CPU wheels of torch, instead of slimming the pinned one"
    )
    return parser.parse_args()


def run(args: argparse.Namespace, variant: Variant) -> int:
    """Run one command."""
    if args.command == "build":
        build.build(find(), variant, args.images, args.torch_index)
    elif args.command == "push":
        push.write_digests(variant, args.registry, push.push(find(), variant, args.registry, args.images))
    elif args.command == "smoke":
        from images import smoke  # loads torch

        return smoke.main(find(), variant)
    if args.command in ("build", "sizes"):
        return report_sizes(variant, rewrite=args.command == "sizes")
    return os.EX_OK


def report_sizes(variant: Variant, *, rewrite: bool) -> int:
    """Print the table of sizes; too large an image is an error."""
    measured = sizes.measured(variant)
    text = sizes.table(measured)
    sys.stdout.write(text)
    if rewrite:
        sizes.rewrite(sizes.README, text)
    too_large = sizes.over_budget(measured) if variant.device == "cpu" else []
    sys.stderr.writelines(f"{line}\n" for line in too_large)
    return 1 if too_large else 0


if __name__ == "__main__":
    sys.exit(main())
