"""`shutdownlab list`."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from shutdownlab import library


def list_() -> None:
    """The scenarios and topologies it ships."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for kind, one in (("scenarios", "scenario"), ("topologies", "topology")):
        for name, _ in library.shipped(kind):  # type: ignore[arg-type]
            title = library.load(name).scenario.title if one == "scenario" else library.topology(name).title
            table.add_row(one, f"[bold]{name}[/bold]", title)
    Console().print(table)
