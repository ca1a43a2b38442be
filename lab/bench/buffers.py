"""Step 6 with another size asked of `recv`: `python -m lab.bench.buffers BYTES PORT`."""

import sys

from common import serving
from step6_epoll_kqueue import server


def main() -> None:
    """Serve until told to stop."""
    serving.RECV_SIZE = int(sys.argv.pop(1))
    server.main()


if __name__ == "__main__":
    main()
