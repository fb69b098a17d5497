"""Makes the report page of a run directory: `sl.report` and `shutdownlab report RUN -o FILE.html`."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from pathlib import Path, PurePath

from shutdownlab.config.problems import BadInput
from shutdownlab.config.wording import quoted, with_ending
from shutdownlab.library import Shutdown, load
from shutdownlab.model.lookup import refuse
from shutdownlab.reporting.page.account import RunAccount
from shutdownlab.reporting.page.difference import Difference
from shutdownlab.reporting.page.document import document
from shutdownlab.reporting.page.evidence import Extract, extract_of
from shutdownlab.reporting.page.orders import Order, breakdowns_of, orders_of
from shutdownlab.reporting.page.whys import Whys, whys_of
from shutdownlab.results.events import Damaged, Ordered
from shutdownlab.results.run import Run
from shutdownlab.verifier.causes import with_causes
from shutdownlab.verifier.compare import compare


@dataclass(frozen=True, slots=True)
class ReportPage:
    """The report of a run as one HTML document; a notebook displays it inline."""

    html: str = field(repr=False)

    def write(self, path: str | Path) -> None:
        """Writes the page to a file; raises `OSError`."""
        Path(path).write_text(self.html, encoding="utf-8")

    def _repr_html_(self) -> str:
        """Returns the page in an iframe, so that its style and the notebook's do not mix."""
        return f'<iframe srcdoc="{escape(self.html)}" style="width:100%;height:80vh;border:0" title="Report"></iframe>'


def report(
    run: str | Path | Run, out: str | Path | None = None, *, against: str | Path | Run | None = None
) -> ReportPage:
    """Reports what a run found, as a page: what was cut, where, when, for how long, what stayed open, and why.

    run: a run directory, or a `Run`; the run may have finished, broken off or still be going on, come from an earlier
    version, or have been written by `verify`. out: the file to write (.html or .htm); None: no file. against: another
    run of the same country and phases; the page then shows what differs from it. The page is one HTML file that loads
    nothing. It explains why cells came out as they did only if the run's scenario still exists, unchanged. Raises
    `BadInput` if there is no run, if the two runs have no cell in common, or if the file cannot be written.
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
            refuse("out", found, "a file that can be created", "name a file in an existing folder")
    return page


def page_name(path: str | Path, parameter: str) -> None:
    """Raises `BadInput`, about `parameter`, if a file name does not end in .html or .htm."""
    if Path(path).suffix.lower() not in {".html", ".htm"}:
        expected = "a name that ends in .html"
        refuse(parameter, quoted(str(path)), expected, f"name it {with_ending(Path(path), '.html', 'report').name}")


def _made(run: Run, other: Run | None) -> str:
    account, orders, whys, extracts = contents_of(run)
    difference = None if other is None else _difference(account, account_of(other))
    return document(account, orders, whys, extracts, _file("page.css"), _file("page.js"), difference)


def contents_of(run: Run) -> tuple[RunAccount, tuple[Order, ...], Whys, dict[str, Extract]]:
    """Returns what a run's page is made from: its account, its orders and faults, explanations, and extracts by cell.

    Raises `BadInput` if the manifest is invalid.
    """
    account = account_of(run)
    shutdown, orders = account.shutdown, orders_and_faults(run, account)
    choices = dict(run.manifest.get("choices", {}))
    whys = whys_of(shutdown, choices, run.results) if shutdown else Whys()
    return account, orders, whys, _extracts(run)


def orders_and_faults(run: Run, account: RunAccount) -> tuple[Order, ...]:
    """Returns the orders of a run, followed by its faults."""
    events = [] if account.shutdown else list(run.events())  # needed only if the scenario is not available
    ordered = {event.phase: event.policies for event in events if isinstance(event, Ordered)}
    damaged = {event.phase: event.faults for event in events if isinstance(event, Damaged)}
    return (*orders_of(account, ordered), *breakdowns_of(account, damaged))


def _difference(account: RunAccount, other: RunAccount) -> Difference:
    """Compares two runs; with the causes of differences if both scenarios are available."""
    found = compare(other.results, account.results)
    if not found.compared:
        refuse("against", f"{other.name}, which has no cell that {account.name} has", "a run of the same country")
    if account.shutdown is not None and other.shutdown is not None:
        sides = ((side.shutdown, dict(side.manifest.get("choices", {}))) for side in (other, account) if side.shutdown)
        found = with_causes(found, *sides)
    return Difference(other, found)


def account_of(run: Run) -> RunAccount:
    """Returns a run in the form that reports and figures use."""
    shutdown, missing = scenario_of(run)
    name = run.path.resolve().name
    return RunAccount(
        name, run.status, run.manifest, run.results, [*run.faults, *run.gaps], shutdown, missing, run.readings
    )


def scenario_of(run: Run) -> tuple[Shutdown | None, str]:
    """Loads the scenario of a run; returns it, or None and the reason why it cannot be used."""
    source, digest = str(run.manifest.get("source", "")), run.manifest.get("digest", "")
    if not source:
        return None, "the record does not say where its scenario is"
    called = PurePath(source).name  # without its folder: pages are passed on to others
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
    """Returns the extract of each cell's record, by cell id; the last one if a phase was measured again."""
    found = (extract_of(line, record) for line, record in enumerate(run.measurements(), 1))
    return dict(each for each in found if each is not None)


def _file(name: str) -> str:
    return (files("shutdownlab.reporting.page") / name).read_text(encoding="utf-8")
