"""`python -m lab fleet`: three machines behind HAProxy, and what is lost when one of them ends.

The machines are network namespaces, each with an address of its own. It wants Linux, root,
haproxy, and ip. See docs/beyond.md.
"""

import argparse
import importlib

from lab.claims import command as claims
from lab.fleet import machines
from lab.fleet.experiments import FLEET
from lab.harness.processes import NotMeasured
from lab.show import arguments

importlib.import_module("lab.fleet.costs")  # which adds its experiments


def run(args: argparse.Namespace) -> int:
    """Carry out the experiments; return 1 if one came to no end."""
    if not args.list:
        try:
            machines.want()
        except NotMeasured as error:
            raise arguments.Wrong(str(error)) from None
    return claims.carry_out(FLEET, "fleet", args)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    claims.add_experiments(parser, "M2", "as large as on the page")
