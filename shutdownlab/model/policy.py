"""Policies: an authority's orders. What is blocked, slowed or inspected, for whom, with which exceptions, by which
means."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, model_validator

from shutdownlab.config.document import Expected, Record
from shutdownlab.config.scalars import Kbit, OrElse, Seconds, Size, Title
from shutdownlab.inspection.policy import InspectionRule, ResidualSpec
from shutdownlab.model.announcements import Announcement, Hijack, Leak, NullRoute, Withdrawal
from shutdownlab.model.answers import Later, Lie, Rejection
from shutdownlab.model.counting import BlockAfter
from shutdownlab.model.degradation import Degradation
from shutdownlab.model.faults import Cut, OrderedBreakage, Powerless
from shutdownlab.model.labels import Source
from shutdownlab.model.means import BREAKING, ROUTING
from shutdownlab.model.means import BlockAction as BlockAction
from shutdownlab.model.means import Direction as Direction
from shutdownlab.model.means import Means as Means
from shutdownlab.model.means import Point as Point
from shutdownlab.model.policy_checks import check_policy
from shutdownlab.model.scope import Scope
from shutdownlab.model.targets import NOTHING, Allowance
from shutdownlab.model.targets import Exceptions as Exceptions
from shutdownlab.model.targets import Targets as Targets
from shutdownlab.model.topology import Access, Vantage


def _targets(value: Any) -> Any:
    if value == "everything":
        return {"everything": True}
    if value is None or isinstance(value, dict | Targets):
        return value
    raise Expected("`everything`, or a mapping such as {apps: [whatsapp]}", "keys: " + ", ".join(Targets.model_fields))


_Targets = Annotated[Targets, BeforeValidator(_targets), OrElse({"const": "everything"})]


def _rules(value: Any) -> Any:
    if isinstance(value, str):
        raise Expected("a list of rules", "only a scenario in a file can name a file of rules")
    return value


_Rules = Annotated[tuple[InspectionRule, ...], BeforeValidator(_rules), OrElse({"type": "string"})]


_ALL_BUT_PINGS: Final = frozenset({"tcp", "udp"})


class Policy(Record):
    """One order that can be given and withdrawn: to `block` something, to `throttle` it, to `degrade` lines, to
    `inspect` by rules, to `withdraw`, `announce` or `null_route` prefixes, to `hijack` or `leak` those of others, or to
    `cut`, `power_off` or `switch_off` what carries packets."""

    title: Title
    """What it does, in a few words; shown in results and messages."""
    block: _Targets | None = None
    """What is blocked: the union of all kinds of target."""
    throttle: Kbit | None = None
    """Slows traffic down, instead of blocking it, to this rate in each direction for each subscriber group."""
    degrade: Degradation | None = None
    """Makes lines worse: slower, longer, lossy. With `only`, or with traffic under `except`, it can only be a `rate`,
    for the traffic concerned."""
    inspect: _Rules | None = None
    """Rules for the DPI boxes themselves, or the path of a file that has them under `rules`. Over all such policies in
    force, in the order in which they were started, the first rule that matches counts; then what is blocked or
    throttled by name. With no rule at all ([]) connections meet only what the boxes' profiles do anyway."""
    withdraw: Withdrawal | None = None
    """Routes that are withdrawn by BGP: packets to these prefixes have no route, and networks abroad see it. `{}`: all
    that the operators under `where` announce."""
    null_route: NullRoute | None = None
    """Prefixes whose routes stay announced while border routers discard the packets to them that come over the gateway.
    `{}`: all that the operators under `where` announce."""
    announce: Announcement | None = None
    """Parts of their own prefixes that the operators under `where` announce in addition: the longest prefix wins."""
    hijack: Hijack | None = None
    """Another network's prefix that an operator announces as its own; packets to it are discarded."""
    leak: Leak | None = None
    """A route that an operator passes on where it should not, so that packets go through it."""
    cut: Cut | None = None
    """Cables that are cut by order. What can no longer be reached is `down`."""
    power_off: Powerless | None = None
    """Where the power is switched off by order, access switches included. What can no longer be reached is `down`."""
    switch_off: Powerless | None = None
    """Where mobile sites are switched off: mobile subscribers' lines there carry nothing, fixed ones still do. What can
    no longer be reached is `down`."""
    only: _Targets = Targets(everything=True)
    """With `throttle` or `degrade`: which traffic is slowed down; left out: all of it."""
    where: Scope = Scope()
    """The subscribers for whom it is in force; left out: all."""
    except_: Exceptions = Field(Exceptions(), alias="except")
    """The subscribers and traffic that it leaves alone."""
    allow: tuple[Allowance, ...] = ()
    """What else it lets through, as combinations of subscribers, destinations and names; `except` instead spares
    whatever any one of its keys names."""
    by: Means = Means.DPI
    answer: Lie = "nxdomain"
    """With `by: dns`: what resolvers answer for the names: nxdomain, nodata (the name exists, but has no address),
    refused, none (no answer at all), or an address."""
    slow: Seconds | None = None
    """With `by: dns`, in place of `answer`: resolvers give the true answer after this delay, at most a minute. Clients
    give up after 10 s (resolv.conf(5)), and use an answer that comes sooner."""
    freeze_after: Size | None = None
    """With `block`: each connection is let through until the far end has sent this many bytes, and then nothing more of
    it passes. DPI boxes count, however the traffic is recognised."""
    block_after: BlockAfter | None = None
    """With `block: {protocols: [icmp]}`: border routers count each client's echo requests, let this many pass, and drop
    what comes after them."""
    residual: ResidualSpec | None = None
    """With `block` by DPI: what stays blocked after a connection was blocked, and for how long; left out: as the box's
    profile says with `action: profile`, otherwise nothing."""
    action: BlockAction = BlockAction.PROFILE
    reject_with: Rejection = Rejection.ICMP
    """With `action: reject`: the border router's answer."""
    direction: Direction = Direction.BOTH
    at: Point = Point.ACCESS
    """At the gateway there is no DPI box: apps and sites are blocked `by: address` there. Each of several gateways
    enforces it for the operators connected to it; `where: {gateways: […]}` picks single ones."""
    source: Source
    """Who reported it: codes that `sources` explains, or free text."""

    @model_validator(mode="after")
    def _sound(self) -> Policy:
        check_policy(self)
        return self

    @property
    def names_what_it_blocks(self) -> bool:
        """Whether it affects only what it names: no blackout, no routes, nothing that is switched off."""
        if any(getattr(self, verb) is not None for verb in (*ROUTING, *BREAKING)):
            return False
        blocked = self.block or NOTHING
        is_all = blocked.everything or not _ALL_BUT_PINGS.isdisjoint(blocked.protocols)
        return not is_all and all(prefix.prefixlen for prefix in blocked.addresses)

    @property
    def targets(self) -> Targets:
        """What is blocked or throttled; policies of rules, routes and cables have no targets."""
        if self.block is not None:
            return self.block
        return self.only if self.throttle is not None or (self.degrade and self.degrade.slows) else NOTHING

    @property
    def says(self) -> Lie | Later:
        """How resolvers answer for the names that it blocks by DNS."""
        return self.answer if self.slow is None else Later(self.slow)

    @property
    def slows(self) -> bool:
        """Whether it slows lines, or some of their traffic."""
        return self.throttle is not None or self.degrade is not None

    @property
    def degrades_traffic(self) -> bool:
        """Whether it slows only some of the traffic on lines, by switches and boxes, rather than whole lines."""
        only_some = not self.only.everything or self.except_.spare_traffic or not all(a.is_whole for a in self.allow)
        return self.degrade is not None and only_some

    def rate(self, *, inbound: bool) -> int | None:
        """Returns the rate that it limits a direction to, in kbit/s; None if it does not limit it."""
        if self.degrade is not None:
            return self.degrade.rate_of(inbound=inbound)
        one_way = self.direction is not Direction.BOTH and (self.direction is Direction.INBOUND) != inbound
        return None if one_way else self.throttle

    @property
    def rejects(self) -> bool:
        """Whether border routers answer what is blocked."""
        return self.action is BlockAction.REJECT

    @property
    def at_border(self) -> bool:
        """Whether border routers carry out its block, so that switches let the traffic pass."""
        return self.rejects or self.block_after is not None

    @property
    def routes(self) -> bool:
        """Whether it changes the routes that packets take, or removes them."""
        return any(getattr(self, verb) is not None for verb in ROUTING)

    @property
    def breakage(self) -> OrderedBreakage | None:
        """What it breaks while it is in force; None if it breaks nothing."""
        given = {verb: getattr(self, verb) for verb in BREAKING if getattr(self, verb) is not None}
        if "cut" in given:
            given["cut"] = given["cut"].links
        return OrderedBreakage(title=self.title, source=self.source, **given) if given else None

    @property
    def needs_boxes(self) -> bool:
        """Whether DPI boxes carry out all or part of it."""
        if self.inspect is not None:
            return True
        if self.by is not Means.DPI or self.at is not Point.ACCESS:
            return False
        if self.freezes:
            return self.targets != NOTHING
        return not self.targets.everything and self.targets.recognised_by_boxes

    @property
    def freezes(self) -> bool:
        """Whether it lets the first part of each connection through."""
        return self.freeze_after is not None

    @property
    def cuts_off(self) -> bool:
        """Whether it drops everything that it does not spare."""
        return self.block is not None and self.block.everything and not self.freezes

    @property
    def boxed(self) -> Targets:
        """The part of its targets that DPI boxes carry out, if it needs them at all."""
        if self.freezes:
            return self.targets
        return NOTHING if self.targets.everything else self.targets.for_boxes

    @property
    def switched(self) -> Targets:
        """The part of its targets that switches and border routers carry out, by headers."""
        if not self.needs_boxes:
            return self.targets
        return NOTHING if self.freezes else self.targets.for_switches

    def is_addressed_to(self, operator: str) -> bool:
        """Returns whether the order is addressed to an operator: one whose routes it is about, or the one that hijacks
        or leaks."""
        if (by := self.hijack or self.leak) is not None:
            return operator == by.by
        return self.where.covers_operator(operator) and operator not in self.except_.operators

    def concerns(self, vantage: Vantage) -> bool:
        """Returns whether it affects a vantage point, or some of its traffic."""
        spared = self.except_.spares(vantage) or any(a.is_whole and a.who.covers(vantage) for a in self.allow)
        heard = self.by is not Means.DNS or not vantage.home  # roaming subscribers use no resolver of the country
        reached = vantage.access is not Access.SATELLITE or self.jams
        return self.where.covers(vantage) and not spared and heard and reached

    @property
    def jams(self) -> bool:
        """Whether it degrades satellite lines: no other order reaches them."""
        names_them = Access.SATELLITE in self.where.access
        return names_them and self.degrade is not None and not self.degrades_traffic

    def allowed(self, vantage: Vantage) -> tuple[Allowance, ...]:
        """Returns the allowances for part of a vantage point's traffic."""
        return tuple(a for a in self.allow if not a.is_whole and a.who.covers(vantage))
