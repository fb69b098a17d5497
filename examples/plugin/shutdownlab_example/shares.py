"""A report of one's own: each phase and what of each service was left, as comma-separated values for a spreadsheet."""

from __future__ import annotations

from typing import ClassVar

from rich.console import Console

from shutdownlab.reporting.report import Report
from shutdownlab.results.run import Run


class Shares(Report):
    """The report `shares`."""

    title: ClassVar[str] = "shares from 0 to 1, comma-separated"

    def write(self, run: Run, console: Console) -> None:
        """Print it: a line of headings, a line per phase."""
        table = run.table
        lines = [("phase", *table.columns)]
        for row in table.rows():
            shares = (row[column] for column in table.columns)
            lines.append((str(row["phase"]), *("" if share is None else f"{share:.3f}" for share in shares)))
        for line in lines:
            console.print(",".join(line), soft_wrap=True, markup=False)
