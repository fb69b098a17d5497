"""Makes the page of a run from its directory: `sl.report`, and `shutdownlab report RUN -o FILE.html`."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from pathlib import Path, PurePath

from pydantic import ValidationError

from shutdownlab.config.problems import BadInput, Problem
from shutdownlab.config.wording import quoted
from shutdownlab.library import Shutdown, load
from shutdownlab.model.lookup import refuse
from shutdownlab.reporting.page.account import RunAccount
from shutdownlab.reporting.page.difference import Difference
from shutdownlab.reporting.page.document import document
from shutdownlab.reporting.page.evidence import Extract, extract_of
from shutdownlab.reporting.page.orders import Order, breakdowns_of, orders_of
from shutdownlab.reporting.page.whys import Whys, whys_of
from shutdownlab.results.events import Damaged, Ordered
from shutdownlab.results.manifest import Undertaking
from shutdownlab.results.run import Run
from shutdownlab.verifier.causes import with_causes
from shutdownlab.verifier.compare import compare


@dataclass(frozen=True, slots=True)
class ReportPage:
    """The report of a run as one HTML document; a notebook shows it where it stands."""

    html: str = field(repr=False)

    def write(self, path: str | Path) -> None:
        """Write it to a file; raises `OSError`."""
        Path(path).write_text(self.html, encoding="utf-8")

    def _repr_html_(self) -> str:
        """For a notebook: in a frame of its own, so that neither's style is the other's."""
        return f'<iframe srcdoc="{escape(self.html)}" style="width:100%;height:80vh;border:0" title="Report"></iframe>'


def report(
    run: str | Path | Run, out: str | Path | None = None, *, against: str | Path | Run | None = None
) -> ReportPage:
    """What a run found, as a page to read: what was cut, where, when, for how long, what stayed open, and why.

    run: a run directory, or an opened one: of a run that has finished, broke off or still goes on, of an earlier
    version, or one that `verify` has written. out: the file to write; left out: none. against: another run, of the
    same country and phases; the page then says what differs from it. The page is one HTML file that loads nothing.
    Why a cell came out as it did is told where the scenario of the run is there and unchanged. Raises `BadInput` where
    there is no run, or the file cannot be written.
    """
    if out is not None:
        page_name(out, "out")
    opened = run if isinstance(run, Run) else Run.open(run)
    other = against if against is None or isinstance(against, Run) else Run.open(against)
    page = ReportPage(_made(opened, other))
    if out is not None:
        try:
            page.write(out)
        except OSError as error:
            found = f"{out}, which cannot be written ({(error.strerror or str(error)).lower()})"
            refuse("out", found, "where a file can be made", "name a file in a folder that is there")
    return page


def page_name(path: str | Path, parameter: str) -> None:
    """Refuse a name that would hide what the file is, as a mistake in `parameter`; raises `BadInput`."""
    if Path(path).suffix.lower() not in {".html", ".htm"}:
        expected = "a name that ends in .html"
        refuse(
            parameter, quoted(str(path)), expected, f"name it {Path(path).with_suffix('.html').name or 'report.html'}"
        )


def _made(run: Run, other: Run | None) -> str:
    account, orders, whys, extracts = contents_of(run)
    difference = None if other is None else _difference(account, account_of(other))
    return document(account, orders, whys, extracts, _file("page.css"), _file("page.js"), difference)


def contents_of(run: Run) -> tuple[RunAccount, tuple[Order, ...], Whys, dict[str, Extract]]:
    """What the page of a run is made from; raises `BadInput` where its manifest is none."""
    account = account_of(run)
    shutdown, orders = account.shutdown, orders_and_faults(run, account)
    choices = dict(run.manifest.get("choices", {}))
    whys = whys_of(shutdown, choices, run.results) if shutdown else Whys()
    return account, orders, whys, _extracts(run)


def orders_and_faults(run: Run, account: RunAccount) -> tuple[Order, ...]:
    """What was ordered in a run, and then what broke."""
    told = [] if account.shutdown else list(run.events())  # the scenario says it itself, where it is there
    ordered = {event.phase: event.policies for event in told if isinstance(event, Ordered)}
    damaged = {event.phase: event.faults for event in told if isinstance(event, Damaged)}
    return (*orders_of(account, ordered), *breakdowns_of(account, damaged))


def _difference(account: RunAccount, other: RunAccount) -> Difference:
    """What differs, with the causes where both scenarios are there."""
    found = compare(other.results, account.results)
    if not found.compared:
        refuse("against", f"{other.name}, which has no cell that {account.name} has", "a run of the same country")
    if account.shutdown is not None and other.shutdown is not None:
        sides = ((side.shutdown, dict(side.manifest.get("choices", {}))) for side in (other, account) if side.shutdown)
        found = with_causes(found, *sides)
    return Difference(other, found)


def account_of(run: Run) -> RunAccount:
    """A run as reports and figures take it; raises `BadInput` where its manifest is none."""
    try:
        Undertaking.model_validate(run.manifest)
    except ValidationError as error:
        detail = error.errors()[0]
        where, found = ".".join(map(str, detail["loc"])), quoted(detail["input"])
        raise BadInput([Problem(str(run.path / "manifest.json"), 0, where, found, detail["msg"])]) from None
    shutdown, missing = scenario_of(run)
    name = run.path.resolve().name
    return RunAccount(name, run.status, run.manifest, run.results, run.faults, shutdown, missing, run.readings)


def scenario_of(run: Run) -> tuple[Shutdown | None, str]:
    """The scenario that was run, or why it is not there."""
    source, digest = str(run.manifest.get("source", "")), run.manifest.get("digest", "")
    if not source:
        return None, "the record does not say where its scenario is"
    called = PurePath(source).name  # not where: a page is passed on
    try:
        shutdown = load(source, set=run.manifest.get("settings"))
    except BadInput:
        return None, f"the scenario {called} cannot be read any more"
    if shutdown.digest != digest:
        return None, f"the scenario {called} is not what it was when this was made"
    phases = {phase.phase for phase in shutdown.scenario.timeline}
    vantages = {str(vantage.id) for vantage in shutdown.network.vantages} | {""}
    if any(r.phase not in phases or (r.vantage if r.region else "") not in vantages for r in run.results):
        return None, f"the results are not all of the scenario {called}"
    known = shutdown.scenario.accounts
    if any(o not in known[a].options for a, o in run.manifest.get("choices", {}).items() if a in known):
        return None, f"the scenario {called} does not know the choices that were made"
    return shutdown, ""


def _extracts(run: Run) -> dict[str, Extract]:
    """Of each cell the extract of its record; the last one, where a phase was measured again."""
    found = (extract_of(line, record) for line, record in enumerate(run.measurements(), 1))
    return dict(each for each in found if each is not None)


def _file(name: str) -> str:
    return (files("shutdownlab.reporting.page") / name).read_text(encoding="utf-8")
