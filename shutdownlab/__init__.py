"""Emulates a country's Internet on one machine and shuts it down the way real countries did.

The interface for programs, in short; `help(sl.lab)`, `help(sl.Lab)` and so on have the details:

    import shutdownlab as sl

    scenario = sl.load("kazakhstan-2022")        # a name, a path, or a mapping; raises sl.BadInput with .problems
    varied = sl.load("kazakhstan-2022", set={"policies.blackout.except.ports": []})    # with one value changed
    run = sl.run(scenario, out="runs/a", until="blackout", choose={"command": "direct"}, on_event=print)
    sl.run(scenario, observe=True).readings      # the outside signals, too: BGP, probing, telescope, Atlas
    run = sl.Run.open("runs/a")                  # finished, interrupted or still running
    run = sl.resume("runs/a")                    # continues one that was interrupted or killed
    found = sl.verify("kazakhstan-2022")         # what a run would find, without one: .results, .table, .unmet
    sl.diff("HEAD~1:mine.yaml", "mine.yaml")     # what changed, for whom and due to which line: .changes
    sl.matrix("first-shutdown", tools=["ssh"])   # which circumvention tools work when, and at what cost: .cells()
    sl.detect("kazakhstan-2022")                 # which mechanism shows in which outside signal, and how late: .rows
    sl.compare("kazakhstan-2022", "ioda.csv", signal="bgp")    # a published series beside the emulated one
    sl.explain("kazakhstan-2022", at="blackout", vantage="kcell/almaty", target="telegram")    # why: .hops, .mends
    sl.judge("measurements.jsonl")               # OONI's verdict on each measurement: .fields, .why, .differs
    sl.report("runs/a", "report.html")           # one page to read; a notebook shows it for a run, too
    sl.plot("runs/a", "reach.pdf", what="reach")  # a figure for a paper
    sl.export("runs/a", "duckdb", "a.duckdb")    # typed tables with documented columns; also parquet, csv, ooni, mrt
    sl.cost("kazakhstan-2022")                   # what it cost, by three methods: .amounts, .by_region, .person_hours
    run.table, run.results, run.unmet, run.measurements(), run.events(), run.manifest, run.phases

    with sl.lab("kazakhstan-2022", at="blackout") as lab:      # the country, running in a sandbox
        lab.exec("kcell/almaty", ["curl", "-m", "5", "https://kaspi.kz/"])      # a subprocess.CompletedProcess
        lab.phase("window-1"); lab.start("messengers-almaty"); lab.stop("blackout")
        lab.probe("kcell/almaty", "whatsapp")                                    # .outcome, .failure, .record (OONI's)
        lab.node("retn-servers"), lab.serve(...), lab.vantages                   # any node, by its name in the drawing
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from shutdownlab.comparison import diff
    from shutdownlab.config.problems import BadInput, Problem
    from shutdownlab.costing.estimate import Cost
    from shutdownlab.country.lab import Lab, LabEnded, LabError, lab
    from shutdownlab.library import Shutdown, load
    from shutdownlab.ooni.judging import Judged
    from shutdownlab.ooni.reading import Judgements, judge
    from shutdownlab.reporting.costs import cost
    from shutdownlab.reporting.export.exporting import export
    from shutdownlab.reporting.figure.plot import plot
    from shutdownlab.reporting.page.report import ReportPage, report
    from shutdownlab.results.run import Run
    from shutdownlab.runner.launch import RunFailed, resume, run
    from shutdownlab.runner.matrix import Matrix, matrix
    from shutdownlab.signals.overlay import Overlay
    from shutdownlab.system.kernel import MachineCannot
    from shutdownlab.verifier.compare import Comparison
    from shutdownlab.verifier.detect import Detectability, detect
    from shutdownlab.verifier.explain import explain
    from shutdownlab.verifier.explanation import Explanation
    from shutdownlab.verifier.published import compare
    from shutdownlab.verifier.verify import Verified, verify

    __version__: str

__all__ = [
    "BadInput",
    "Comparison",
    "Cost",
    "Detectability",
    "Explanation",
    "Judged",
    "Judgements",
    "Lab",
    "LabEnded",
    "LabError",
    "MachineCannot",
    "Matrix",
    "Overlay",
    "Problem",
    "ReportPage",
    "Run",
    "RunFailed",
    "Shutdown",
    "Verified",
    "compare",
    "cost",
    "detect",
    "diff",
    "explain",
    "export",
    "judge",
    "lab",
    "load",
    "matrix",
    "plot",
    "report",
    "resume",
    "run",
    "verify",
]

_WHERE: Final = {
    "BadInput": "config.document",
    "Judged": "ooni.judging",
    "Judgements": "ooni.reading",
    "judge": "ooni.reading",
    "Lab": "country.lab",
    "LabEnded": "country.lab",
    "LabError": "country.lab",
    "lab": "country.lab",
    "MachineCannot": "system.kernel",
    "Matrix": "runner.matrix",
    "matrix": "runner.matrix",
    "Problem": "config.document",
    "Cost": "costing.estimate",
    "cost": "reporting.costs",
    "export": "reporting.export.exporting",
    "plot": "reporting.figure.plot",
    "ReportPage": "reporting.page.report",
    "report": "reporting.page.report",
    "Run": "results.run",
    "RunFailed": "runner.launch",
    "Shutdown": "library",
    "load": "library",
    "resume": "runner.launch",
    "run": "runner.launch",
    "Comparison": "verifier.compare",
    "Detectability": "verifier.detect",
    "Overlay": "signals.overlay",
    "compare": "verifier.published",
    "detect": "verifier.detect",
    "diff": "comparison",
    "Explanation": "verifier.explanation",
    "explain": "verifier.explain",
    "Verified": "verifier.verify",
    "verify": "verifier.verify",
}
"""The module of each public name. Names are imported on first use, so that a program loads only what it needs."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("shutdownlab")
    if name in _WHERE:
        return getattr(import_module(f"shutdownlab.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'shutdownlab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
