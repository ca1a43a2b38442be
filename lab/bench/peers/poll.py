"""Step 5 with poll(2) in place of select(2): no FD_SETSIZE, and still everybody at every call."""

import select
from functools import partial

from common import serving
from step5_select import server
from step5_select.server import READ, WRITE, Poller, Select


class Poll(Select):
    """`poll(2)`: Python keeps the set, and hands the whole of it to the kernel every time."""

    def __init__(self) -> None:
        self.poll = select.poll()
        self.events = {READ: select.POLLIN, WRITE: select.POLLOUT}

    def change(self, fd: int, old: str | None, new: str | None) -> None:
        """Wait for what is `new` on `fd`, and no more for what is `old`."""
        if new is None:
            self.poll.unregister(fd)
        else:
            self.poll.register(fd, self.events[new])

    def ready(self, timeout: float | None) -> list[int]:
        """Sleep until a descriptor is ready, at most `timeout` seconds; return which are."""
        return [fd for fd, _ in self.poll.poll(None if timeout is None else timeout * 1000)]


def serve(port: int) -> None:
    """Serve until told to stop."""
    args = serving.arguments(__doc__).parse_args([str(port)])
    serving.run(args, partial(server.serve, poller=Poller(Poll())))
