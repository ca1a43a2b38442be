"""`python -m lab observe`: every call of a server in which it can wait, as it happens.

The server is run as it is, and driven with the real client. Both are recorded: that a
client waits in the backlog can only be seen from there.

  python -m lab observe step5_select -n 3
  python -m lab observe step7_event_loop_threadpool/asyncio_server.py --out calls.jsonl
  python -m lab observe --cmd 'python my_server.py {port}'
  python -m lab observe --cmd 'python -m http.server -b 127.0.0.1 {port}' --client 'curl http://{host}:{port}/'
  python -m lab observe --cmd 'python chat.py' --port 9000 --for 60
"""

import argparse
import json
import sys

from lab.observe import asked, summary
from lab.show import arguments


def run(args: argparse.Namespace) -> int:
    """Observe servers; return 1 if one answered wrongly."""
    if len(args.servers) + bool(args.cmd) > 1 and args.out:
        raise arguments.Wrong("--out takes one server")
    recordings = asked.recordings(args)
    for name, recording in recordings.items():
        print(*[f"{name}:"] * (len(recordings) > 1), summary.text(recording), sep="\n")
        if args.out:
            args.out.write_text("".join(json.dumps(line) + "\n" for line in recording.lines))
        for line in recording.problems:
            print(f"not as it should be: {line}", file=sys.stderr)
    return 1 if any(recording.problems for recording in recordings.values()) else 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    asked.add_arguments(parser)
    parser.add_argument(
        "--out", metavar="FILE", type=arguments.file, help="write the calls there: lines of JSON"
    )
