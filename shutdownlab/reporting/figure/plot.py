"""Draws a run as a figure for a paper: `sl.plot` and `shutdownlab plot RUN -o FILE`."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, get_args

from shutdownlab.config.document import did_you_mean, one_of
from shutdownlab.config.wording import quoted, with_ending
from shutdownlab.model.lookup import refuse
from shutdownlab.reporting.figure.areas import areas
from shutdownlab.reporting.figure.reach import reach
from shutdownlab.reporting.figure.sheet import in_points, points
from shutdownlab.reporting.figure.signals import signals
from shutdownlab.reporting.page.account import RunAccount
from shutdownlab.reporting.page.report import account_of
from shutdownlab.reporting.png import can_make_png, pdf_of, png_of
from shutdownlab.results.reading import READINGS, read_readings
from shutdownlab.results.run import Run

What = Literal["reach", "map", "signals"]
KINDS: Final = (".pdf", ".svg", ".png")
COLUMN: Final = 85.0
"""The column width of a two-column paper, in millimetres."""
_NARROWEST, _WIDEST = 50.0, 420.0
_DOTS = 300 / 72
"""Pixels per point in a PNG, for 300 dots per inch."""


def plot(
    run: str | Path | Run, out: str | Path, *, what: What = "reach", at: str | None = None, width: float = COLUMN
) -> None:
    """Draws a run as a figure, in the report's light colours.

    run: a run directory, or a `Run`. out: FILE.pdf (with embedded fonts), FILE.svg or FILE.png (300 dots per inch).
    what: `reach`, who got through to each service over time; `map`, the regions in the phase `at` (None: the worst
    one); `signals`, what outsiders saw, if the run observed it. width: 50 to 420 millimetres. Raises `BadInput`, also
    if there is nothing to draw.
    """
    kind = _kind(out)
    if what not in get_args(What):
        refuse("what", quoted(str(what)), one_of(get_args(What)), did_you_mean(str(what), get_args(What)))
    if not _NARROWEST <= width <= _WIDEST:
        refuse("width", f"{width:g}", f"millimetres from {_NARROWEST:g} to {_WIDEST:g}", f"{COLUMN:g} is a column")
    opened = run if isinstance(run, Run) else Run.open(run)
    if at is not None and what != "map":
        refuse("at", f"a phase for `{what}`, which shows all phases", "no phase", "the map shows one phase")
    account = account_of(opened)
    if not account.spans:
        refuse("run", f"{opened.path}, of which no phase is measured", "a run with at least one complete phase")
    drawing = _drawn(opened, account, what, at, points(width))
    made = drawing.encode() if kind == ".svg" else png_of(drawing, _DOTS * 72 / 96) if kind == ".png" else b""
    if kind == ".pdf":
        made = pdf_of(in_points(drawing))
    try:
        Path(out).write_bytes(made)
    except OSError as error:
        found = f"{out}, which cannot be written ({(error.strerror or str(error)).lower()})"
        refuse("out", found, "a file that can be created", "name a file in an existing folder")


def _drawn(run: Run, account: RunAccount, what: What, at: str | None, width: float) -> str:
    if what == "reach":
        return reach(account, width)
    if what == "signals":
        readings = [reading for reading in read_readings(run.path) if reading.scope == "country"]
        if not readings:
            found = f"{run.path}, which has no {READINGS}: nobody looked at it from outside"
            refuse("run", found, "a run that observed outside signals", "`shutdownlab run --observe` does")
        return signals(account, readings, width)
    names = [span.name for span in account.spans]
    if at is not None and at not in names:
        refuse("at", f"unknown phase {quoted(at)}", one_of(names), did_you_mean(at, names))
    if not account.regions:
        refuse("run", f"{run.path}, in which no region is measured", "a run that measures from subscribers' lines")
    return areas(account, account.worst if at is None else names.index(at), width)


def _kind(out: str | Path) -> str:
    """Returns a file name's suffix; raises `BadInput` if it is not in `KINDS`, or the library to make it is missing."""
    kind = Path(out).suffix.lower()
    if kind not in KINDS:
        hint = f"name it {with_ending(Path(out), '.pdf', 'figure').name}"
        refuse("out", quoted(str(out)), "a name that ends in .pdf, .svg or .png", hint)
    if kind != ".svg" and not can_make_png():
        found = f"{out}, and nothing to make it with"
        refuse("out", found, "vl-convert installed, or FILE.svg", "pip install 'shutdownlab[png]'")
    return kind
