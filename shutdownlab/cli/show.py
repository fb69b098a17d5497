"""`shutdownlab show`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from shutdownlab import library
from shutdownlab.cli.program import told


def show(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A scenario, topology or profile it ships, or apps: the catalogue.")
    ],
) -> None:
    """Print a file that ships, as it is: a start for your own (`shutdownlab show first-shutdown > my.yaml`)."""
    with told():
        sys.stdout.buffer.write(library.shipped_file(name).read_bytes())
