"""`python -m lab grade`: submissions against the checks of their exercises, a row for each."""

import argparse


def run(args: argparse.Namespace) -> int:
    """Grade."""
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
