"""All the bugs by name: `no_greeting` for `NoGreeting`."""

import re

from lab.broken import costs, ending, leaving, many, prompt, talk, together
from lab.broken.right import Right

RUNGS = (talk, leaving, together, prompt, costs, many, ending)


def _named(kind: type[Right]) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


BUGS: dict[str, type[Right]] = {_named(kind): kind for kind in Right.__subclasses__()}
SERVERS: dict[str, type[Right]] = {"right": Right, **BUGS}
