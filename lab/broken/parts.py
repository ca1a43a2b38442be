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
    what: str
    check: str
    swaps: tuple[tuple[str, str, str], ...]


GO_ON = (
    SERVING,
    "        except Exception as error:\n            log.error(",
    "        except ZeroDivisionError as error:\n            log.error(",
)

_1, _2, _, _4, _5, _, _7 = STEPS

PARTS = (
    Part(
        _1,
        "`serving.visit` and `serving.run` catch whatever a conversation raises",
        "resets",
        (
            GO_ON,
            (
                SERVING,
                "    except Exception as error:\n        log_disc",
                "    except ZeroDivisionError as error:\n        log_disc",
            ),
        ),
    ),
    Part(
        _1,
        "`with ... sock` closes the socket as soon as the conversation is over",
        "half_close",
        ((SERVER, "as visit, sock:", "as visit:"),),
    ),
    Part(
        _1,
        "`serving.BACKLOG`, the length of the listen queue",
        "burst",
        ((SERVING, "BACKLOG = 1024", "BACKLOG = 5"),),
    ),
    Part(
        _2,
        "`serving.run` calls `serve` again when `accept` has failed",
        "no_descriptors",
        (GO_ON,),
    ),
    Part(
        _4,
        "`greet` makes the client's calls return at once",
        "silence",
        ((SERVER, "client.sock.setblocking(False)", "pass"),),
    ),
    Part(
        _4,
        "`write` keeps what `send` did not take",
        "late_reader",
        ((SERVER, "client.unsent = client.unsent[sent:]", 'client.unsent = b""'),),
    ),
    Part(
        _4,
        "`serve` has a client that is owed something written to, and not read from",
        "late_reader",
        ((SERVER, "write if ready.unsent else read", "read"),),
    ),
    Part(
        _4,
        "`attend` catches whatever a client's step raises",
        "resets",
        (
            (
                SERVER,
                "except Exception as error:\n        drop",
                "except EOFError as error:\n        drop",
            ),
        ),
    ),
    Part(
        _4,
        "`drop` forgets the client, and closes its socket",
        "half_close",
        (
            (SERVER, "suppress(OSError), client.sock:", "suppress(OSError):"),
            (SERVER, "poller.forget(client)", "pass"),
        ),
    ),
    Part(
        _5,
        "`attend` watches for room only while something is unsent",
        "idle_cpu",
        ((SERVER, "WRITE if client.unsent else READ)", "WRITE)"),),
    ),
    Part(
        _5,
        "`accept` forgets the listening socket when there is no room for a client",
        "no_descriptors",
        ((SERVER, "poller.forget(listener)  #", "pass  #"),),
    ),
    Part(
        _5,
        "`serve` watches it again a moment later",
        "no_descriptors",
        ((SERVER, "        if paused:", "        if not listener:"),),
    ),
    Part(
        _7,
        "`accept` has the loop call it again a moment later",
        "no_descriptors",
        ((SERVER, "loop.call_later(serving.RETRY, partial(accept, loop, listener))", "pass"),),
    ),
)


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
    rows = [[part.what, f"`{part.check}`"] for part in PARTS if part.step == step]
    return markdown([["what it has", "without it fails"], *rows], "---")
