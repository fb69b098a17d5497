"""A pytest plugin, active wherever the package is installed: scenarios are test files, their expectations are tests.

    pytest scenarios/                       # by the model, unprivileged; --shutdownlab=emulate: with real packets

Your own tests can use a running country. In a module with `pytestmark = pytest.mark.shutdown("kazakhstan-2022")`, tests
have the fixtures `country` (an `sl.Lab`, one per module), `phase` and `subscriber`. The last two run a test for each
phase and each vantage point, or for those in the mark: `shutdown(SCENARIO, phases=[…], subscribers=[…])`. The fixture
`shutdown_run` is a whole run of the scenario.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from shutdownlab.country.lab import Lab
    from shutdownlab.library import Shutdown
    from shutdownlab.model.scenario import Expectation, Phase
    from shutdownlab.model.scope import Scope
    from shutdownlab.results.result import Result
    from shutdownlab.results.run import Run
    from shutdownlab.verifier.verify import Verified

_KEYS = ("topology", "timeline", "policies", "probes")
_OWN_KEYS = _KEYS[:2]
"""Those that no file has which a scenario includes."""
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_EXTENDS = re.compile(r"^extends: *[\"']?([^\s\"'#]+)", re.MULTILINE)
_MOST_READ = 1 << 20
_UNDECIDED = "the model decides none of its cells: --shutdownlab=emulate measures them"
_OF_TOOLS = "it is about tools: `shutdownlab matrix` tests it"
_OF_NO_CELL = "no cell is tested by it here: its probes are not measured in this phase, or later expectations apply"
_MARK = 'pytestmark = pytest.mark.shutdown("SCENARIO") in the module names the scenario'


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options `--shutdownlab` and `--shutdownlab-trust`."""
    group = parser.getgroup("shutdownlab")
    group.addoption(
        "--shutdownlab-trust",
        action="store_true",
        help="start the programs that scenarios bring along, inside the sandbox",
    )
    group.addoption(
        "--shutdownlab",
        choices=("verify", "emulate", "both"),
        default="verify",
        help="how expectations of scenarios are tested: by the model (default), by a run with real packets, or by "
        "both, which must agree",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Registers the mark `shutdown`."""
    config.addinivalue_line("markers", "shutdown(scenario, phases=None, subscribers=None): the country of `country`")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collects YAML files that have a scenario's keys."""
    if file_path.suffix in {".yaml", ".yml"} and _is_scenario(file_path):
        return ScenarioFile.from_parent(parent, path=file_path)
    return None


def _is_scenario(path: Path) -> bool:
    """Whether a file has keys of a scenario's at the beginnings of lines; whether it is valid is left to the test.

    Two of them will do, in whatever encoding: a guard whose `timeline` is misspelt must fail, and not vanish.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_MOST_READ)
    except OSError:
        return False
    text = start.decode("utf-16" if start.startswith(_UTF_16) else "utf-8-sig", errors="replace")
    if (varied := _EXTENDS.search(text)) is None:
        return any(map(partial(_has, text), _OWN_KEYS)) and sum(map(partial(_has, text), _KEYS)) > 1
    from shutdownlab.library import shipped

    ships = varied[1] in dict(shipped("scenarios"))
    return ships or _has(text, "name") or (path.parent / varied[1]).is_file()  # linters' settings have `extends`, too


def _has(text: str, key: str) -> bool:
    return re.search(rf"^{key}:", text, re.MULTILINE) is not None


class ScenarioFile(pytest.File):
    """A scenario file; an invalid one is a collection error."""

    @cached_property
    def shutdown(self) -> Shutdown:
        from shutdownlab.library import load

        return load(os.path.relpath(self.path))  # the name that messages show

    def collect(self) -> Iterable[pytest.Item]:
        """Yields an item for each expectation of each phase."""
        from shutdownlab.config.problems import BadInput

        try:
            scenario = self.shutdown.scenario
        except BadInput as error:
            raise self.CollectError(str(error)) from None
        choices = scenario.default_choices()
        for index, phase in enumerate(scenario.timeline):
            counted = {id(each) for each in scenario.expectations_of(phase, choices)}
            for place, item in enumerate(phase.expect):
                named = scenario.expectations[item] if isinstance(item, str) else (item,)
                for number, expectation in enumerate(named):
                    if id(expectation) in counted:
                        path = (
                            ("expectations", item, number)
                            if isinstance(item, str)
                            else ("timeline", index, "expect", place)
                        )
                        yield ExpectationItem.from_parent(
                            self,
                            name=f"{phase.phase}::{_described(item, expectation)}",
                            phase=phase,
                            about=expectation,
                            place=path,
                        )

    @cached_property
    def measured(self) -> list[Result] | str:
        """The results of a run with real packets, which starts on first use; why there are none, if it failed: it is
        not tried again for every expectation."""
        from shutdownlab.runner.launch import run

        factory: pytest.TempPathFactory = self.config._tmp_path_factory  # type: ignore[attr-defined]
        directory = factory.mktemp("shutdownlab") / self.path.stem  # pytest keeps the directories of its last few runs
        try:
            with _failing_plainly():
                found: Run = run(self.shutdown, directory, trust=self.config.getoption("--shutdownlab-trust"))
        except pytest.fail.Exception as failed:
            return str(failed.msg)
        return found.results

    @cached_property
    def model(self) -> Verified:
        """The verification by the model, with its reasons."""
        from shutdownlab.verifier.verify import verify

        return verify(self.shutdown)

    @cached_property
    def verified(self) -> list[Result]:
        """The model's results."""
        return self.model.results

    @cached_property
    def cells(self) -> dict[tuple[str, int], list[int]]:
        """The indices of the results that an expectation applies to, by phase and by the expectation's `id()`."""
        from shutdownlab.results.cells import cells_of, expected_of

        found: dict[tuple[str, int], list[int]] = {}
        choices, number = self.shutdown.scenario.default_choices(), 0
        for phase in self.shutdown.scenario.timeline:
            for cell in cells_of(self.shutdown, phase):
                fact = expected_of(self.shutdown, choices, phase, cell)
                if fact is not None:
                    found.setdefault((phase.phase, id(fact)), []).append(number)
                number += 1
        return found


class ExpectationItem(pytest.Item):
    """One expectation in one phase: passes if every cell that it applies to comes out as expected."""

    parent: ScenarioFile

    def __init__(self, *, phase: Phase, about: Expectation, place: tuple[str | int, ...], **more: Any) -> None:
        super().__init__(**more)
        self.phase, self.about, self.place = phase, about, place

    def runtest(self) -> None:
        """Checks the cells; raises `NotAsExpected` if one of them differs, or if model and packets disagree.

        Skips the test, with the reason, if there is nothing to check.
        """
        from shutdownlab.reporting.summary import cited, unmet_lines

        how: str = self.config.getoption("--shutdownlab")
        places = self.parent.cells.get((self.phase.phase, id(self.about)), [])
        if not places:
            pytest.skip(_OF_TOOLS if self.about.tools else _OF_NO_CELL)
        report: list[str] = []
        for way, chosen in (("verify", "verified"), ("emulate", "measured")):
            if how in {way, "both"}:
                of_all = getattr(self.parent, chosen)
                if isinstance(of_all, str):
                    raise NotAsExpected(of_all)
                results = [of_all[place] for place in places]
                if how == "verify" and not any(result.outcome.is_measured for result in results):
                    pytest.skip(_UNDECIDED)
                unmet = [
                    result for result in results if not result.met and (way == "emulate" or result.outcome.is_measured)
                ]
                because = self.parent.model.because if way == "verify" else lambda _: ""
                report += [f"{chosen}: {line}" if how == "both" else line for line in unmet_lines(unmet, because)]
                report += [
                    f"    [{code}] {source}" for code, source in cited(self.parent.shutdown.scenario.sources, unmet)
                ]
        if how == "both":
            measured = self.parent.measured
            assert not isinstance(measured, str)
            report += _disagreements((self.parent.verified[place], measured[place]) for place in places)
        if report:
            raise NotAsExpected("\n".join(report))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Returns the failure for the terminal: an unmet expectation without a traceback, other errors with one."""
        if isinstance(excinfo.value, NotAsExpected):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Returns the file and line (from 0) of the expectation."""
        _, _, line = self.parent.shutdown.place(self.place).rpartition(":")
        return self.path, int(line) - 1 if line.isdecimal() else None, self.name


class NotAsExpected(Exception):
    """Cells did not come out as expected."""


def _described(item: object, expectation: Expectation) -> str:
    name = f"{item}: " if isinstance(item, str) else ""
    who = ", ".join(_scope(expectation.who))
    reach = [*_listed(expectation.probes), *_listed(expectation.observations)]
    return f"{name}{', '.join(reach) or 'everything'}{f' from {who}' if who else ''} is {expectation.outcome}"


def _scope(scope: Scope) -> Iterator[str]:
    kinds = (scope.regions, scope.access, scope.subscribers, scope.groups, scope.prefixes)
    for each in (scope.operators, scope.gateways, *kinds):
        yield from map(str, each)
    if scope.share < 1:
        yield f"{100 * scope.share:g} % of addresses"
    if scope.not_ is not None:
        yield f"not ({', '.join(_scope(scope.not_))})"
    for word, scopes in ((" or ", scope.any_), (" and ", scope.all_)):
        if scopes:
            yield word.join(f"({', '.join(_scope(part))})" for part in scopes)


def _listed(reach: object) -> list[str]:
    return [str(each) for each in reach] if isinstance(reach, tuple) else [str(reach)] if reach else []


def _disagreements(pairs: Iterable[tuple[Result, Result]]) -> Iterator[str]:
    """Yields the cells whose verified and measured outcomes or failures differ; undecided ones do not count."""
    for verified, measured in pairs:
        decided = verified.outcome.is_measured and measured.outcome.is_measured
        if decided and (verified.outcome, verified.failure) != (measured.outcome, measured.failure):
            cell = f"{verified.vantage} {verified.target} {verified.family}"
            seen = f"measured {measured.outcome} ({measured.failure})"
            yield f"{cell}: verified {verified.outcome} ({verified.failure}), {seen}"


# -- fixtures ----------------------------------------------------------------------------------------------------------


@contextmanager
def _failing_plainly() -> Iterator[None]:
    """Fails the test with the message alone for what is wrong with the input, the machine or the run."""
    from shutdownlab.config.problems import BadInput
    from shutdownlab.runner.launch import RunFailed
    from shutdownlab.system.kernel import MachineCannot

    try:
        yield
    except BadInput as error:
        trust = (
            "\n    with pytest: --shutdownlab-trust" if any("--trust" in each.hint for each in error.problems) else ""
        )
        pytest.fail(f"nothing was run: {error}{trust}", pytrace=False)
    except MachineCannot as error:
        pytest.fail(f"nothing was run: {error}", pytrace=False)
    except RunFailed as failed:
        pytest.fail(f"the run broke off: {failed}", pytrace=False)


def _mark(node: Any) -> pytest.Mark:
    mark = node.get_closest_marker("shutdown")
    if mark is None or not mark.args:
        pytest.fail(_MARK, pytrace=False)
    return mark  # type: ignore[no-any-return]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrises `phase` and `subscriber` with those in the mark, or with all of the scenario's."""
    wanted = [name for name in ("phase", "subscriber") if name in metafunc.fixturenames]
    mark = metafunc.definition.get_closest_marker("shutdown")
    if not wanted or mark is None or not mark.args:
        return
    from shutdownlab.config.problems import BadInput
    from shutdownlab.library import load
    from shutdownlab.model.lookup import phase_named, vantage_point

    try:
        shutdown = load(mark.args[0])
        phases = mark.kwargs.get("phases") or [phase.phase for phase in shutdown.scenario.timeline]
        vantages = mark.kwargs.get("subscribers") or [str(vantage.id) for vantage in shutdown.network.vantages]
        for name in phases:
            phase_named(shutdown.scenario, name, "phases of the mark shutdown")
        for name in vantages:
            vantage_point(shutdown.topology, name, "subscribers of the mark shutdown")
    except BadInput as error:
        raise pytest.Collector.CollectError(str(error)) from None
    for name, values in (("phase", phases), ("subscriber", vantages)):
        if name in wanted:
            metafunc.parametrize(name, values, indirect=True, scope="module" if name == "phase" else None)


@pytest.fixture(scope="module")
def country(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """The running country of the module's scenario, an `sl.Lab`."""
    from shutdownlab.country.lab import lab

    with ExitStack() as ending:
        with _failing_plainly():
            running = ending.enter_context(
                lab(_mark(request.node).args[0], trust=request.config.getoption("--shutdownlab-trust"))
            )
        yield running


@pytest.fixture
def subscriber(request: pytest.FixtureRequest) -> str:
    """The name of a vantage point: one of the mark's, or of all."""
    _mark(request.node)
    return str(request.param)


@pytest.fixture(scope="module")
def phase(request: pytest.FixtureRequest, country: Lab) -> str:
    """The name of a phase, which the country has been put into."""
    name: str = request.param
    country.phase(name)
    return name


@pytest.fixture(scope="module")
def shutdown_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A whole run of the module's scenario, an `sl.Run`."""
    from shutdownlab.runner.launch import run

    with _failing_plainly():
        trust = request.config.getoption("--shutdownlab-trust")
        return run(_mark(request.node).args[0], tmp_path_factory.mktemp("shutdown") / "run", trust=trust)
