"""`shutdownlab show`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from shutdownlab.cli.program import user_errors


def show(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A shipped scenario, country or profile, or apps: the catalogue.")
    ],
) -> None:
    from shutdownlab.library import shipped_file
    from shutdownlab.schemas.shipped import pointing_here

    with user_errors():
        sys.stdout.buffer.write(pointing_here(shipped_file(name).read_bytes()))
