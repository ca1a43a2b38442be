"""What TLS takes, in a process that has done nothing else: `python -m lab.fleet.tls FOLDER COUNT`.

It prints the bytes of an end, and the seconds that the server takes for a handshake and for a
message. FOLDER has the server's key and certificate.
"""

import contextlib
import json
import os
import ssl
import statistics
import sys
import time

from lab.bench.workloads import frame
from lab.harness import processes


def shake_hands(*contexts: ssl.SSLContext) -> tuple[list[ssl.SSLObject], float]:
    """Return the client's and the server's end, and the server's CPU time, in seconds."""
    one, other = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [contexts[0].wrap_bio(one, other), contexts[1].wrap_bio(other, one, server_side=True)]
    spent = 0.0
    for end in (*ends, *ends):
        start = time.thread_time()
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
        spent += (time.thread_time() - start) * (end is ends[1])
    assert ends[1].version()
    return ends, spent


def main() -> None:
    """Measure it, with so many connections."""
    folder, count = sys.argv[1], int(sys.argv[2])
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(f"{folder}/certificate", f"{folder}/key")
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    shake_hands(client, server)
    before = processes.own_bytes(os.getpid())
    both = [shake_hands(client, server) for _ in range(count)]
    memory = (processes.own_bytes(os.getpid()) - before) / count / 2
    handshake = statistics.median(spent for _, spent in both)
    start = time.thread_time()
    for (one, other), _ in both:
        one.write(frame(64)[0])
        other.read(64)
    message = (time.thread_time() - start) / count
    print(json.dumps([memory, handshake, message]))


if __name__ == "__main__":
    main()
