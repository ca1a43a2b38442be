"""All checks, in the order of the rungs."""

from lab.check import costs, ending, faults, leaving, many, prompt, talk, together
from lab.check.suite import Check

RUNGS = (talk, leaving, together, prompt, costs, many, ending, faults)

CHECKS = {
    check.name: check for rung in RUNGS for check in vars(rung).values() if isinstance(check, Check)
}
"""Every check by its name."""

MATRIX = [check for check in CHECKS.values() if not check.asked_for]
"""Those that are not left out."""
