"""Tests circumvention tools in a shutdown: which works in which phase, from which operator, and at what cost.

A matrix is a run of the scenario's own country, policies and phases, with tools in place of its probes and with their
servers abroad. So a tool is blocked only by the evidence that every verdict needs: it fails twice while all its
controls work, among them the same tool on its server's own node.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from shutdownlab import library
from shutdownlab.config.extensions import ExtensionError
from shutdownlab.inspection.apps import App, Endpoint
from shutdownlab.library import Shutdown
from shutdownlab.model import lookup
from shutdownlab.model.layout import lay_out
from shutdownlab.model.probe import Probe, probe
from shutdownlab.model.programs import own_program
from shutdownlab.model.registered import kinds_of
from shutdownlab.model.scenario import Expectation, Outcome, Phase, Scenario
from shutdownlab.model.scope import Scope
from shutdownlab.model.tool import Tool
from shutdownlab.model.topology import SubscriberClass
from shutdownlab.network.datapath import Wish
from shutdownlab.results.events import Listener, SelfChecked
from shutdownlab.results.result import Result
from shutdownlab.results.run import Run
from shutdownlab.results.table import Table, table_of
from shutdownlab.runner import launch
from shutdownlab.runner.launch import RunFailed

_PAGE = "page.tools.example"
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


@dataclass(frozen=True, slots=True)
class Cost:
    """A tool's cost where it worked: medians over vantage points, in one or several phases and operators.

    connect_ms: from the start of its client to the first octet of the page. kbits_per_second: of the page, of up to 256
    KiB, while other tools used the same line. Both are None if nothing was measured.
    """

    connect_ms: float | None
    kbits_per_second: float | None


@dataclass(frozen=True)
class Matrix:
    """The results of a matrix. `run`: its run. `left_out`: why tools have no verdict, by name.

    `tools`: titles of the measured tools, by name. `phases`: the requested phases. `asns`: operators, by AS number as
    "AS64500". `play`: the shutdown that was run, under these `choices`.
    """

    run: Run
    tools: Mapping[str, str]
    phases: tuple[str, ...]
    left_out: Mapping[str, str]
    asns: Mapping[str, str]
    play: Shutdown
    choices: Mapping[str, str]
    undecided: frozenset[str] = frozenset()
    """Those left out because the testbed failed before anything was blocked, in two countries."""

    def __repr__(self) -> str:
        name = self.play.scenario.name
        return f"Matrix({name}: {', '.join(self.tools) or 'no tool'}; {len(self.phases)} phases, in {self.run.path})"

    @cached_property
    def results(self) -> list[Result]:
        """The results: one per phase, vantage point and tool."""
        return [result for result in self.run.results if result.phase in self.phases]

    @property
    def unmet(self) -> list[Result]:
        """The results that are not as the scenario expects."""
        return [result for result in self.results if not result.met]

    @cached_property
    def differing(self) -> list[tuple[Result, Result]]:
        """(result, the model's result) where the outcomes differ.

        Cells that either of them cannot decide are left out. Failures are not compared, as each client words them in
        its own way.
        """
        from shutdownlab.verifier.verify import verify

        found = {(r.phase, r.vantage, r.target, r.family): r for r in verify(self.play, choose=self.choices)}
        pairs = [(result, found[result.phase, result.vantage, result.target, result.family]) for result in self.results]
        return [
            (result, model)
            for result, model in pairs
            if result.outcome.is_measured and model.outcome.is_measured and result.outcome is not model.outcome
        ]

    @property
    def operators(self) -> Mapping[str, str]:
        """Titles of the operators, by name, in the order of the topology."""
        there = {result.operator for result in self.results}
        titles: Mapping[str, str] = self.run.manifest.get("operators", {})
        return {name: titles.get(name, name) for name in dict.fromkeys((*titles, *sorted(there))) if name in there}

    def table(self, operator: str | None = None) -> Table:
        """Returns the share of an operator's (None: all) subscribers for whom tools work, by phase and tool."""
        return table_of([r for r in self.results if operator in {None, r.operator}], tuple(self.tools))

    @cached_property
    def _costs(self) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
        found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
        for record in self.run.measurements():
            used = record["test_keys"].get("x_tool") or {}
            if used.get("stage") == "done":
                place = (record["annotations"]["phase"], self.asns[record["probe_asn"]], used["name"])
                found.setdefault(place, []).append(used)
        return found

    def cost(self, tool: str, phase: str | None = None, operator: str | None = None) -> Cost:
        """Returns a tool's cost; without a phase or an operator, over all of them."""
        used = [
            each
            for (at, of, name), members in self._costs.items()
            if name == tool and at in self.phases and phase in {None, at} and operator in {None, of}
            for each in members
        ]
        return Cost(_middle(used, "connect_ms"), _middle(used, "kbits_per_second"))

    def cells(self) -> Iterator[dict[str, Any]]:
        """Yields a dictionary per tool, phase and operator: `share` (0 to 1; None: no verdict), `outcomes`, cost."""
        for operator in self.operators:
            table = self.table(operator)
            for phase, _ in table.phases:
                for tool in self.tools:
                    rows = [r for r in self.results if (r.operator, r.phase, r.target) == (operator, phase, tool)]
                    if not rows:
                        continue
                    cost = self.cost(tool, phase, operator)
                    outcomes = [row.outcome.value for row in rows]
                    failures = sorted({row.failure for row in rows if row.failure})
                    yield {
                        "tool": tool, "phase": phase, "operator": operator, "share": table[phase, tool].fraction,
                        "outcomes": {each: outcomes.count(each) for each in dict.fromkeys(outcomes)},
                        "failures": failures, "expected": sorted({row.expected.value for row in rows if row.expected}),
                        "connect_ms": cost.connect_ms, "kbits_per_second": cost.kbits_per_second,
                    }  # fmt: skip

    @property
    def exit_code(self) -> int:
        """As for a run: 0; 1 if an expectation was not met; 3 if a tool has no verdict for a fault of the testbed."""
        if self.undecided or any(not result.outcome.is_measured for result in self.results):
            return 3
        return 1 if self.unmet else 0


def _middle(used: Sequence[Mapping[str, Any]], key: str) -> float | None:
    values = [each[key] for each in used if key in each]
    return round(median(values), 1) if values else None


def known_tools(scenario: Scenario) -> dict[str, Probe]:
    """Returns the scenario's own tools and every installed kind of tool with its default settings, by name."""
    kinds = kinds_of(Probe)
    found: dict[str, Probe] = {}
    for name in kinds:
        try:
            kind = kinds[name]
        except ExtensionError:
            continue  # reported if a scenario names it
        if issubclass(kind, Tool):
            found[name] = probe(name)
    return found | dict(scenario.tools)


def missing_programs(tool: Probe) -> dict[str, str]:
    """Returns the programs that a tool needs and this machine lacks, with the Debian package of each."""
    path = f"{os.environ.get('PATH', os.defpath)}:{_SBIN}"
    needs = tool.needs if isinstance(tool, Tool) else {}
    return {program: package for program, package in needs.items() if shutil.which(program, path=path) is None}


def arranged(shutdown: Shutdown, tools: Mapping[str, Probe], phases: Sequence[str] = ()) -> Shutdown:
    """Returns the shutdown with tools in place of its probes, and a server abroad for each tool that names none. Pure.

    phases: those in which tools are used, besides the first, which shows that they work; empty: all. Tools without
    `from` are used by ordinary subscribers.
    """
    scenario, topology = shutdown.scenario, shutdown.topology
    placed, apps = dict[str, Probe](), dict[str, App]()
    for name, tool in tools.items():
        change: dict[str, Any] = {}
        if tool.from_ == Scope():
            change["from_"] = Scope(subscribers=(SubscriberClass.ORDINARY.value,))
        if phases and tool.during:
            change["during"] = tuple(dict.fromkeys((scenario.timeline[0].phase, *tool.during)))
        if isinstance(tool, Tool):
            host = tool.host or f"{_label(name)}.tools.example"
            change["url"] = tool.url or f"https://{host if tool.serves_page else _PAGE}/bytes/1000000"
            if tool.host is None:
                change["host"] = host
                apps[f"tool-{_label(name)}"] = _served(tool.title or name, host, tool.services)
        placed[name] = tool.model_copy(update=change)
    apps["tools-page"] = _served("What tools fetch", _PAGE, ("https/443",))
    first, transit = next(iter(topology.transits.items()))
    abroad = transit.model_copy(update={"serves": (*transit.serves, *apps)})
    topology = topology.model_copy(update={"transits": topology.transits | {first: abroad}})
    known = {**shutdown.apps, **apps}
    scenario = scenario.model_copy(
        update={
            "probes": placed,
            "observations": {},
            "tools": {},
            "expectations": {},
            "timeline": tuple(_expecting(scenario, phase, placed) for phase in _kept(scenario, phases)),
        }
    )
    own = tuple(program for program in shutdown.programs if not program.what.startswith("the probe "))
    if shutdown.document is not None:
        document = shutdown.document
        own += tuple(
            own_program(document, ("tools", name), f"the tool {name}", command)
            for name, tool in tools.items()
            for command in tool.programs
        )
    return replace(
        shutdown, scenario=scenario, topology=topology, apps=known, network=lay_out(topology, known), programs=own,
        source="", idle=(),
    )  # fmt: skip


def with_tools(shutdown: Shutdown, names: Sequence[str], at: Sequence[str] = ()) -> Shutdown:
    """Returns the shutdown that a matrix of these tools runs, for `verify`. Pure.

    names: tools, also several in one string separated by commas, or `all`. at: phases; empty: all. Raises `BadInput`.
    """
    known = known_tools(shutdown.scenario)
    chosen = [name for given in names for name in _several(given)]
    for name in chosen:
        lookup.known("tool", name, (*known, "all"), "tools")
    for phase in at:
        lookup.phase_named(shutdown.scenario, phase, "at")
    return arranged(shutdown, known if "all" in chosen else {name: known[name] for name in chosen}, at)


def _several(names: str | Sequence[str]) -> Sequence[str]:
    """Returns names that may also come in one string, separated by commas."""
    return [name for name in names.split(",") if name] if isinstance(names, str) else names


def _kept(scenario: Scenario, phases: Sequence[str]) -> Iterator[Phase]:
    """Yields the first phase and these (empty: all), each with the policies in force as in the whole timeline."""
    now, before = dict[str, None](), dict[str, None]()
    for phase in scenario.timeline:
        for name in phase.stop:
            now.pop(name, None)
        now |= dict.fromkeys(phase.start)
        if phase is scenario.timeline[0] or not phases or phase.phase in phases:
            start = tuple(name for name in now if name not in before)
            stop = tuple(name for name in before if name not in now)
            yield phase.model_copy(update={"start": start, "stop": stop})
            before = dict(now)


def _label(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "tool"


def _served(title: str, host: str, services: Iterable[str]) -> App:
    endpoint = Endpoint.model_validate({"names": [host], "ports": list(services)})
    return App(title=title, category="tools", endpoints=(endpoint,))


def _expecting(scenario: Scenario, phase: Phase, tools: Mapping[str, Probe]) -> Phase:
    """Returns the phase with its expectations about these tools."""
    found: list[Expectation] = []
    for item in phase.expect:
        for each in scenario.expectations[item] if isinstance(item, str) else (item,):
            if each.tools is None:
                continue
            names = tuple(tools) if each.tools == "all" else tuple(name for name in each.tools if name in tools)
            if names:
                found.append(each.model_copy(update={"tools": None, "probes": names}))
    return phase.model_copy(update={"expect": tuple(found)})


def matrix(
    scenario: Shutdown | str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    *,
    tools: str | Sequence[str] = (),
    at: str | Sequence[str] = (),
    choose: Mapping[str, str] | None = None,
    seed: int = 0,
    datapath: Wish = "auto",
    trust: bool = False,
    on_event: Listener | None = None,
) -> Matrix:
    """Tests circumvention tools in every phase, from every operator: which of them work, and at what cost.

    scenario, out, choose, seed, datapath, trust, on_event: as for `run`. tools: names of kinds of tools (`ssh`,
    `shadowsocks`, …) and of those under the scenario's `tools`; empty: all. at: the phases; empty: all. A tool whose
    programs are not installed, or that does not work with nothing blocked, is left out, with the reason; so is one of
    which the testbed cannot tell that, after it was asked again in another country.

    Raises what `run` does; `MachineCannot` if no tool is left.
    """
    from shutdownlab.system.kernel import MachineCannot

    shutdown = scenario if isinstance(scenario, Shutdown) else library.load(scenario)
    known = known_tools(shutdown.scenario)
    tools, at = _several(tools), _several(at)
    for name in tools:
        lookup.known("tool", name, known, "tools")
    for phase in at:
        lookup.phase_named(shutdown.scenario, phase, "at")
    phases = tuple(at) or tuple(phase.phase for phase in shutdown.scenario.timeline)
    wanted = {name: known[name] for name in (tools or known)}
    left_out: dict[str, str] = {}
    for name, tool in wanted.items():
        if missing := missing_programs(tool):
            packages = " ".join(dict.fromkeys(missing.values()))
            left_out[name] = f"{' and '.join(missing)} not installed: sudo apt-get install {packages}"
        elif lacking := [each for each in (tool.modules if isinstance(tool, Tool) else ()) if find_spec(each) is None]:
            left_out[name] = f"{' and '.join(lacking)} not installed: pip install {' '.join(lacking)}"
    directory = out
    doubted, undecided = set[str](), set[str]()
    while rest := {name: tool for name, tool in wanted.items() if name not in left_out}:
        play = arranged(shutdown, rest, at)
        unusable: list[Result] = []

        def listen(event: Any, unusable: list[Result] = unusable) -> None:
            if isinstance(event, SelfChecked):
                unusable += event.broken
            if on_event is not None:
                on_event(event)

        try:
            run = launch.run(
                play, directory, choose=choose, seed=seed, datapath=datapath, trust=trust, on_event=listen,
            )  # fmt: skip
        except RunFailed as failed:
            if failed.run.status != "self-check failed" or not unusable:
                raise
            told = {of.target: of.failure or of.outcome.value for of in unusable if of.outcome is not Outcome.UNKNOWN}
            unknown = {of.target: of.failure for of in unusable if of.target not in told}
            twice = {name: why for name, why in unknown.items() if name in doubted}
            left_out |= {name: f"does not work here with nothing blocked: {why}" for name, why in told.items()}
            left_out |= {name: f"not known to work here with nothing blocked: {why}" for name, why in twice.items()}
            doubted |= unknown.keys()
            undecided |= twice.keys()
            if undecided and wanted.keys() <= left_out.keys():
                raise
            without = ["without", *map(_label, (*told, *twice))] if told or twice else ["again"]
            directory = "-".join((str(failed.run.path), *without))
            continue
        titles = {name: tool.title if isinstance(tool, Tool) else name for name, tool in rest.items()}
        asns = {f"AS{operator.asn}": name for name, operator in play.topology.operators.items()}
        return Matrix(run, titles, phases, left_out, asns, play, dict(choose or {}), frozenset(undecided))
    reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items())
    raise MachineCannot("use any of these tools", reasons, "sudo scripts/setup tools")


__all__ = ["Cost", "Matrix", "arranged", "known_tools", "matrix", "missing_programs", "with_tools"]
