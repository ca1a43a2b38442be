"""`python -m lab COMMAND`: the lab's commands."""

import argparse
import os
import signal
import sys

from lab import edges, primes, race, scale
from lab.bench import command as bench
from lab.check import command as check
from lab.claims import command as claims
from lab.observe import command as observe
from lab.observe import timeline
from lab.pages import command as pages


def main() -> int:
    """Run the command that was asked for; return its status."""
    parser = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    race.add_to(commands)
    check.add_to(commands)
    bench.add_to(commands)
    pages.add_to(commands)
    claims.add_to(commands)
    observe.add_to(commands)
    timeline.add_to(commands)
    edges.add_to(commands)
    primes.add_to(commands)
    scale.add_to(commands)
    args = parser.parse_args()
    # So that the servers a command has started end with it, whatever ends it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    status = 1
    try:
        status = int(args.run(args))
    except* KeyboardInterrupt:
        status = 130
    except* BrokenPipeError:  # nobody reads on, as after `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return status


if __name__ == "__main__":
    sys.exit(main())
