"""Tables, for a terminal and for a page."""


def aligned(table: list[list[str]]) -> str:
    """Write a table for a terminal: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for first, *others in table:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)


def markdown(table: list[list[str]], ruler: str = "--:") -> str:
    """Write a table for a page: numbers to the right, unless the `ruler` differs."""
    heading, *others = table
    rows = [heading, ["---"] + [ruler] * (len(heading) - 1), *others]
    return "\n".join(
        f"| {' | '.join(one.replace('|', chr(92) + '|') for one in row)} |" for row in rows
    )
