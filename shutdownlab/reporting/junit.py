"""Formats results, and differences between two sets of results, as JUnit XML, which every CI displays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from xml.etree import ElementTree

from shutdownlab.reporting.compared import line_of
from shutdownlab.reporting.summary import unmet_lines
from shutdownlab.reporting.verified import undecided_lines
from shutdownlab.results.result import THE_MODEL, Result
from shutdownlab.results.signal_verdict import SignalVerdict
from shutdownlab.verifier.compare import CellChange, Comparison
from shutdownlab.verifier.verify import Verified


def of_verified(verified: Verified) -> str:
    """Returns a test suite per phase with a test per target, which fails if a cell is not as expected; then a suite of
    the expectations about outside signals.

    A test is skipped if nothing can be decided, or fails if the verification is `strict`.
    """
    name = verified.shutdown.scenario.name
    return _of_results(
        name, verified.results, "skipped", verified.because, strict=verified.strict, signals=verified.signals
    )


def of_run(name: str, results: Sequence[Result], signals: Sequence[SignalVerdict] = ()) -> str:
    """Returns the same for a run; a cell without a verdict is an error: a failure of the testbed, not of the policy."""
    return _of_results(name, results, "error", lambda _: "", strict=False, signals=signals)


def of_comparison(comparison: Comparison) -> str:
    """Returns a test suite per phase with a failed test for each target that changed; without changes it is empty."""
    root = ElementTree.Element("testsuites", name="diff")
    for phase in comparison.phases:
        changed: dict[str, list[CellChange]] = {}
        for change in comparison.changes:
            if phase in change.phases and change.kind != "undecided":
                for target in change.targets:
                    changed.setdefault(target, []).append(change)
        suite = ElementTree.SubElement(root, "testsuite", name=phase)
        for target, changes in changed.items():
            case = ElementTree.SubElement(suite, "testcase", classname=f"diff.{phase}", name=target)
            _tell(case, "failure", [line_of(change, comparison.phases) for change in changes])
        _count(suite)
    return _text(root)


def _of_results(
    name: str,
    found: Iterable[Result],
    without_verdict: str,
    because: Callable[[Result], str],
    *,
    strict: bool,
    signals: Sequence[SignalVerdict],
) -> str:
    root = ElementTree.Element("testsuites", name=name)
    for phase, of_phase in groupby(found, key=lambda result: result.phase):
        suite = ElementTree.SubElement(root, "testsuite", name=phase)
        targets: dict[str, list[Result]] = {}
        for result in of_phase:
            targets.setdefault(result.target, []).append(result)
        for target, results in targets.items():
            case = ElementTree.SubElement(suite, "testcase", classname=f"{name}.{phase}", name=target)
            unmet = [r for r in results if not r.met and (strict or r.outcome.is_measured)]
            unsure = [r for r in results if not r.outcome.is_measured]
            if unmet:
                _tell(case, "failure", list(unmet_lines(unmet, because)))
            elif unsure and (without_verdict == "error" or len(unsure) == len(results)):
                _tell(case, without_verdict, list(undecided_lines(unsure)))
            elif all(result.held for result in results):
                _tell(case, "skipped", [f"held: as {_held_by(results[0])}, from which it cannot differ"])
        _count(suite)
    if signals:
        _signals(root, name, signals, strict=strict)
    return _text(root)


def _held_by(result: Result) -> str:
    return "the model has it, and had it before" if result.held == THE_MODEL else f"measured in {result.held}"


def _signals(root: ElementTree.Element, name: str, signals: Sequence[SignalVerdict], *, strict: bool) -> None:
    """Adds a test suite of outside signals, with a test for each expectation."""
    suite = ElementTree.SubElement(root, "testsuite", name="signals")
    for each in signals:
        case = ElementTree.SubElement(suite, "testcase", classname=f"{name}.signals", name=each.expected)
        if not each.met:
            _tell(case, "failure" if strict or each.met is not None else "skipped", [each.found])
    _count(suite)


def _tell(case: ElementTree.Element, kind: str, lines: Sequence[str]) -> None:
    ElementTree.SubElement(case, kind, message=lines[0]).text = "\n".join(lines)


def _count(suite: ElementTree.Element) -> None:
    kinds = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    counts = {"tests": len(suite)} | {key: len(suite.findall(f"testcase/{kind}")) for key, kind in kinds.items()}
    suite.attrib |= {key: str(count) for key, count in counts.items()}


def _text(root: ElementTree.Element) -> str:
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)
