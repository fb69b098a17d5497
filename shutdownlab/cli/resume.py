"""`shutdownlab resume`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shutdownlab.cli.options import Trust
from shutdownlab.cli.program import user_errors
from shutdownlab.cli.run import one_run


def resume(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The directory of an unfinished run.")],
    trust: Trust = False,
) -> None:
    from shutdownlab.reporting.progress import Progress
    from shutdownlab.runner import launch

    progress = Progress(run)
    with user_errors(), one_run(progress):
        finished = launch.resume(run, trust=trust, on_event=progress)
    raise typer.Exit(finished.exit_code or 0)
