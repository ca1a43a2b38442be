"""The protocol on asyncio's streams, as their documentation would have it.

python lab/tests/outsiders/asyncio_streams.py PORT
"""

import asyncio
import contextlib
import re
import sys

PLUS_ONE = bytes((byte + 1) % 256 for byte in range(256))


async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one client to its end."""
    with contextlib.suppress(ConnectionError), contextlib.closing(writer):
        writer.write(b"*")
        in_frame = False
        while data := await reader.read(65536):
            for text, mark in re.findall(rb"([^$^]*)([$^]?)", data):
                if in_frame:
                    writer.write((text + mark.replace(b"$", b"")).translate(PLUS_ONE))
                in_frame = mark == b"^" or (in_frame and mark != b"$")
            await writer.drain()


async def main() -> None:
    """Serve on the port that is named."""
    server = await asyncio.start_server(talk, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    async with server:
        await server.serve_forever()


asyncio.run(main())
