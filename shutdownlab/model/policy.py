"""What an authority orders: what is blocked or slowed, for whom, with which exceptions, and by which means."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, model_validator

from shutdownlab.model.source import Expected, Record
from shutdownlab.model.topology import Access, Name, SubscriberClass, Vantage
from shutdownlab.model.values import PROTOCOL_NUMBERS, HostName, Kbit, Port, Prefix


class Scope(Record):
    """Whom something concerns. An empty field means all; the fields that are given must all hold."""

    operators: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    access: tuple[Access, ...] = ()
    subscribers: tuple[SubscriberClass, ...] = ()
    groups: tuple[str, ...] = ()

    def covers(self, vantage: Vantage) -> bool:
        return (
            (not self.operators or vantage.id.operator in self.operators)
            and (not self.regions or vantage.id.region in self.regions)
            and (not self.access or vantage.access in self.access)
            and (not self.subscribers or vantage.class_ in self.subscribers)
            and (not self.groups or vantage.id.group in self.groups)
        )

    def select(self, vantages: Iterable[Vantage]) -> tuple[Vantage, ...]:
        return tuple(vantage for vantage in vantages if self.covers(vantage))


def _protocol(value: object) -> str:
    if value not in PROTOCOL_NUMBERS and value != "quic":
        raise Expected("one of " + ", ".join([*PROTOCOL_NUMBERS, "quic"]))
    return str(value)


Protocol = Annotated[str, BeforeValidator(_protocol)]


class Targets(Record):
    """What a policy is about. `voice` and `sms` are the operators' telephone service, not the Internet."""

    everything: bool = False
    apps: tuple[str, ...] = ()
    sites: tuple[HostName, ...] = ()
    addresses: tuple[Prefix, ...] = ()
    ports: tuple[Port, ...] = ()
    protocols: tuple[Protocol, ...] = ()
    voice: bool = False
    sms: bool = False

    @property
    def named(self) -> bool:
        """Whether anything here has a name that a DPI box could look for."""
        return bool(self.apps or self.sites)

    @property
    def only_named(self) -> bool:
        """Whether everything here has such a name."""
        return self.named and self == Targets(apps=self.apps, sites=self.sites)


class Exceptions(Record):
    """Who and what a policy leaves alone: subscribers by scope, and traffic by target."""

    operators: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    access: tuple[Access, ...] = ()
    subscribers: tuple[SubscriberClass, ...] = ()
    apps: tuple[str, ...] = ()
    sites: tuple[HostName, ...] = ()
    addresses: tuple[Prefix, ...] = ()
    ports: tuple[Port, ...] = ()
    protocols: tuple[Protocol, ...] = ()

    def spares(self, vantage: Vantage) -> bool:
        """Whether a vantage point is left alone altogether: any one field that names it is enough."""
        return (
            vantage.id.operator in self.operators
            or vantage.id.region in self.regions
            or vantage.access in self.access
            or vantage.class_ in self.subscribers
        )


class Direction(StrEnum):
    """Seen from the subscriber: `outbound` leaves for the Internet, `inbound` comes from it."""

    BOTH = "both"
    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Means(StrEnum):
    """How apps and sites are told apart: a DPI box reading names, or access lists with their addresses."""

    DPI = "dpi"
    ADDRESS = "address"


class Action(StrEnum):
    """What happens to what is blocked: dropped silently, or answered with TCP resets (by DPI boxes only)."""

    DROP = "drop"
    RESET = "reset"


class Point(StrEnum):
    """Which switches enforce: the operators' access switches, or the national gateway (international traffic only)."""

    ACCESS = "access"
    GATEWAY = "gateway"


def _targets(value: Any) -> Any:
    if value == "everything":
        return {"everything": True}
    if value is None or isinstance(value, dict | Targets):
        return value
    raise Expected("`everything`, or a mapping such as {apps: [whatsapp]}", "keys: " + ", ".join(Targets.model_fields))


class Policy(Record):
    """One order that can be given and withdrawn: `block` something, or `throttle` it to a rate (kbit/s)."""

    title: str
    block: Annotated[Targets | None, BeforeValidator(_targets)] = None
    throttle: Kbit | None = None
    only: Annotated[Targets, BeforeValidator(_targets)] = Targets(everything=True)
    where: Scope = Scope()
    except_: Exceptions = Exceptions()
    by: Means = Means.DPI
    action: Action = Action.DROP
    direction: Direction = Direction.BOTH
    at: Point = Point.ACCESS
    source: str

    model_config = Record.model_config | {"alias_generator": lambda name: name.rstrip("_")}

    @model_validator(mode="after")
    def _one_verb(self) -> Policy:
        if self.block is not None and self.throttle is not None:
            hint = "make two policies of it"
            raise Expected("one of them", hint, found="both `block` and `throttle`", key="throttle")
        if self.block is None and self.throttle is None:
            hint = "`block: everything`, `block: {apps: [whatsapp]}`, or `throttle: 512kbit`"
            raise Expected("one of them", hint, found="neither `block` nor `throttle`")
        if self.block is not None and self.block == Targets():
            hint = "`block: everything`, or `block: {apps: [whatsapp]}`"
            raise Expected("something to block", hint, found="nothing", key="block")
        if self.throttle is not None and self.only == Targets():
            hint = "leave `only` out to throttle everything"
            raise Expected("something to throttle", hint, found="nothing", key="only")
        if self.block is not None and "only" in self.model_fields_set:
            raise Expected("`only` beside `throttle` alone", "`block` names its targets itself", found="it", key="only")
        if self.throttle is not None and (self.only.voice or self.only.sms):
            hint = "voice and sms can be blocked only"
            raise Expected("targets of the Internet", hint, found="voice or sms", key="only")
        if self.action is Action.RESET and not (self.by is Means.DPI and self.block and self.block.only_named):
            hint = "only a DPI box sends resets, and it tells apps and sites apart"
            raise Expected("it with `by: dpi` and apps or sites alone", hint, found="`action: reset`", key="action")
        if self.action is Action.RESET and self.direction is not Direction.BOTH:
            hint = "a reset ends the whole connection"
            raise Expected("`direction: both` with `action: reset`", hint, found=f"`{self.direction}`", key="direction")
        if self.at is Point.GATEWAY and (self.targets.voice or self.targets.sms):
            hint = "the telephone service never crosses the gateway"
            raise Expected("voice and sms blocked `at: access`", hint, found="`at: gateway`", key="at")
        if self.at is Point.GATEWAY and self.by is Means.DPI and self.targets.named:
            hint = "the gateway is a switch: DPI boxes are the operators'"
            raise Expected("`by: address` for apps and sites there", hint, found="`at: gateway`", key="at")
        return self

    @property
    def targets(self) -> Targets:
        """What the policy acts on, whichever its verb."""
        return self.block if self.block is not None else self.only

    def concerns(self, vantage: Vantage) -> bool:
        return self.where.covers(vantage) and not self.except_.spares(vantage)


class ActivePolicy(Record):
    """A policy in force, with its name and the operators that carry it out already (all of them: None)."""

    name: Name
    policy: Policy


PolicyVerb = Literal["block", "throttle"]
