"""What is generated of a page: what stands between `<!-- NAME ARGUMENT -->` and `<!-- end -->`."""

import re

BLOCK = re.compile(r"(<!-- (?!end)(\w+)(?: ([^\n]*))? -->\n)(.*?)<!-- end -->", re.DOTALL)
"""Its first line, name, argument and content."""


def emptied(text: str) -> str:
    """Return a page without the content of its blocks: what somebody wrote."""
    return BLOCK.sub(r"\1<!-- end -->", text)
