"""When and where a country was cut off, and what was left of its Internet. Pure.

It is cut off in a phase if at least half of the measured services were reached by hardly anybody. Services that orders
block by name do not count, nor does telephony: a country in which seven apps are blocked and all else works is not cut
off, whatever else was not measured.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shutdownlab.reporting.page.account import PhaseSpan, RunAccount

HARDLY = 0.25
"""A service that a smaller share of subscribers reached counts as reached by hardly anybody."""

DEFINITION = (
    "Shares and hours are of ordinary subscribers, weighted by their number, and of what was measured. The country, or "
    "a region, counts as cut off in a phase where fewer than a quarter of them reached at least half of what was "
    "measured of the Internet, beside what orders blocked by name."
)


@dataclass(frozen=True, slots=True)
class CutOff:
    """Phases in which the country was cut off in the same regions, with the same services still open.

    open: the services that at least `HARDLY` of the whole country's subscribers reached. places: the phases' indices.
    regions: where the country was cut off. shares: of each service that somebody there reached, the share in each
    phase, from 0 to 1.
    """

    open: tuple[str, ...]
    places: tuple[int, ...]
    regions: frozenset[str]
    shares: Mapping[str, Sequence[float]]

    @property
    def gravity(self) -> tuple[int, int, int]:
        """The sort key, gravest state first: fewest services open, then fewest reached by anybody, then earliest."""
        return len(self.open), len(self.shares), self.places[0]


def cut_offs(account: RunAccount) -> list[CutOff]:
    """Returns the states in which the country was cut off, told apart by what was open and where."""
    found: dict[tuple[tuple[str, ...], frozenset[str], bool], list[int]] = {}
    for place, span in enumerate(account.spans):
        shares = {c: account.table[span.name, c].fraction for c in account.services}
        if _is_cut_off(account, shares):
            still = tuple(c for c, share in shares.items() if share is not None and share >= HARDLY)
            regions = _where_cut_off(account, span, [c for c in shares if c not in still])
            few = any(
                share for share in (account.share(span.name, c, regions).fraction for c in shares if c not in still)
            )
            found.setdefault((still, regions, few), []).append(place)
    return [
        CutOff(still, tuple(places), regions, _reached(account, places, regions))
        for (still, regions, _), places in found.items()
    ]


def regional_cut_offs(account: RunAccount) -> list[CutOff]:
    """Returns the states in which regions were cut off while the country as a whole was not, most hours first.

    At least two services must be gone there: a region that lost the only one measured has lost that.
    """
    found: dict[tuple[tuple[str, ...], frozenset[str]], list[int]] = {}
    national = {place for state in account.cut_offs for place in state.places}
    for place, span in enumerate(account.spans):
        if place in national or len(account.regions) < 2:
            continue
        regions = frozenset(r for r in account.regions if _is_cut_off(account, _shares(account, span, {r}), least=2))
        if regions:
            shares = _shares(account, span, regions)
            still = tuple(c for c, share in shares.items() if share is not None and share >= HARDLY)
            found.setdefault((still, regions), []).append(place)
    states = [
        CutOff(still, tuple(places), regions, _reached(account, places, regions))
        for (still, regions), places in found.items()
    ]
    return sorted(states, key=lambda state: -sum(account.spans[place].hours for place in state.places))


def _shares(account: RunAccount, span: PhaseSpan, regions: Collection[str]) -> dict[str, float | None]:
    return {column: account.share(span.name, column, regions).fraction for column in account.services}


def _is_cut_off(account: RunAccount, shares: Mapping[str, float | None], least: int = 1) -> bool:
    """Returns whether half of the services, and at least that many, were reached by hardly anybody."""
    beside = account.blocked_by_name | account.telephony
    counted = [share for c, share in shares.items() if share is not None and c not in beside]
    lost = sum(share < HARDLY for share in counted)
    return lost >= least and 2 * lost >= len(counted)


def _where_cut_off(account: RunAccount, span: PhaseSpan, lost: Sequence[str]) -> frozenset[str]:
    """Returns the regions in which hardly anybody reached at least one of the services `lost`; all if there is none."""
    shares = {region: [account.share(span.name, c, {region}).fraction for c in lost] for region in account.regions}
    spared = {region for region, each in shares.items() if min((s for s in each if s is not None), default=0) >= HARDLY}
    return frozenset(account.regions.keys() - spared or account.regions)


def _reached(account: RunAccount, places: Sequence[int], regions: frozenset[str]) -> dict[str, list[float]]:
    """Returns, for each service that somebody in `regions` reached, the share that did, phase by phase."""
    found: dict[str, list[float]] = {}
    for column in account.services:
        each = [account.share(account.spans[place].name, column, regions).fraction for place in places]
        if any(each):
            found[column] = [share for share in each if share is not None]
    return found
