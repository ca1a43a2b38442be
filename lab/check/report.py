"""Verdicts for people, for programs (JSON), and for other people's CI (JUnit XML)."""

import json
import textwrap
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from lab.check.suite import FAILED, HELD, NOT_MEASURED, Verdict
from lab.harness.servers import ROOT
from lab.show import about

CAUSES = "docs/check.md"
"""The page that says more of what was seen than what the check is about."""

INDENT = " " * 10
"""Under a verdict, where there is more to say."""


@dataclass
class Report:
    """The verdicts on one server; `declared` are the checks it is to fail, and why.

    `causes` is the page that says more of how it failed, "" if that of the check does.
    """

    name: str
    declared: dict[str, str] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    error: str = ""
    causes: str = CAUSES

    def why(self, verdict: Verdict) -> str:
        """Return why a check is to fail; "" if it is not."""
        return self.declared.get(verdict.check.name, "")

    def expected(self, verdict: Verdict) -> bool:
        """Return whether a verdict is as it should be; one that was not measured is."""
        fails = verdict.outcome == FAILED
        return verdict.outcome == NOT_MEASURED or bool(self.why(verdict)) == fails

    @property
    def good(self) -> bool:
        """Whether all is as it should be, and anything was seen at all."""
        seen = [one for one in self.verdicts if one.outcome != NOT_MEASURED]
        return not self.error and bool(seen) and all(map(self.expected, self.verdicts))

    def lines(self, verdict: Verdict) -> str:
        """Write a verdict, without its name, and what to do where it is not as it should be."""
        word = "skipped" if verdict.outcome == NOT_MEASURED else verdict.outcome
        if not self.expected(verdict):
            word = word.upper()
        first, *more = verdict.seen.splitlines() or [""]
        if not self.expected(verdict):
            if verdict.words and "its last words" not in verdict.seen:
                more += ["it logged:", *verdict.words.splitlines()]
            more += advice(verdict, self.causes)
        elif verdict.outcome == FAILED:
            more.append(f"declared: {self.why(verdict)}")
        return "\n".join([f"{word:9} {first}", *(INDENT + line for line in more)])

    def summary(self) -> str:
        """Write how many verdicts there are of each kind."""
        if self.error:
            return self.error
        counts = Counter(one.outcome for one in self.verdicts)
        kinds = (kind for kind in (HELD, FAILED, NOT_MEASURED) if counts[kind])
        text = ", ".join(f"{counts[kind]} {kind}" for kind in kinds)
        wrong = [one.check.name for one in self.verdicts if not self.expected(one)]
        if self.declared:
            text += "; as declared" if not wrong else f"; not as declared: {', '.join(wrong)}"
        return f"{text} ({sum(one.seconds for one in self.verdicts):.1f} s)"


def advice(verdict: Verdict, causes: str) -> list[str]:
    """Write what was to hold, what is wrong, and where to read about it."""
    check = verdict.check
    if verdict.outcome == HELD:
        return ["declared to fail, but it does not"]
    page = check.read if verdict.advice == check.advice else causes or check.read
    page = page if Path.cwd() == ROOT else str(ROOT / page)
    lines = []
    for paragraph in (check.title, verdict.advice, f"Read {page}."):
        lines += textwrap.wrap(paragraph, 86, break_on_hyphens=False)
    return lines


def write_json(path: Path, reports: list[Report]) -> None:
    """Write all verdicts, with the date and the machine."""
    servers = [
        {
            "name": report.name,
            "good": report.good,
            "error": report.error,
            "checks": [
                {
                    "check": verdict.check.name,
                    "rung": verdict.check.rung,
                    "title": verdict.check.title,
                    "survives": verdict.check.survives,
                    "outcome": verdict.outcome,
                    "seen": verdict.seen,
                    "advice": verdict.advice if verdict.outcome == FAILED else "",
                    "words": verdict.words,
                    "seconds": round(verdict.seconds, 3),
                    "declared": report.why(verdict),
                    "expected": report.expected(verdict),
                }
                for verdict in report.verdicts
            ],
        }
        for report in reports
    ]
    path.write_text(json.dumps(about.facts() | {"servers": servers}, indent=2) + "\n")


def write_junit(path: Path, reports: list[Report]) -> None:
    """Write a test suite for each server; what fails as declared counts as skipped."""
    root = ET.Element("testsuites")
    for report in reports:
        suite = ET.SubElement(root, "testsuite", name=report.name)
        for verdict in report.verdicts:
            check, seen = verdict.check, printable(report.why(verdict) or verdict.seen)
            known = {"name": check.name, "time": f"{verdict.seconds:.3f}"}
            case = ET.SubElement(suite, "testcase", known, classname=check.rung)
            if not report.expected(verdict):
                failure = ET.SubElement(case, "failure", message=seen)
                failure.text = f"{check.title}\n{verdict.advice}"
            elif verdict.outcome != HELD:
                ET.SubElement(case, "skipped", message=seen)
        if report.error:
            case = ET.SubElement(suite, "testcase", name="start", time="0", classname="start")
            ET.SubElement(case, "error", message=printable(report.error))
        suite.set("tests", str(len(suite)))
        for plural, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            suite.set(plural, str(len(suite.findall(f"*/{kind}"))))
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def printable(text: str) -> str:
    """XML 1.0 has no control characters, not even escaped."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)
