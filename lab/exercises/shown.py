"""What pages show of the exercises: a table of them, and what each solution changes."""

import difflib

from lab.exercises.catalogue import EXERCISES, Exercise
from lab.show.tables import markdown


def table(step: str) -> str:
    """Return the exercises of a step as a table, or of all."""
    rows = [["", "exercise", "the start fails"]]
    for one in EXERCISES.values():
        if not step or one.step == step:
            link = f"[{one.title}](../exercises/{one.name}/README.md)"
            rows.append([one.number, link, ", ".join(f"`{name}`" for name in one.fails)])
    return markdown(rows, "---")


def solutions() -> str:
    """Return of each what changes from the start to the solution, and what is wrong with others."""
    return "\n\n".join(map(solution, EXERCISES.values()))


def solution(one: Exercise) -> str:
    """Return that of one."""
    start, ours = (one.file(f"{name}.py").read_text() for name in ("start", "solution"))
    lines = difflib.unified_diff(start.splitlines(), ours.splitlines(), lineterm="", n=2)
    diff = "\n".join([*lines][2:])
    wrong = "\n".join(f"- {each.what}" for each in one.wrong.values())
    title = f"## {one.number}. {one.title}"
    return f"{title}\n\n```diff\n{diff}\n```\n\nWhat is wrong with others:\n\n{wrong}"
