"""What pages show of the source: a function or class by its name, and what an edge changes."""

import ast

from lab.harness.servers import ROOT, STEPS

PARENTS = dict(zip(STEPS[1:], (STEPS[0], STEPS[0], *STEPS[2:6]), strict=True))
PARENTS[f"{STEPS[5]}/edge_triggered"] = STEPS[5]
"""What each step grew from; a file beside a step's server is written `STEP/NAME`."""


def source(step: str) -> str:
    """Return the source of a step's server, or of a file beside it (`STEP/NAME`)."""
    return (ROOT / (f"{step}.py" if "/" in step else f"{step}/server.py")).read_text()


def definitions(text: str, owner: str = "") -> dict[str, str]:
    """Return the source of all that is defined at the top level, or in a class, by name."""
    body = ast.parse(text).body
    if owner:
        body = {node.name: node.body for node in body if isinstance(node, ast.ClassDef)}[owner]
    lines = text.splitlines(keepends=True)
    found: dict[str, str] = {}
    for node in body:
        first = node.lineno
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [node.name]
            first = min([first, *(each.lineno for each in node.decorator_list)])
        elif isinstance(node, ast.Assign):
            names = [name.id for name in ast.walk(node.targets[0]) if isinstance(name, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names = [node.target.id]
        else:
            continue
        found |= dict.fromkeys(names, "".join(lines[first - 1 : node.end_lineno]))
    return found


def difference(parent: str, child: str) -> tuple[set[str], set[str], set[str]]:
    """Return the names that are changed, added and dropped from one source to the other."""
    before, after = definitions(parent), definitions(child)
    changed = {name for name in before.keys() & after.keys() if before[name] != after[name]}
    return changed, after.keys() - before.keys(), before.keys() - after.keys()


def code(argument: str) -> str:
    """Return what a file has under these names: `FILE NAME ...`, a NAME perhaps `Class.method`.

    Without a name it is the whole file. Raises KeyError if it has no such name.
    """
    file, *names = argument.split()
    text = (ROOT / file).read_text()
    pieces = [] if names else [text.rstrip()]
    last = ""
    for name in names:
        owner, _, defined = name.rpartition(".")
        if pieces:
            pieces.append("\n" if owner and owner == last else "\n\n")
        if owner and owner != last:
            pieces.append(f"class {owner}:\n    ...\n\n")
        pieces.append(definitions(text, owner)[defined])
        last = owner
    return "```python\n" + "".join(pieces).rstrip() + "\n```"


def edge(step: str) -> str:
    """Return what a step changes of the one it grew from, as a list of names."""
    parent, child = source(PARENTS[step]), source(step)
    changed, added, dropped = difference(parent, child)
    order = [*definitions(child), *definitions(parent)]
    same = definitions(child).keys() - changed - added
    rows = [("new", added), ("changed", changed), ("gone", dropped), ("the same to the byte", same)]
    return "\n".join(
        f"- {title}: " + ", ".join(f"`{name}`" for name in dict.fromkeys(order) if name in names)
        for title, names in rows
        if names
    )
