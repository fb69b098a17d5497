"""Names of cables: what they join, such as `northnet to gateway`. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator

from shutdownlab.config.document import Expected

if TYPE_CHECKING:
    from shutdownlab.model.topology import Topology

GATEWAY, EXCHANGE = "gateway", "exchange"
TO = " to "


def _link(value: object) -> str:
    if not isinstance(value, str) or len(value.split(TO)) != 2 or not all(map(str.strip, value.split(TO))):
        hint = "such as `northnet to gateway`, `retn to telia`, `northnet to northnet/coast`"
        raise Expected("what a link joins: two names with ` to ` between", hint)
    return value


CableName = Annotated[str, BeforeValidator(_link)]


def ends_of(text: str, topology: Topology) -> tuple[str, str]:
    """Returns the two names in the order (operator or transit, the other); raises `Expected`."""
    a, b = (part.strip() for part in text.split(TO))
    operators, transits = topology.operators, topology.transits
    for one, other in ((a, b), (b, a)):
        operator, _, region = other.partition("/")
        if one in operators and (
            (other == operators[one].gateway and one not in topology.by_satellite)
            or (one in topology.by_satellite and other in operators[one].transit)
            or (other == EXCHANGE and operators[one].exchange)
            or (operator == one and region in operators[one].regions)
        ):
            return one, other
        if one in transits and (other == transits[one].gateway or (other in transits and other != one)):
            return one, other
    at = "its gateway" if topology.gateways else "`gateway`"
    raise Expected(
        "a link that the topology has",
        f"an operator or transit to {at}, a member to `exchange`, an operator to its region (`a to a/region`), "
        "a transit to another transit, or a satellite operator to its transit",
    )
