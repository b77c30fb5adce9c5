"""`python -m espnet3.transcribe MODEL FILES…`: the text of audio files, one line each.

A thin command around `espnet3.load`; it ends with the exit codes of `espnet3.errors`.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from espnet3.parallel.threads import limit_threads, threads_each
from espnet3.runtime.failures import exit_code_of
from espnet3.runtime.streams import prepare_streams


def main(arguments: Sequence[str] | None = None) -> int:
    """Transcribe what the command line names; the exit code."""
    prepare_streams()
    args = _parser().parse_args(arguments)
    limit_threads(threads_each(None, workers=1))  # before torch is loaded
    from espnet3 import load

    try:
        model = load(args.model, backend=args.backend, device=args.device, trust_code=args.trust_code)
        for file in args.files:
            transcript = model.transcribe(file, tokens=args.json)
            full = json.dumps({"file": file, **asdict(transcript)}, ensure_ascii=False)
            sys.stdout.write((full if args.json else f"{file}\t{transcript.text}") + "\n")
            sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # what is not foreseen is raised again
        return exit_code_of(error)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m espnet3.transcribe", description="Speech to text with a packed model.", allow_abbrev=False
    )
    parser.add_argument("model", metavar="MODEL", help="a folder that pack_model wrote, or owner/name on the Hub")
    parser.add_argument("files", nargs="+", metavar="FILE", help="audio: WAV, FLAC, OGG, MP3 or SPH")
    parser.add_argument("--backend", default="auto", help="auto (default), torch, onnx or onnx-int8")
    parser.add_argument("--device", default="auto", help="of torch: auto (default), cpu, cuda or cuda:<number>")
    parser.add_argument("--json", action="store_true", help="print JSON with the tokens' times and confidences")
    parser.add_argument("--trust_code", action="store_true", help="run the recipe's own code that the pack brings")
    return parser


if __name__ == "__main__":
    sys.exit(main())
