"""The command line: one module a command."""

from __future__ import annotations

import sys

from shutdownlab.cli import (
    apps,
    attach,
    check,
    compare,
    cost,
    detect,
    diff,
    doctor,
    explain,
    export,
    inspect,
    judge,
    lab,
    listing,
    matrix,
    new,
    plot,
    profiles,
    report,
    resume,
    run,
    schema,
    show,
    verify,
    web,
)
from shutdownlab.cli.crash import report_crash
from shutdownlab.cli.program import app, report_limit
from shutdownlab.reporting.help import CommandWithin, PlainCommand
from shutdownlab.system.limits import limit_reached
from shutdownlab.system.signals import reset_dispositions
from shutdownlab.system.streams import OutputLost, finish_output, guard_standard_streams

for _name, _command in (
    ("run", run.run),
    ("resume", resume.resume),
    ("report", report.report),
    ("cost", cost.cost),
    ("plot", plot.plot),
    ("export", export.export),
    ("check", check.check),
    ("verify", verify.verify),
    ("explain", explain.explain),
    ("diff", diff.diff),
    ("detect", detect.detect),
    ("compare", compare.compare),
    ("matrix", matrix.matrix),
    ("list", listing.list_),
    ("show", show.show),
    ("new", new.new),
    ("lab", lab.lab),
    ("attach", attach.attach),
    ("exec", lab.exec_),
    ("web", web.web),
    ("doctor", doctor.doctor),
    ("inspect", inspect.inspect),
    ("judge", judge.judge),
    ("profiles", profiles.profiles),
    ("apps", apps.apps),
    ("schema", schema.schema),
):
    app.command(name=_name, cls=CommandWithin if _name in {"exec", "attach"} else PlainCommand)(_command)


def main() -> None:
    """Entry point of the `shutdownlab` command."""
    reset_dispositions()
    guard_standard_streams()
    try:
        try:
            app()
        finally:
            finish_output()
    except OutputLost as lost:
        sys.exit(lost.told())
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if limit := limit_reached(error):
            sys.exit(report_limit(limit))
        sys.exit(report_crash(error))
