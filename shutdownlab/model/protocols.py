"""The protocols that policies may name: some a switch can recognise, others only a DPI box. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import BeforeValidator

from shutdownlab.config.document import Expected, did_you_mean, one_of
from shutdownlab.config.numbers import PROTOCOL_NUMBERS
from shutdownlab.inspection.recognition import installed_recognisers
from shutdownlab.inspection.vocabulary import CALLED


def _one_of_the_protocols(value: object, known: Iterable[str]) -> str:
    names = tuple(dict.fromkeys(known))
    if value not in names:
        called = CALLED.get(str(value).lower())
        hint = f"here that is '{called}'" if called else ""
        raise Expected(one_of(names), lambda: hint or did_you_mean(str(value), names))
    return str(value)


WITHOUT_A_BOX = (*PROTOCOL_NUMBERS, "quic")
"""Protocols that a switch can recognise; QUIC as udp/443."""

Protocol = Annotated[str, BeforeValidator(lambda value: _one_of_the_protocols(value, WITHOUT_A_BOX))]
AnyProtocol = Annotated[
    str,
    BeforeValidator(lambda value: _one_of_the_protocols(value, (*WITHOUT_A_BOX, *installed_recognisers().protocols))),
]
