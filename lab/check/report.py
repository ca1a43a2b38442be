"""Verdicts for people, for programs (JSON), and for other people's CI (JUnit XML)."""

import datetime
import json
import platform
import textwrap
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.check.suite import FAILED, HELD, NOT_MEASURED, Verdict
from lab.harness.servers import ROOT

INDENT = " " * 10
"""Under a verdict, where there is more to say."""


@dataclass
class Report:
    """The verdicts on one server; `declared` are the checks it is to fail, and why."""

    name: str
    declared: dict[str, str] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    error: str = ""

    def expected(self, verdict: Verdict) -> bool:
        """Return whether a verdict is as it should be; one that was not measured is."""
        fails = verdict.check.name in self.declared
        return verdict.outcome == NOT_MEASURED or fails == (verdict.outcome == FAILED)

    @property
    def good(self) -> bool:
        """Whether all is as it should be, and anything was seen at all."""
        seen = [one for one in self.verdicts if one.outcome != NOT_MEASURED]
        return not self.error and bool(seen) and all(map(self.expected, self.verdicts))

    def lines(self, verdict: Verdict) -> str:
        """Write a verdict: its line, and what to do where it is not as it should be."""
        first, *more = verdict.seen.splitlines() or [""]
        written = [f"{self._word(verdict):9} {verdict.check.name:17} {first}"]
        written += [INDENT + line for line in more]
        if verdict.outcome == FAILED and self.expected(verdict):
            written.append(f"{INDENT}declared: {self.declared[verdict.check.name]}")
        elif verdict.outcome == FAILED:
            written += advice(verdict)
        elif not self.expected(verdict):
            written.append(f"{INDENT}declared to fail, but it does not")
        return "\n".join(written)

    def _word(self, verdict: Verdict) -> str:
        if verdict.outcome == NOT_MEASURED:
            return "skipped"
        return verdict.outcome if self.expected(verdict) else verdict.outcome.upper()

    def summary(self) -> str:
        """Write how many verdicts there are of each kind."""
        if self.error:
            return self.error
        counts = [sum(one.outcome == kind for one in self.verdicts) for kind in KINDS]
        text = ", ".join(f"{n} {kind}" for n, kind in zip(counts, KINDS, strict=True) if n)
        wrong = [one.check.name for one in self.verdicts if not self.expected(one)]
        if self.declared:
            text += "; as declared" if not wrong else f"; not as declared: {', '.join(wrong)}"
        return f"{text} ({sum(one.seconds for one in self.verdicts):.1f} s)"


KINDS = (HELD, FAILED, NOT_MEASURED)


def advice(verdict: Verdict) -> list[str]:
    """Write what was to hold, what is wrong, and where to read about it."""
    check = verdict.check
    page = check.read if Path.cwd() == ROOT else ROOT / check.read
    text = f"{check.title}\n{verdict.advice}\nRead {page}."
    return [
        line
        for paragraph in text.splitlines()
        for line in textwrap.wrap(
            paragraph, 96, initial_indent=INDENT, subsequent_indent=INDENT, break_on_hyphens=False
        )
    ]


def write_json(path: Path, reports: list[Report]) -> None:
    """Write all verdicts, with the date and the machine."""
    servers = [
        {
            "name": report.name,
            "good": report.good,
            "error": report.error,
            "checks": [_as_dict(report, verdict) for verdict in report.verdicts],
        }
        for report in reports
    ]
    about = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
    path.write_text(json.dumps(about | {"servers": servers}, indent=2) + "\n")


def _as_dict(report: Report, verdict: Verdict) -> dict[str, Any]:
    check = verdict.check
    return {
        "check": check.name,
        "rung": check.rung,
        "title": check.title,
        "outcome": verdict.outcome,
        "seen": verdict.seen,
        "advice": verdict.advice if verdict.outcome == FAILED else "",
        "seconds": round(verdict.seconds, 3),
        "declared": report.declared.get(check.name, ""),
        "expected": report.expected(verdict),
    }


def write_junit(path: Path, reports: list[Report]) -> None:
    """Write a test suite for each server; what fails as declared counts as skipped."""
    root = ET.Element("testsuites")
    for report in reports:
        suite = ET.SubElement(root, "testsuite", name=report.name)
        for verdict in report.verdicts:
            check = verdict.check
            case = ET.SubElement(
                suite,
                "testcase",
                classname=check.rung,
                name=check.name,
                time=f"{verdict.seconds:.3f}",
            )
            if not report.expected(verdict):
                failure = ET.SubElement(case, "failure", message=_printable(verdict.seen))
                failure.text = f"{check.title}\n{verdict.advice}"
            elif verdict.outcome != HELD:
                why = report.declared.get(check.name) or verdict.seen
                ET.SubElement(case, "skipped", message=_printable(why))
        if report.error:
            case = ET.SubElement(suite, "testcase", classname="start", name="start", time="0")
            ET.SubElement(case, "error", message=_printable(report.error))
        suite.set("tests", str(len(suite)))
        for kind in ("failure", "error", "skipped"):
            plural = kind if kind == "skipped" else f"{kind}s"
            suite.set(plural, str(len(suite.findall(f"*/{kind}"))))
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _printable(text: str) -> str:
    """XML 1.0 has no control characters, not even escaped."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)
