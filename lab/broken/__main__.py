"""Serve as the server that is named, with a bug or without: `python lab/broken NAME [PORT]`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from lab.broken.catalogue import SERVERS

if __name__ == "__main__":
    name = sys.argv[1] if sys.argv[1:] else ""
    if name not in SERVERS:
        sys.exit(f"python lab/broken NAME [PORT], with one of these: {', '.join(SERVERS)}")
    SERVERS[name](int(sys.argv[2]) if sys.argv[2:] else 0)
