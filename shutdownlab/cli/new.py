"""`shutdownlab new`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from shutdownlab import library
from shutdownlab.cli.program import bad_option, errors, user_errors, writable
from shutdownlab.config.document import parse, quoted
from shutdownlab.config.wording import with_ending
from shutdownlab.inspection.catalogue import shipped_apps
from shutdownlab.model.topology import Access
from shutdownlab.reporting.literal import literal
from shutdownlab.schemas.shipped import FOLDER
from shutdownlab.starting.country import CountryPlan, OperatorPlan, country_text
from shutdownlab.starting.routing_data import RoutingData
from shutdownlab.starting.templates import policy_text, profile_text, scenario_text

_MILLIONS = 10.0
"""The subscribers of a country unless `--subscribers` says it."""
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_KINDS = frozenset(Access) - {Access.ROAMING}
"""Of lines that an operator's own subscribers have."""
_OPERATOR = (
    "NAME:ASN[:SHARE][:fixed|mobile|satellite][:ipv4], a share from 0 to 1 or in percent, such as "
    "northnet:64501:0.6 or southcell:AS64502:40%:mobile; with `:ipv4` it has no IPv6"
)
_EXAMPLE = "such as northnet:64501:0.6"


def new(
    kind: Annotated[
        Literal["country", "scenario", "policy", "profile"],
        typer.Argument(metavar="country|scenario|policy|profile", help="What to write."),
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name; the file is NAME.yaml.")],
    operators: Annotated[
        list[str] | None,
        typer.Option(
            "--operator",
            metavar="NAME:ASN[:SHARE][:ACCESS][:ipv4]",
            help="An operator of a country: `fixed`, `mobile` or `satellite`; `ipv4`: without IPv6; repeatable.",
        ),
    ] = None,
    code: Annotated[
        str | None,
        typer.Option("--code", metavar="CC", help="The country's two-letter code (ISO 3166-1).", show_default="ZZ"),
    ] = None,
    millions: Annotated[
        float | None,
        typer.Option(
            "--subscribers", metavar="MILLIONS", help="The country's subscribers, in millions.", show_default="10"
        ),
    ] = None,
    from_ripe: Annotated[
        list[Path] | None,
        typer.Option(
            "--from-ripe",
            metavar="FILE",
            help="Routing data on disk, for a country's prefixes and neighbours: an MRT table (RIS, RouteViews), or an "
            "answer of RIPEstat's in JSON; repeatable.",
        ),
    ] = None,
    topology: Annotated[
        str | None,
        typer.Option(
            "--country",
            metavar="COUNTRY",
            help="The scenario's country, by name or path.",
            show_default="two-operators",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where to write it.", show_default="NAME.yaml")
    ] = None,
) -> None:
    """For example: shutdownlab new country mine --operator northnet:64501:0.6 --operator southcell:64502:0.4:mobile"""
    with user_errors():
        if _NAME.fullmatch(name) is None:
            bad_option("NAME", quoted(name), "at most 40 lower-case letters, digits and hyphens")
        of_country = {"--operator": operators, "--code": code, "--subscribers": millions, "--from-ripe": from_ripe}
        for option, given in of_country.items():
            if given is not None and kind != "country":
                bad_option(option, f"`new {kind}`", "`new country`: only it takes this option")
        if topology is not None and kind != "scenario":
            bad_option("--country", f"`new {kind}`", "`new scenario`: only it takes this option")
        path = out or Path(f"{name}.yaml")
        if path.exists():
            bad_option(
                "--out" if out else "NAME", f"{path}, which exists already", "the name of a new file", "--out FILE"
            )
        if kind == "country":
            of_all = _MILLIONS if millions is None else millions
            text = _country(name, operators or [], code or "ZZ", of_all, from_ripe or [])
        elif kind == "scenario":
            text = _scenario(name, topology or "two-operators", path)
        else:
            text = policy_text(name) if kind == "policy" else profile_text(name)
        with writable("--out", path, "a file that can be created"):
            path.write_text(text.replace("SCHEMA/", f"{FOLDER.as_uri()}/", 1))
    then = {
        "country": f"shutdownlab check {path} --graph {with_ending(path, '.svg', name)}",
        "scenario": f"shutdownlab verify {path}",
    }
    typer.echo(f"{path} is written; next: {then.get(kind, f'shutdownlab check {path}')}")


def _country(name: str, given: list[str], code: str, millions: float, files: list[Path]) -> str:
    if re.fullmatch(r"[A-Z]{2}", code) is None:
        bad_option("--code", quoted(code), "two capital letters such as KZ", "ZZ for a country that does not exist")
    if not 0 < millions <= 10_000:
        bad_option("--subscribers", f"{millions:g}", "more than 0, at most 10,000")
    plans = [_operator(text) for text in given]
    data = RoutingData({plan.asn for plan in plans})
    for file in files:
        data.read(file)
    for warning in data.warnings:
        errors().print(f"[yellow]warning:[/yellow] {literal(warning)}")
    if not plans:
        plans = [OperatorPlan(f"as{asn}", asn) for asn, found in sorted(data.systems.items()) if found.prefixes]
        plans.sort(key=lambda plan: -data.of(plan.asn).addresses)
    if not plans and files:
        found = f"no network with prefixes in {', '.join(map(str, files))}, and no --operator"
        hint = "RIPEstat's announced-prefixes has the prefixes of a network"
        bad_option("--from-ripe", found, "the prefixes of the country's networks, or --operator NAME:ASN", hint)
    if not plans:
        plans = list(_asked())
    for key in ("name", "asn"):
        values = [getattr(plan, key) for plan in plans]
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            bad_option(
                "--operator",
                f"{quoted(twice)} twice",
                f"a different {'name' if key == 'name' else 'AS number'} for each operator",
            )
    if sum(plan.share or 0 for plan in plans) > 1.0001:
        bad_option("--operator", f"shares of {sum(plan.share or 0 for plan in plans):g} in all", "at most 1 in total")
    plan = CountryPlan(name, code, plans, millions, tuple(file.name for file in files))
    text = country_text(plan, data, shipped_apps().apps)
    library.load_topology(parse(text.encode(), f"{name}.yaml").data)  # raises if the options make no valid country
    return text


def _operator(text: str) -> OperatorPlan:
    """Parses an `--operator`; refuses each wrong part with a message of its own."""
    name, *rest = text.split(":")
    if not 1 <= len(rest) <= 4:
        bad_option("--operator", quoted(text), _OPERATOR)
    of = f" in {quoted(text)}"
    if _NAME.fullmatch(name) is None:
        bad_option("--operator", f"the name {quoted(name)}{of}", "lower-case letters, digits and hyphens", _EXAMPLE)
    asn = re.fullmatch(r"(?:AS)?(\d{1,10})", rest.pop(0).upper())
    if asn is None or not 0 < int(asn[1]) < (1 << 32) - 1:
        bad_option("--operator", quoted(text), "an AS number after the name, 1 to 4294967294", _EXAMPLE)
    ipv4_only = rest[-1:] == ["ipv4"]
    rest = rest[:-1] if ipv4_only else rest
    access = Access(rest.pop()) if rest and rest[-1] in _KINDS else Access.FIXED
    share = _share(rest.pop()) if len(rest) == 1 else None
    if rest or (share is not None and not 0 <= share <= 1):
        bad_option("--operator", quoted(text), _OPERATOR)
    return OperatorPlan(name, int(asn[1]), share, access, ipv4_only)


def _share(text: str) -> float:
    """Parses a share from 0 to 1, or in percent; returns 2.0, which is out of range, if it is not a number."""
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(%?)", text)
    return 2.0 if found is None else float(found[1]) / (100 if found[2] else 1)


def _asked() -> list[OperatorPlan]:
    """Asks for the operators at the terminal."""
    if not sys.stdin.isatty():
        bad_option(
            "--operator",
            "none, and no terminal to ask for them",
            _OPERATOR,
            "or --from-ripe FILE with a country's networks",
        )
    plans: list[OperatorPlan] = []
    typer.echo(f"The country's operators, one per line; an empty line ends the list: {_OPERATOR}")
    while text := typer.prompt(f"operator {len(plans) + 1}", default="", show_default=False).strip():
        plans.append(_operator(text))
    if not plans:
        bad_option("--operator", "none", _OPERATOR)
    return plans


def _scenario(name: str, topology: str, path: Path) -> str:
    country = library.load_topology(topology, path.parent)
    hosts = [hosted for hosted in country.network.hosted if not hosted.domestic and hosted.names]
    apps = [
        hosted.app
        for hosted in hosts
        if hosted.app in country.apps and country.apps[hosted.app].category == "messenger"
    ]
    sites = [hosted.names[0] for hosted in hosts if any(service.kind == "https" for service in hosted.services)]
    sites = [site for site in sites if site.startswith("www.")] or sites
    if not apps or not sites:
        hint = "such as `serves: [whatsapp, wikipedia]` of a transit"
        bad_option(
            "--country", f"{topology}, which has no messenger or no site abroad", "a country that has both", hint
        )
    site = next((s for s in sites if "wikipedia" in s or "bbc" in s), sites[-1])
    return scenario_text(name, topology, apps[0], site, by_satellite=bool(country.topology.by_satellite))
