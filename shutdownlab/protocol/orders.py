"""Orders as JSON: the policies in force, and what a box is told of them. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import time
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from shutdownlab.config.scalars import Ports
from shutdownlab.inspection.policy import InspectionRule
from shutdownlab.model.policy import ActivePolicy, Policy
from shutdownlab.protocol.messages import JsonObject, Message, MessageError, Order, decode, encode

_RATES = frozenset({"throttle", "rate_up", "rate_down"})
_DURATIONS = frozenset({"for"})
_DELAYS = TypeAdapter(dict[str, float])


@dataclass(frozen=True, slots=True)
class Command:
    """What the run tells the authority: an order to the country, and how long each operator takes to obey it.

    `delays` are wall-clock seconds (>= 0); an operator without one takes the order's own `delay_s`.
    """

    order: Order
    delays: Mapping[str, float] = field(default_factory=dict)

    def for_operator(self, operator: str) -> Order:
        """The order as the authority passes it on."""
        order = self.order
        delay = 0.0 if order.mode == "direct" else self.delays.get(operator, order.delay_s)
        return replace(order, delay_s=delay)


def encode_command(command: Command) -> bytes:
    """Return `command` as one line, newline included."""
    order = json.loads(encode(command.order))
    return json.dumps({"type": "command", "order": order, "delays": dict(command.delays)}).encode() + b"\n"


def decode_line(line: bytes) -> Message | Command:
    """Return the command or the message that `line` holds; raises `MessageError` if it holds none."""
    if not line.startswith(b'{"type": "command"'):
        return decode(line)
    try:
        found = json.loads(line)
        order = decode(json.dumps(found["order"]))
        delays = _DELAYS.validate_python(found["delays"])
    except (ValueError, KeyError) as error:  # a MessageError and pydantic's error are ValueErrors too
        raise MessageError(f"bad `command`: {error}") from error
    if not isinstance(order, Order):
        raise MessageError(f"expected an order in a `command`, found {order}")
    return Command(order, delays)


def policies_as_json(active: Mapping[str, Policy]) -> list[JsonObject]:
    """The policies in force, in their order, as an `Order` carries them."""
    return [{"name": name, "policy": _written(policy)} for name, policy in active.items()]


def policies_from_json(items: list[JsonObject]) -> dict[str, Policy]:
    """The reverse of `policies_as_json`; raises `MessageError` with what is wrong."""
    found: dict[str, Policy] = {}
    for item in items:
        try:
            entry = ActivePolicy.model_validate(item)
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise MessageError(f"an order with a policy that is none: {faults}; found {str(item)[:200]}") from error
        if entry.name in found:
            raise MessageError(f"an order with the policy {entry.name} twice")
        found[entry.name] = entry.policy
    return found


def box_rules_as_json(rules: Iterable[InspectionRule]) -> list[JsonObject]:
    """A box's rules as its `Policy` message carries them: `InspectionRule.model_validate` makes rules of them again."""
    return [_written(rule) for rule in rules]


def _written(value: Any, name: str = "") -> Any:
    """A model's values as a person writes them (`150kbit`, `tcp/443`), which is what the models read; no defaults.

    `name` is the field's: rates and durations are bare numbers in the models, and only with a unit in a file.
    """
    match value:
        case Ports() | IPv4Address() | IPv6Address() | IPv4Network() | IPv6Network():
            return str(value)
        case BaseModel():
            fields = type(value).model_fields.items()
            own = [(key, field.alias or _alias(value, key), getattr(value, key), field) for key, field in fields]
            return {
                alias: _written(part, alias)
                for _, alias, part, field in own
                if field.is_required() or part != field.get_default()
            }
        case (time() as start, time() as end):
            return f"{start:%H:%M}-{end:%H:%M}"
        case tuple():
            return [_written(part) for part in value]
        case Enum():
            return value.value
        case int() if name in _RATES:
            return f"{value}kbit"
        case int() | float() if name in _DURATIONS:
            return f"{value:.6f}".rstrip("0").rstrip(".") + "s"
        case _:
            return value


def _alias(model: BaseModel, key: str) -> str:
    generator = model.model_config.get("alias_generator")
    return str(generator(key)) if callable(generator) else key
