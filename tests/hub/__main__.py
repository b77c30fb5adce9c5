"""`python -m tests.hub`: the tests' Hub as a process, for containers and pods, which do not share this one's loopback.

It prints its address first, then a line for each request. Bound to 0.0.0.0 it answers at every address of the machine;
the tokens are `hf_writer` and `hf_reader`. What it holds is gone when it ends.
"""

import argparse
import signal
import sys
import threading

from tests.hub.faults import Fault
from tests.hub.server import serving


def main(words: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.hub", description=__doc__, allow_abbrev=False)
    parser.add_argument("--host", default="127.0.0.1", help="the address to bind; 0.0.0.0 for every one")
    parser.add_argument("--port", type=int, default=0, help="0 (default) for a free one")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        type=fault,
        metavar="STATUS[,METHOD[,PATH[,TIMES]]]",
        help="fail the next TIMES (1) requests of METHOD (*) in whose path PATH, a regular expression, is found; "
        "status 0 cuts the connection; repeatable",
    )
    args = parser.parse_args(words)
    asked_to_stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked_to_stop.set())
    with serving(args.host, args.port, log=sys.stdout) as hub:
        hub.faults.pending.extend(args.fault)
        print(hub.address, flush=True)
        asked_to_stop.wait()
    return 0


def fault(text: str) -> Fault:
    """The fault that a word of the command line describes, such as `503,POST,/commit/,2`."""
    status, method, path, times = [*text.split(","), *["", "*", "", "1"][text.count(",") + 1 :]]
    return Fault(int(status), method or "*", path, int(times))


if __name__ == "__main__":
    sys.exit(main())
