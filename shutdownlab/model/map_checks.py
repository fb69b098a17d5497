"""Checks that a topology's map can show its regions."""

from __future__ import annotations

from shutdownlab.config.document import Document, Path, one_of, quoted
from shutdownlab.model.outlines import CountryOutlines, drawn_countries, outlines_of
from shutdownlab.model.topology import Topology


def check_map(topology: Topology, document: Document) -> None:
    """Reports outlines that do not ship or that two regions share, and places outside the country.

    For a country without outlines, `place` gives the position of a region's tile.
    """
    drawn = {name: region for name, region in topology.regions.items() if region.outlines or region.place is not None}
    known = outlines_of(topology.country)
    if known is None:
        for name in (name for name, region in drawn.items() if region.outlines):
            found, expected = f"a map of {topology.country}", f"a country with outlines: {one_of(drawn_countries())}"
            hint = "leave outlines out: the map then has tiles, placed by `place`"
            document.report(("regions", name, "outlines"), found, expected, hint)
        return
    taken: dict[str, str] = {}
    for name, region in drawn.items():
        path: Path = ("regions", name, "outlines")
        if region.outlines == "rest":
            if "rest" in taken:
                found = f"`rest`, which {quoted(taken['rest'])} has already"
                document.report(path, found, "`rest` in only one region", "list the outlines of this region")
            taken["rest"] = name
            continue
        for index, key in enumerate(region.outlines):
            if key not in known.areas:
                document.report_unknown((*path, index), "outline", key, known.areas, _named(known))
            elif key in taken:
                found = f"{quoted(key)}, which {quoted(taken[key])} has already"
                document.report((*path, index), found, "an outline that no other region has", "name it once")
            taken.setdefault(key, name)
    for name, region in drawn.items():
        if region.place is not None and known.place(*region.place) is None:
            latitude, longitude = region.place
            found = f"{latitude:g} north, {longitude:g} east, which is not in {topology.country}"
            document.report(("regions", name, "place"), found, "a place in the country", "latitude comes first")


def _named(known: CountryOutlines) -> str:
    return ", ".join(f"{key} is {area.title}" for key, area in known.areas.items())
