"""`shutdownlab apps`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from shutdownlab.cli.options import known
from shutdownlab.cli.program import user_errors


def apps(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Print this one as a file to start from.")] = None,
) -> None:
    from shutdownlab.config.writing import to_yaml
    from shutdownlab.inspection.apps import Catalogue
    from shutdownlab.library import catalogue as shipped_apps
    from shutdownlab.reporting.inspection import app_list

    with user_errors():
        catalogue = shipped_apps()
        if name is None:
            Console().print(app_list(catalogue))
        else:
            known("apps", "app", name, catalogue)
            typer.echo(to_yaml(Catalogue(format=1, apps={name: catalogue[name]})), nl=False)
