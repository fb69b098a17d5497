"""Probes from one telephone to another: a call, a short message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from shutdownlab.config.mistakes import Mistake, unknown
from shutdownlab.inspection.apps import App
from shutdownlab.model.network import Network, Role
from shutdownlab.model.probe import Errand, Probe, ServerControl, Surroundings
from shutdownlab.model.topology import Topology, Vantage, VantageId


@dataclass(frozen=True, slots=True)
class TelephoneLine:
    """A telephone line: its number and the SIP registrar (an address) of its operator."""

    number: str
    registrar: str


@dataclass(frozen=True, slots=True)
class TelephoneLines:
    """The caller's telephone line and the callee's; without a callee the telephone only registers."""

    line: TelephoneLine
    peer: TelephoneLine | None = None


_CONTROL_NUMBER: Final = "77009999999"


class _Telephone(Probe):
    """A probe between two subscribers of an operator."""

    to: str | None = None
    """The region to call; if omitted, or if the operator has no other subscriber there, another of its subscribers."""

    def mistakes(self, topology: Topology, apps: Mapping[str, App]) -> Iterator[Mistake]:
        if self.to is not None and self.to not in topology.regions:
            yield unknown(("to",), "region", self.to, topology.regions)
        guest = next((vantage for vantage in topology.vantages() if vantage.home and self.from_.covers(vantage)), None)
        if guest is not None:
            hint = "add `from: {not: {access: [roaming]}}`: their telephone service is abroad"
            yield Mistake(("from",), f"roaming subscribers, such as {guest.id}", "subscribers of the operators", hint)

    def ask(self, at: Surroundings) -> TelephoneLines:
        callee = _callee(at.network, at.vantage, self.to)
        return TelephoneLines(_line(at, at.vantage.id), _line(at, callee) if callee else None)

    def errand(self, at: Surroundings) -> Errand | None:
        """The callee's telephone registers first."""
        callee = _callee(at.network, at.vantage, self.to)
        return Errand(at.network.subscriber(callee).name, TelephoneLines(_line(at, callee))) if callee else None

    def far_ends(self, at: Surroundings) -> tuple[tuple[str, str], ...]:
        """Returns the paths of callee and caller to the telephone service, and the one between them."""
        service = at.network.one(Role.TELEPHONE, at.vantage.id.operator).name
        caller, callee = at.network.subscriber(at.vantage.id).name, _callee(at.network, at.vantage, self.to)
        if callee is None:
            return ((caller, service),)
        called = at.network.subscriber(callee).name
        return (caller, service), (called, service), (caller, called)

    def control(self, at: Surroundings) -> ServerControl:
        """Returns the registration of a telephone of the control subscriber's."""
        registrar = self.ask(at).line.registrar
        return ServerControl(self.runs, TelephoneLines(TelephoneLine(_CONTROL_NUMBER, registrar)), of_operator=True)

    def ooni_input(self, at: Surroundings) -> str | None:
        peer = self.ask(at).peer
        return f"tel:{peer.number}" if peer else None


class Call(_Telephone):
    """A telephone call that is heard at both ends."""

    runs = "shutdownlab.probes.calls:call_test"
    follows = "shutdownlab.verifier.follow:call"
    ooni_test = "x_call"
    shares = 3


class Sms(_Telephone):
    """A short message that the other telephone acknowledges."""

    runs = "shutdownlab.probes.calls:sms_test"
    follows = "shutdownlab.verifier.follow:sms"
    ooni_test = "x_sms"


def _line(at: Surroundings, vantage: VantageId) -> TelephoneLine:
    """Returns a vantage point's telephone line; its number contains the vantage point's index."""
    index = next(index for index, v in enumerate(at.network.vantages) if v.id == vantage)
    return TelephoneLine(
        f"7700{index:07d}", str(at.network.one(Role.TELEPHONE, vantage.operator).address(at.family.version))
    )


def _callee(network: Network, caller: Vantage, region: str | None) -> VantageId | None:
    """Returns an ordinary subscriber of the caller's operator other than the caller, in `region` if possible.

    None: there is no other.
    """
    others = [
        v.id for v in network.vantages if v.id.operator == caller.id.operator and v.is_ordinary and v.id != caller.id
    ]
    preferred = [v for v in others if v.region == region]
    return next(iter([*preferred, *reversed(others)]), None)
