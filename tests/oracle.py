"""The protocol once more, a byte at a time, from its description and nothing else."""


def owed(stream: bytes) -> bytes:
    """Return what a server owes for everything a client sent, without the `*`."""
    reply = bytearray()
    in_frame = False
    for byte in stream:
        if in_frame and byte == ord("$"):
            in_frame = False
        elif in_frame:
            reply.append(0 if byte == 0xFF else byte + 1)
        elif byte == ord("^"):
            in_frame = True
    return bytes(reply)
