"""`shutdownlab profiles`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from shutdownlab.cli.options import known
from shutdownlab.cli.program import user_errors
from shutdownlab.inspection.vocabulary import profile_names


def profiles(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Print this one as a file, with its sources.")
    ] = None,
) -> None:
    from shutdownlab.config.writing import to_yaml
    from shutdownlab.inspection.profile import shipped_profile
    from shutdownlab.reporting.inspection import profile_list

    with user_errors():
        if name is None:
            Console().print(profile_list(map(shipped_profile, profile_names())))
        else:
            known("profiles", "profile", name, profile_names())
            typer.echo(to_yaml(shipped_profile(name)), nl=False)
