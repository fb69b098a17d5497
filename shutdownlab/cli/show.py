"""`shutdownlab show`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from shutdownlab import library
from shutdownlab.cli.program import user_errors
from shutdownlab.schemas.shipped import pointing_here


def show(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A shipped scenario, country or profile, or apps: the catalogue.")
    ],
) -> None:
    with user_errors():
        sys.stdout.buffer.write(pointing_here(library.shipped_file(name).read_bytes()))
