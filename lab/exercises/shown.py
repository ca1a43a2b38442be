"""What pages show of the exercises: a table of them, and what each solution changes."""

import difflib

from lab.exercises.catalogue import EXERCISES
from lab.show.tables import markdown


def table(step: str) -> str:
    """Return the exercises of a step as a table, or of all."""
    rows = [["", "exercise", "the start fails"]]
    for one in EXERCISES.values():
        if not step or one.step == step:
            link = f"[{one.title}](../exercises/{one.name}/README.md)"
            rows.append([one.number, link, ", ".join(f"`{name}`" for name in one.fails)])
    return markdown(rows, "---")


def folded(number: str) -> str:
    """Return the diff from the start to the solution, behind a fold that HTML makes."""
    one = EXERCISES[number]
    start, solution = (one.file(f"{name}.py").read_text() for name in ("start", "solution"))
    lines = difflib.unified_diff(start.splitlines(), solution.splitlines(), lineterm="", n=2)
    diff = "\n".join([*lines][2:])
    wrong = "\n".join(f"- {each.what}" for each in one.wrong.values())
    title = f"<summary>{one.number}. {one.title}: how we did it, and what is wrong</summary>"
    return f"<details>{title}\n\n```diff\n{diff}\n```\n\n{wrong}\n\n</details>"
