"""The Korean pages: each shows what its English twin shows, and says what that says.

`NAME.ko.md` has in its first lines a link to its twin, and the hash of the English that it
follows: `<!-- NAME.md: HASH -->`. Whoever has brought it up to date puts the new hash there. What
is generated is taken from the twin, with those sentences in Korean that docs/glossary.ko.md has.
A line that begins with `> ` is the Korean page's own.
"""

import contextlib
import difflib
import functools
import hashlib
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import chain, zip_longest
from pathlib import Path

from lab.harness.servers import ROOT
from lab.pages.blocks import BLOCK, emptied

GLOSSARY = ROOT / "docs" / "glossary.ko.md"
"""Its tables have the English, the Korean, and, of a term, what is not said instead of it."""

BOARD = ROOT / "docs" / "board"
"""The pictures for the board; korean.md there has the words in them."""

WHERE = "*.ko.md", "*/*.ko.md", "exercises/*/*.ko.md"

PAGES = sorted({page for one in WHERE for page in ROOT.glob(one)} - {GLOSSARY})

PICTURES = sorted(
    page.with_suffix(".ko.svg") for page in BOARD.glob("*.svg") if ".ko" not in page.suffixes
)

WORDS = re.compile(r"(?<=>)[^<>\n]+(?=</(?:text|title)>)")
"""The words of a picture."""

BY_CHANCE = re.compile(r"그라운드|라운드 ?로빈|레디스|기술자료|(?<=[가-힣])주 스레드")
"""Words with a term in them that is not wanted, but not in that sense."""


def english(page: Path) -> Path:
    """Return the twin of a Korean page."""
    return page.with_name(page.name.replace(".ko.", "."))


def named(page: Path) -> str:
    """Return a page as it is spoken of."""
    return str(page.relative_to(ROOT))


# What is generated


@functools.cache
def rows(file: Path, columns: int) -> list[list[str]]:
    """Return the rows below the heads of the tables with so many columns.

    Those of the glossary that have 3 are terms.
    """
    lines = re.findall(r"^\|(.*)\|$(?!\n\|---)", file.read_text(), re.MULTILINE)
    cells = (re.split(r"(?<!\\)\|", line) for line in lines)
    found = [[cell.strip().replace(r"\|", "|") for cell in row] for row in cells]
    return [row for row in found if len(row) == columns and "---" not in row]


def translated(text: str) -> str:
    """Return what is generated, with the glossary's sentences, and links to Korean pages.

    `{}` is what varies in a sentence.
    """
    for theirs, ours in rows(GLOSSARY, 2):
        pattern = r"\s+".join(map(re.escape, theirs.split())).replace(r"\{\}", "(.+?)")
        text = re.sub(rf"{pattern}(?!\d)", partial(filled, ours), text)
    return text.replace("/README.md)", "/README.ko.md)")


def filled(ours: str, found: re.Match[str]) -> str:
    """Return a sentence with what varies in it."""
    return ours.format(*found.groups())


def made(text: str, twin: str) -> str:
    """Return a Korean page with the blocks of its twin."""
    theirs = {head: content for head, _, _, content in BLOCK.findall(twin)}

    def replaced(match: re.Match[str]) -> str:
        head, name, _, before = match.groups("")
        content = theirs.get(head, before)
        return f"{head}{content if name == 'code' else translated(content)}<!-- end -->"

    return BLOCK.sub(replaced, text)


def picture(page: Path) -> str:
    """Return a Korean picture as it should be: the English one, with other words."""
    words = dict(rows(BOARD / "korean.md", 2))
    return WORDS.sub(lambda found: words.get(found[0], found[0]), english(page).read_text())


# What somebody wrote


def faults(page: Path) -> Iterator[str]:
    """Yield what is wrong with a Korean page, or picture."""
    text = page.read_text()
    for never, said in forbidden(text):
        yield f"{named(page)} says {never}, where the glossary has {said}"
    if page in PICTURES:
        for one in chain.from_iterable(map(left, WORDS.findall(picture(page)))):
            if "(" not in one:  # which would be a call
                yield f"{named(page)} says in English: {one}"
        return
    twin = english(page).read_text()
    yield from unnamed(page, text, twin)
    yield from (f"{named(page)} {fault}" for fault in (*stale(page, text, twin), *lost(text, twin)))
    for target in elsewhere(page, text):
        yield f"{named(page)} links to {target}, which there is in Korean"
    for words in left(text):
        yield f"{named(page)} has a passage in English: {words[:80]}"


def unnamed(page: Path, text: str, twin: str) -> Iterator[str]:
    """Yield which of two twins does not link to the other in its first lines."""
    for one, other, said in ((page, english(page), text), (english(page), page, twin)):
        if not any(f"]({other.name})" in line for line in said.splitlines()[:5]):
            yield f"{named(one)} does not link to {other.name} in its first lines"


def digest(text: str) -> str:
    """Return the hash of what somebody wrote of a page."""
    return hashlib.sha256(emptied(text).encode()).hexdigest()[:12]


