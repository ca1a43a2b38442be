"""The page: one file, whether it shows a server that runs or a recording."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

LANGUAGES = "en", "ko"
"""What the page can be read in."""


def whole(events: Sequence[dict[str, Any]] | None = None) -> str:
    """Return the page as HTML, with nothing to load; with `events` it plays these."""
    text = (HERE / "page.html").read_text()
    for name in ("page.css", "lessons.js", "page.js"):
        text = text.replace(f"/* {name} */", (HERE / name).read_text())
    recording = "null" if events is None else json.dumps(events, separators=(",", ":"))
    return text.replace("RECORDING", recording.replace("<", "\\u003c"))


def recorded(text: str) -> list[dict[str, Any]]:
    """Return the events that a page plays; ValueError if it is no such page."""
    if not (found := re.search(r"^const RECORDED = (\[.*\]);$", text, re.MULTILINE)):
        raise ValueError("no recording is in there")
    events: list[dict[str, Any]] = json.loads(found[1])
    return events
