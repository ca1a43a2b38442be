"""Tables, for a terminal and for a page."""


def aligned(table: list[list[str]]) -> str:
    """Write a table for a terminal: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(
            [cells[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        ).rstrip()
        for cells in table
    )


def markdown(table: list[list[str]]) -> str:
    """Write a table for a page."""
    heading, *others = table
    ruler = ["---"] + ["--:"] * (len(heading) - 1)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heading, ruler, *others))
