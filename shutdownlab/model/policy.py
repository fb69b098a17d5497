"""Policies: an authority's orders. What is blocked, slowed or inspected, for whom, with which exceptions, by which
means."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, model_validator

from shutdownlab.config.document import Expected, Record
from shutdownlab.config.scalars import Kbit, OrElse, Seconds, Size, duration_text
from shutdownlab.inspection.policy import InspectionRule, ResidualSpec
from shutdownlab.inspection.recognition import installed_recognisers
from shutdownlab.model.announcements import Announcement, Hijack, Leak, NullRoute, Withdrawal
from shutdownlab.model.answers import LATEST_S, Later, Lie, Rejection
from shutdownlab.model.counting import BlockAfter
from shutdownlab.model.degradation import Degradation
from shutdownlab.model.faults import Cut, OrderedBreakage, Powerless
from shutdownlab.model.means import BlockAction as BlockAction
from shutdownlab.model.means import Direction as Direction
from shutdownlab.model.means import Means as Means
from shutdownlab.model.means import Point as Point
from shutdownlab.model.protocols import WITHOUT_A_BOX
from shutdownlab.model.scope import Scope
from shutdownlab.model.targets import NOTHING, Allowance
from shutdownlab.model.targets import Exceptions as Exceptions
from shutdownlab.model.targets import Targets as Targets
from shutdownlab.model.topology import Access, Vantage

_SUBSCRIBER_FIELDS = ("operators", "regions", "access", "subscribers")


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


ROUTING: Final = ("withdraw", "null_route", "announce", "hijack", "leak")
BREAKING: Final = ("cut", "power_off", "switch_off")
VERBS: Final = ("block", "throttle", "degrade", "inspect", *ROUTING, *BREAKING)
"""The verbs of a policy; each policy has exactly one."""
_ALL_BUT_PINGS: Final = frozenset({"tcp", "udp"})


class Policy(Record):
    """One order that can be given and withdrawn: to `block` something, to `throttle` it, to `degrade` lines, to
    `inspect` by rules, to `withdraw`, `announce` or `null_route` prefixes, to `hijack` or `leak` those of others, or to
    `cut`, `power_off` or `switch_off` what carries packets."""

    title: str
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
    source: str
    """Who reported it: codes that `sources` explains, or free text."""

    @model_validator(mode="after")
    def _sound(self) -> Policy:
        self._one_verb()
        if self.inspect is not None:
            self._inspects()
        for verb in ROUTING:
            if getattr(self, verb) is not None:
                self._routes(verb)
        for verb in BREAKING:
            if getattr(self, verb) is not None:
                self._breaks(verb)
        if self.by is Means.DNS:
            self._lies()
        for key in ("answer", "slow") if self.by is not Means.DNS else ():
            if key in self.model_fields_set:
                raise Expected("`by: dns` as well", "only resolvers answer like that", found=f"`{key}`", key=key)
        if self.block is not None and self.block == NOTHING:
            hint = "`block: everything`, or `block: {apps: [whatsapp]}`"
            raise Expected("something to block", hint, found="nothing", key="block")
        if self.slows and self.only == NOTHING:
            hint = "leave `only` out to throttle everything"
            raise Expected("something to throttle", hint, found="nothing", key="only")
        if self.block is not None and "only" in self.model_fields_set:
            raise Expected(
                "`only` with `throttle` or `degrade`",
                "`block` names its targets itself",
                found="`only` with `block`",
                key="only",
            )
        if self.slows and (self.only.voice or self.only.sms):
            hint = "voice and sms can only be blocked"
            raise Expected("targets of the Internet", hint, found="voice or sms", key="only")
        self._degrades()
        self._freezes()
        self._counts()
        self._stays_blocked()
        self._within_its_means()
        self._rejects()
        return self

    def _one_verb(self) -> None:
        verbs = [verb for verb in VERBS if getattr(self, verb) is not None]
        if len(verbs) > 1:
            found = " and ".join(f"`{verb}`" for verb in verbs)
            hint = "write a policy for each"
            raise Expected("one of them", hint, found=f"both {found}" if len(verbs) == 2 else found, key=verbs[-1])
        if not verbs:
            hint = "`block: everything`, `throttle: 512kbit`, `withdraw: {}`, or `inspect:` with rules"
            raise Expected("one of them", hint, found="none of " + ", ".join(f"`{verb}`" for verb in VERBS))

    def _lies(self) -> None:
        """Checks `by: dns`: resolvers see only names, and treat all queries alike."""
        if self.block is None or self.block != Targets(apps=self.block.apps, sites=self.block.sites):
            hint = "such as `block: {apps: [facebook], sites: [twitter.com]}`"
            raise Expected("only apps or sites under `block`", hint, found="`by: dns`", key="by")
        for key in ("at", "action", "direction", "allow"):
            if key in self.model_fields_set:
                hint = "a resolver sees only names: use `except` to spare subscribers"
                hint = hint if key == "allow" else "`answer` or `slow` says what the resolver does"
                raise Expected("`by: dns` without it", hint, found=f"`{key}`", key=key)
        if self.slow is not None and "answer" in self.model_fields_set:
            hint = "`slow` delays true answers: write a policy for each"
            raise Expected("one of them", hint, found="both `answer` and `slow`", key="slow")
        if self.slow is not None and not 0 < self.slow <= LATEST_S:
            hint = "clients give up after 10 s; for no answer at all write `answer: none`"
            expected = f"more than 0s and at most {duration_text(LATEST_S)}"
            raise Expected(expected, hint, found=duration_text(self.slow), key="slow")
        subscribers = Exceptions(**{key: getattr(self.except_, key) for key in _SUBSCRIBER_FIELDS})
        if self.except_ != subscribers:
            raise Expected(
                "only subscribers", "to spare names, leave them out of `block`", found="traffic", key="except"
            )

    def _routes(self, verb: str) -> None:
        """Checks a verb about routes: a route is an operator's, so keys about switches and boxes do not fit."""
        hint = "BGP carries it out" if verb == "withdraw" else "border routers carry it out"
        self._alone(verb, hint)
        if verb in ("hijack", "leak"):
            self._names_whom(verb, "its own `by` says which operator does it")
            return
        if not self.where.is_of_operators:
            hint = "a prefix is one route, for everybody with an address in it"
            raise Expected("only `operators`", hint, found="a scope of some of an operator's subscribers", key="where")
        if self.except_ != Exceptions(operators=self.except_.operators):
            raise Expected("only `operators`", found="other keys", key="except")

    def _breaks(self, verb: str) -> None:
        """Checks a verb that breaks something: it names its place itself."""
        self._alone(verb, "the owners of the equipment carry it out")
        self._names_whom(
            verb, "its own value names the links" if verb == "cut" else "its own value names the regions and operators"
        )

    def _names_whom(self, verb: str, hint: str) -> None:
        for key in ("where", "except"):
            if key in self.model_fields_set or (key == "except" and "except_" in self.model_fields_set):
                raise Expected(f"`{verb}` without it", hint, found=f"`{key}` with `{verb}`", key=key)

    def _alone(self, verb: str, hint: str) -> None:
        for key in ("by", "at", "only", "action", "direction", "allow"):
            if key in self.model_fields_set:
                raise Expected(f"`{verb}` without it", hint, found=f"`{key}` with `{verb}`", key=key)

    def _inspects(self) -> None:
        """Checks `inspect`: what the rules say themselves must not be given beside them."""
        beside = {
            "by": "" if self.by is Means.DPI else "only DPI boxes inspect",
            "at": "" if self.at is Point.ACCESS else "DPI boxes stand at the operators",
            "only": "each rule's `when` says what it matches",
            "action": "each rule's `verdict` says what happens",
            "allow": "to spare traffic, put a rule with `verdict: pass` before the others",
            "direction": "rules have `opener` and `direction` conditions, and verdicts `directions`",
        }
        for key, hint in beside.items():
            if hint and key in self.model_fields_set:
                raise Expected("`inspect` without it", hint, found=f"`{key}` with `inspect`", key=key)
        subscribers = Exceptions(**{key: getattr(self.except_, key) for key in _SUBSCRIBER_FIELDS})
        if self.except_ != subscribers:
            hint = "to spare traffic, put a rule with `verdict: pass` before the others"
            found = "traffic"
            raise Expected("only subscribers: " + ", ".join(_SUBSCRIBER_FIELDS), hint, found=found, key="except")

    def _freezes(self) -> None:
        """Checks `freeze_after`: only DPI boxes count what a connection has carried."""
        if self.freeze_after is None:
            return
        if self.block is None or self.by is not Means.DPI or self.at is Point.GATEWAY:
            hint = "operators' DPI boxes count the bytes of what `block` names: leave `by` and `at` out"
            raise Expected(
                "`freeze_after` with `block` and `by: dpi`", hint, found="`freeze_after`", key="freeze_after"
            )
        if "action" in self.model_fields_set:
            hint = "`freeze_after` is itself the action"
            raise Expected("`freeze_after` without it", hint, found="`action`", key="action")
        if beyond := self.block.without_connections:
            hint = "only TCP and UDP connections are counted"
            raise Expected("targets that have connections", hint, found=beyond, key="block")

    def _counts(self) -> None:
        """Checks `block_after`: border routers count echo requests, which they recognise by headers."""
        if self.block_after is None:
            return
        protocols = self.block.protocols if self.block is not None else ()
        if not protocols or self.block != Targets(protocols=protocols) or not {*protocols} <= {"icmp", "icmp6"}:
            hint = "border routers count only echo requests (pings)"
            expected = "`block_after` with only `block: {protocols: [icmp]}`"
            raise Expected(expected, hint, found="`block_after`", key="block_after")
        for key in ("by", "at", "action", "direction"):
            if key in self.model_fields_set:
                hint = "an operator's border router counts what its subscribers send, and drops it"
                raise Expected("`block_after` without it", hint, found=f"`{key}`", key=key)

    def _stays_blocked(self) -> None:
        """Checks `residual`: it needs a DPI box that recognises one packet of a flow and goes on blocking after it."""
        if self.residual is None:
            return
        boxes = self.block is not None and self.block == self.block.for_boxes
        if not boxes or self.by is not Means.DPI or self.at is Point.GATEWAY:
            hint = "only a DPI box remembers connections; what is matched by headers stays blocked anyway"
            expected = "`residual` with `by: dpi`, and apps, sites or protocols that boxes recognise"
            raise Expected(expected, hint, found="`residual`", key="residual")
        if self.direction is not Direction.BOTH or self.freezes:
            key = "freeze_after" if self.freezes else "direction"
            hint = "`residual: {directions: client}` says whose packets stay blocked"
            raise Expected("`residual` without it", "" if self.freezes else hint, found=f"`{key}`", key=key)

    def _within_its_means(self) -> None:
        """Checks that the means fit the targets: some only DPI boxes can block."""
        targets = self.targets
        resets = self.action is BlockAction.RESET
        if resets and not (self.by is Means.DPI and self.block and self.block == self.block.for_boxes):
            hint = "only a DPI box sends resets, and only for apps and sites"
            raise Expected(
                "`action: reset` with `by: dpi` and only apps or sites", hint, found="`action: reset`", key="action"
            )
        beyond = [name for name in targets.recognised if name not in installed_recognisers().over_tcp]
        if resets and beyond:
            hint = "only TCP has connections to reset; block the others in another policy with `action: drop`"
            found = f"`action: reset` for {', '.join(beyond)}"
            raise Expected("only protocols over TCP", hint, found=found, key="action")
        if resets and self.direction is not Direction.BOTH:
            hint = "a reset ends the whole connection"
            raise Expected("`direction: both` with `action: reset`", hint, found=f"`{self.direction}`", key="direction")
        if self.at is Point.GATEWAY and (targets.voice or targets.sms):
            hint = "the telephone service never crosses the gateway"
            raise Expected("voice and sms blocked `at: access`", hint, found="`at: gateway`", key="at")
        if self.at is Point.GATEWAY and self.by is Means.DPI and (targets.apps or targets.sites):
            hint = "the gateway has no DPI box: only operators have"
            raise Expected("`by: address` for apps and sites there", hint, found="`at: gateway`", key="at")
        hidden = next((name for name in targets.protocols if name not in WITHOUT_A_BOX), None)
        if hidden and (self.at is Point.GATEWAY or self.by is not Means.DPI):
            key, found = ("at", "`at: gateway`") if self.at is Point.GATEWAY else ("by", f"`by: {self.by}`")
            hint = f"only a DPI box recognises {hidden}"
            raise Expected(f"`by: dpi` and `at: access` for the protocol {hidden}", hint, found=found, key=key)

    def _degrades(self) -> None:
        """Checks `degrade`: delay and loss affect everything on a line; only a rate can apply to some traffic."""
        if self.degrade is None:
            return
        keys = ("action", "direction") if self.degrades_traffic else ("action", "direction", "by", "at")
        for key in keys:
            if key in self.model_fields_set:
                hint = "`rate` gives each direction its own value"
                raise Expected("`degrade` without it", hint, found=f"`{key}` with `degrade`", key=key)
        beside = [key for key in self.degrade.model_fields_set if key != "rate"]
        if self.degrades_traffic and beside:
            found = f"`{beside[0]}` for only a part of a line's traffic"
            hint = "delay, loss and generation apply to a whole line: leave out `only`, and traffic under `except`"
            raise Expected("only `rate`", hint, found=found, key="degrade")

    def _rejects(self) -> None:
        """Checks `action: reject`: border routers distinguish packets by headers, and see only what subscribers
        send."""
        if self.action is not BlockAction.REJECT:
            if "reject_with" in self.model_fields_set:
                raise Expected(
                    "`reject_with` with `action: reject`",
                    found=f"`reject_with` with `action: {self.action}`",
                    key="reject_with",
                )
            return
        if self.needs_boxes:
            hint = "border routers see no names: use `by: address`"
            raise Expected("targets that can be matched by headers", hint, found="`action: reject`", key="action")
        if self.at is Point.GATEWAY or self.direction is Direction.INBOUND:
            key = "at" if self.at is Point.GATEWAY else "direction"
            hint = "an operator's border router rejects only what its subscribers send"
            raise Expected("`action: reject` without it", hint, found=f"`{key}: {getattr(self, key)}`", key=key)
        if self.targets.voice or self.targets.sms:
            hint = "routers do not carry the telephone service: leave `action` out"
            raise Expected("targets of the Internet", hint, found="voice or sms rejected", key="action")

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
        subscribers = Exceptions(**{key: getattr(self.except_, key) for key in _SUBSCRIBER_FIELDS})
        some = not self.only.everything or self.except_ != subscribers or not all(a.is_whole for a in self.allow)
        return self.degrade is not None and some

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
