"""`shutdownlab list`."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Final

from rich.console import Console

from shutdownlab.reporting.literal import literal

if TYPE_CHECKING:
    from shutdownlab.library import Kind

_KINDS: Final[tuple[tuple[Kind, str], ...]] = (("scenarios", "Scenarios"), ("topologies", "Countries"))


def list_() -> None:
    from shutdownlab import library

    console = Console(highlight=False, soft_wrap=True)
    for kind, heading in _KINDS:
        shipped = dict(library.shipped(kind))
        folder = Path(str(next(iter(shipped.values())))).parent
        console.print(f"{heading}, in {literal(str(folder))}")
        width = max(map(len, shipped)) + 2
        for name, file in shipped.items():
            title = library.title_of(file)
            room = console.width - width - 2 if console.is_terminal else len(title)
            for number, part in enumerate(wrap(title, max(room, 20))):
                console.print(f"  [bold]{'' if number else name:<{width}}[/bold]{literal(part)}")
    console.print("A copy to start from: shutdownlab show NAME > my.yaml")