def stale(page: Path, text: str, twin: str) -> Iterator[str]:
    """Yield what has changed in the twin since the page was brought up to date."""
    name = english(page).name
    found = re.search(rf"^<!-- {re.escape(name)}: (\w+) -->$", text, re.MULTILINE)
    follows, now = found[1] if found else "nothing", digest(twin)
    if follows != now:
        yield (
            f"follows another {name}; once it says the same, have it say `<!-- {name}: {now} -->`"
            f"{changes(english(page), follows, twin)}"
        )


def changes(page: Path, old: str, now: str) -> str:
    """Return the difference to the text with the hash `old`, if git has it."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=False)
        return done.stdout.decode()

    with contextlib.suppress(FileNotFoundError):  # where there is no git
        for commit in git("log", "--format=%h", "--", named(page)).split():
            if digest(then := git("show", f"{commit}:{named(page)}")) == old:
                old_lines, lines = emptied(then).splitlines(), emptied(now).splitlines()
                found = difflib.unified_diff(old_lines, lines, commit, "now", lineterm="")
                return "\n" + "\n".join(found)
    return ""


FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


def own(text: str) -> str:
    """Return a page without what only one of two twins has."""
    return re.sub(r"^(\[English\]|\[한국어\]|> ).*\n", "", emptied(text), flags=re.MULTILINE)


def parts(text: str) -> dict[str, list[str]]:
    """Return all that two twins have in common, kind by kind, in order."""
    prose = FENCE.sub("", text)
    return {
        "heading": re.findall(r"^(#+) ", prose, re.MULTILINE),
        "code block": [block(*found) for found in FENCE.findall(text)],
        "link": re.findall(r"(?<!!)\[[^\]]*\]\(([^)#]*#?)[^)]*\)", prose),
        "picture": re.findall(r"!\[.*?\]\((.*?)\)", prose),
        "command": re.findall(r"`((?:python3?|diff|pytest|nc|printf) [^`]*)`", prose),
        "generated block": [head.strip() for head, *_ in BLOCK.findall(text)],
    }


def block(language: str, code: str) -> str:
    """Return what twins have in common of a code block: not its comments, nor what is drawn."""
    lines = [re.sub(r"\s+# .*", "", line) for line in code.splitlines()]
    return "\n".join([language, *lines] if language else [f"{len(lines)} lines"])


def names(text: str) -> Counter[str]:
    """Return how often a page says each name in code, and each figure."""
    prose = re.sub(r"\]\(.*?\)", "]", FENCE.sub("", text))
    return Counter(re.findall(r"`[^`\n]+`|\d+(?:[.,]\d+)*", prose))


def lost(text: str, twin: str) -> Iterator[str]:
    """Yield in what a page and its twin differ."""
    text, twin = (own(one).replace(".ko.", ".") for one in (text, twin))
    for one in names(twin) - names(text):
        yield f"does not say {one} as often as the English page"
    for (kind, ours), theirs in zip(parts(text).items(), parts(twin).values(), strict=True):
        for number, (one, other) in enumerate(zip_longest(ours, theirs), 1):
            if one != other:
                counts = f"{len(ours)}, in English {len(theirs)}"
                yield f"differs in its {kind}s ({counts}): number {number} is {one}, not {other}"
                break


def elsewhere(page: Path, text: str) -> Iterator[str]:
    """Yield links to English pages, or pictures, that have a twin."""
    for name, kind in re.findall(r"\]\(([^)#:]*)\.(md|svg)\b", own(text)):
        if not name.endswith(".ko") and (page.parent / f"{name}.ko.{kind}").is_file():
            yield f"{name}.{kind}"


def pieces(text: str) -> Iterator[str]:
    """Yield what is said on a page, sentence by sentence, cell by cell, without names in code."""
    for _, name, _, content in BLOCK.findall(text):
        if name in ("code", "output"):  # what a program says stays in English
            text = text.replace(content, "")
    text = FENCE.sub("", re.sub(r"<!--.*?-->", "", text))
    text = re.sub(r"^\[English\].*", "", re.sub(r"\]\([^)]*\)", "]", text), flags=re.MULTILINE)
    text = re.sub(r"`[^`]*`", "", text)
    yield from re.split(r"\n\s*\n|\n(?=\s*(?:[-#]|\d+\.) )|\||[.?!][*)”]*\s|\n(?=\|)", text)


def left(text: str) -> Iterator[str]:
    """Yield the passages that are in English: with few letters of Hangul, or none."""
    for piece in pieces(text):
        words = re.findall(r"(?<![\w./])[A-Za-z]{2,}(?![\w./])", piece, re.ASCII)
        hangul = re.findall("[가-힣]", piece)
        if len(words) > (3 if hangul else 1) and len(hangul) < len("".join(words)) / 4:
            yield " ".join(piece.split())


def forbidden(text: str) -> Iterator[tuple[str, str]]:
    """Yield terms that the glossary does not want, also within a word, and what it has instead."""
    said = BY_CHANCE.sub("", re.sub(r"`[^`]*`", "", FENCE.sub("", text)))
    for _, term, never in rows(GLOSSARY, 3):
        for one in filter(None, never.split(", ")):
            if re.search(one.replace(" ", r"\s*"), said):
                yield one, term
