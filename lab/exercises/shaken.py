"""Run a program so that other threads come in between any two steps of one of its threads.

    python lab/exercises/shaken.py PROGRAM [ARGUMENT ...]

CPython hardly ever changes threads in the middle of a line, though it may: what is wrong only
then would not be seen by running it. Here each step (an opcode) of a thread that the program has
started is followed by a short sleep, in which the others run. No two are alike, so that threads
do not fall into step.
"""

import random
import runpy
import sys
import threading
import time
from types import FrameType
from typing import Any

PAUSE = 0.001
"""Seconds at most: longer than it takes to start a thread, so that all are at it together."""


def step(frame: FrameType, event: str, _: Any) -> Any:
    """Let the others run after each step in the program itself (sys.settrace)."""
    if frame.f_code.co_filename != sys.argv[0]:
        return None
    frame.f_trace_opcodes = True
    if event == "opcode":
        time.sleep(random.uniform(0, PAUSE))
    return step


if __name__ == "__main__":
    del sys.argv[0]
    threading.settrace(step)
    runpy.run_path(sys.argv[0], run_name="__main__")
