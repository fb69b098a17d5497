"""`shutdownlab inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from shutdownlab.cli.options import STANDARD_INPUT, known, read_bytes
from shutdownlab.cli.program import bad_option, errors, say, user_errors
from shutdownlab.config.document import parse
from shutdownlab.config.wording import because
from shutdownlab.inspection.vocabulary import profile_names
from shutdownlab.reporting.literal import literal

_CAPTURE = "a pcap or pcapng file of IP packets, as Ethernet, Wi-Fi or Linux cooked frames and their like"


def inspect(
    capture: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A pcap or pcapng file, also compressed (gzip, bzip2, xz, zstd, lz4); - is standard input.",
        ),
    ],
    policy: Annotated[Path | None, typer.Option("--policy", metavar="FILE.yaml", help="Rules of the DPI box.")] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            metavar="NAME|FILE.yaml",
            help="The DPI box: one of `profiles`, or your own file.",
            show_default="the policy's, or perfect",
        ),
    ] = None,
    apps: Annotated[
        list[Path] | None,
        typer.Option("--apps", metavar="FILE.yaml", help="Apps of your own that rules may name; repeatable."),
    ] = None,
    format_: Annotated[
        Literal["table", "jsonl"], typer.Option("--format", metavar="table|jsonl", help="Output format.")
    ] = "table",
    seed: Annotated[
        int,
        typer.Option("--seed", metavar="NUMBER", help="Seed for everything random; for captures of a run, the run's."),
    ] = 0,
    summary: Annotated[
        bool, typer.Option("--summary", help="Count packets and flows instead of listing them.")
    ] = False,
) -> None:
    from shutdownlab.inspection.capture import NotACaptureError, open_capture
    from shutdownlab.inspection.catalogue import AppCatalogue, shipped_apps
    from shutdownlab.inspection.offline import OfflineInspection
    from shutdownlab.inspection.own_apps import with_files
    from shutdownlab.inspection.policy import load_policy
    from shutdownlab.inspection.profile import is_file_name, load_profile, shipped_profile
    from shutdownlab.reporting.inspection import flow_lines, flow_table, summary_line

    with user_errors():
        catalogue = shipped_apps()
        if apps:
            catalogue = AppCatalogue(with_files((parse(read_bytes(file), str(file)) for file in apps), catalogue.apps))
        if profile is not None and not is_file_name(profile):
            known("--profile", "profile", profile, profile_names())
        rules = load_policy(read_bytes(policy), str(policy), catalogue.apps) if policy else None
        if profile is not None and is_file_name(profile):
            box = load_profile(read_bytes(Path(profile)), profile, catalogue.apps)
        else:
            box = shipped_profile(profile or (rules and rules.profile) or "perfect")
        inspection = OfflineInspection(rules, box, seed=seed, apps=catalogue)
        try:
            packets = open_capture(STANDARD_INPUT if str(capture) == "-" else capture)
            inspection.run(packets)
        except NotACaptureError as error:
            bad_option(str(capture), str(error), _CAPTURE)
        except OSError as error:
            bad_option(str(capture), because(error), "a capture that can be read")
        if inspection.summary().packets == 0 and not packets.warnings:
            inspection.warnings.append("it has no packets")
        lines = [summary_line(inspection.summary())] if summary else None
        for line in lines or (flow_lines if format_ == "jsonl" else flow_table)(inspection.records()):
            say(line)
        for warning in (*packets.warnings, *(f"{packets.name}: {text}" for text in inspection.warnings)):
            errors().print(f"[yellow]warning:[/yellow] {literal(warning)}")
