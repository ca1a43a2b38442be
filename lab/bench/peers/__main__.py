"""`python -m lab.bench.peers NAME PORT`: what every peer wants around its library.

It may have as many clients as may be, and SIGTERM and SIGINT end it at once with status 0.
"""

import importlib
import os
import signal
import sys

from common import descriptors

descriptors.raise_limit()
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: os._exit(0))
importlib.import_module(f"lab.bench.peers.{sys.argv[1]}").serve(int(sys.argv[2]))
