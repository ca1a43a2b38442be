"""What each `server.py` has that its `minimal.py` has not, and the check that fails without it."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import NamedTuple

from lab.harness.servers import ROOT, SERVER, STEPS
from lab.show.tables import markdown

SERVING = "common/serving.py"


class Part(NamedTuple):
    """A part of a step's server, at the step where it first appears.

    To take it out, in each file that `swaps` names one text becomes another.
    """

    step: str
    check: str
    swaps: tuple[tuple[str, str, str], ...]


GO_ON = (
    SERVING,
    "        except Exception as error:\n            log.error(",
    "        except ZeroDivisionError as error:\n            log.error(",
)

VISIT = (
    SERVING,
    "    except Exception as error:\n        log_disc",
    "    except ZeroDivisionError as error:\n        log_disc",
)

ATTEND = (
    SERVER,
    "except Exception as error:\n        drop",
    "except EOFError as error:\n        drop",
)

CLOSE = (SERVER, "suppress(OSError), client.sock:", "suppress(OSError):")

LATER = "loop.call_later(serving.RETRY, partial(accept, loop, listener))"

_1, _2, _, _4, _5, _, _7 = STEPS

PARTS = {
    "`serving.visit` and `serving.run` catch whatever a conversation raises": Part(
        _1, "resets", (GO_ON, VISIT)
    ),
    "`with ... sock` closes the socket as soon as the conversation is over": Part(
        _1, "half_close", ((SERVER, "as visit, sock:", "as visit:"),)
    ),
    "`serving.BACKLOG`, the length of the listen queue": Part(
        _1, "burst", ((SERVING, "BACKLOG = 1024", "BACKLOG = 5"),)
    ),
    "`serving.run` calls `serve` again when `accept` has failed": Part(
        _2, "no_descriptors", (GO_ON,)
    ),
    "`greet` makes the client's calls return at once": Part(
        _4, "silence", ((SERVER, "client.sock.setblocking(False)", "pass"),)
    ),
    "`write` keeps what `send` did not take": Part(
        _4, "late_reader", ((SERVER, "= client.unsent[sent:]", '= b""'),)
    ),
    "`serve` has a client that is owed something written to, and not read from": Part(
        _4, "late_reader", ((SERVER, "write if ready.unsent else read", "read"),)
    ),
    "`attend` catches whatever a client's step raises": Part(_4, "resets", (ATTEND,)),
    "`drop` forgets the client, and closes its socket": Part(
        _4, "half_close", (CLOSE, (SERVER, "poller.forget(client)", "pass"))
    ),
    "`attend` watches for room only while something is unsent": Part(
        _5, "idle_cpu", ((SERVER, "WRITE if client.unsent else READ)", "WRITE)"),)
    ),
    "`accept` forgets the listening socket when there is no room for a client": Part(
        _5, "no_descriptors", ((SERVER, "poller.forget(listener)  #", "pass  #"),)
    ),
    "`serve` watches it again a moment later": Part(
        _5, "no_descriptors", ((SERVER, "        if paused:", "        if not listener:"),)
    ),
    "`accept` has the loop call it again a moment later": Part(
        _7, "no_descriptors", ((SERVER, LATER, "pass"),)
    ),
}
"""What they do, in the words of the pages."""


def swapped(text: str, swaps: Iterable[Sequence[str]]) -> str:
    """Return a text in which, for each pair, what it has once has become something else."""
    for old, new in swaps:
        assert text.count(old) == 1, f"it has {text.count(old)} times {old!r}"
        text = text.replace(old, new)
    return text


def without(part: Part, folder: Path) -> Path:
    """Copy the step's server to a new folder without this part; return the path of its script."""
    for name in ("common", part.step):
        copytree(ROOT / name, folder / name, ignore=ignore_patterns("__pycache__"))
    for name, *swap in part.swaps:
        file = folder / (name if "/" in name else f"{part.step}/{name}")
        file.write_text(swapped(file.read_text(), [swap]))
    return folder / part.step / SERVER


def table(step: str) -> str:
    """Return the parts that appear at this step as Markdown, with their checks."""
    rows = [[what, f"`{part.check}`"] for what, part in PARTS.items() if part.step == step]
    return markdown([["what it has", "without it fails"], *rows], "---")
