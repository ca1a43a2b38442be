"""Serve as the server that is named, with a bug or without."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from lab.broken.catalogue import SERVERS

if __name__ == "__main__":
    SERVERS[sys.argv[1]](int(sys.argv[2]) if sys.argv[2:] else 0)
