"""Serve as the server that is named, with a bug or without."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from lab.broken.bugs import SERVERS

if __name__ == "__main__":
    server = SERVERS[sys.argv[1]]()
    asyncio.run(server.main(int(sys.argv[2]) if sys.argv[2:] else 0))
