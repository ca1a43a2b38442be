"""The protocol, without I/O: bytes in, bytes out, no socket.

As soon as a server serves a connection it owes the client `ACK`. From then on
bytes outside a frame are dropped, `^` opens a frame, every byte inside it is
owed back plus one (0xff gives 0x00), and `$` closes it. Inside a frame `^` is
data. A packet may hold any number of frames, and a frame any number of packets.
"""

import re

ACK = b"*"

_PLUS_ONE = bytes((byte + 1) % 256 for byte in range(256))
_FRAME = re.compile(rb"\^([^$]+)")  # from the `^` that opens it; an empty one owes nothing


class Framing:
    """The state of one connection: whether a frame is open."""

    __slots__ = ("in_frame",)

    def __init__(self) -> None:
        self.in_frame = False

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes the client sent; return those it is owed, perhaps none.

        Linear in `len(data)`, and without a Python loop over single bytes.
        """
        if self.in_frame:
            data = b"^" + data  # the frame an earlier packet opened goes on
        self.in_frame = data.find(b"^", data.rfind(b"$") + 1) >= 0
        return b"".join(_FRAME.findall(data)).translate(_PLUS_ONE)
