"""The protocol on what people would use instead, each as its own documentation would have it."""

HOST = "127.0.0.1"


def announce(port: int) -> None:
    """Say that it listens, as all servers here do."""
    print(f"Serving on {HOST}:{port}", flush=True)
