"""Residual blocks that a measurement leaves in a DPI box, where other measurements may meet them. Pure.

A box that has blocked a connection may go on blocking everything between its two ends, and the order of a run's
measurements is not known here. So a probe's outcome can depend on which others came before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from shutdownlab.inspection.policy import InspectionRule, Verdict
from shutdownlab.inspection.profile import Profile
from shutdownlab.inspection.residual import ResidualBlock, three_tuple, two_tuple
from shutdownlab.library import Shutdown
from shutdownlab.verifier.packets import FiveTuple

OWN_ALONE = "4-tuple"
"""The key of residual blocks that affect only the blocked connection, and so no other measurement."""


@dataclass(frozen=True, slots=True)
class LeftBlock:
    """A residual block that another measurement may have left in a box.

    condition: what that depends on, in words.
    at_switch: whether the switch beside the box drops packets for it, including those not steered to the box.
    """

    block: ResidualBlock
    condition: str
    at_switch: bool

    def anew(self, now: float) -> ResidualBlock:
        """Returns the same block, starting now."""
        return ResidualBlock(self.block.key, self.block.client, self.block.verdict, self.block.rule, now)

    def stops(self, *, by_client: bool) -> bool:
        """Whether the switch drops the packets that this end sends."""
        directions = self.block.directions
        return self.at_switch and (directions == "both" or (directions == "client") == by_client)


Left: TypeAlias = Mapping[bytes, LeftBlock]
"""Residual blocks that other measurements may have left in a box, by key."""
NOTHING: Final[Left] = {}


def remembers(profile: Profile, rules: Iterable[InspectionRule]) -> bool:
    """Whether a box may create residual blocks that affect other connections."""
    return any(verdict.residual is not None and verdict.residual.key != OWN_ALONE for verdict in _of(profile, rules))


def may_remember(shutdown: Shutdown) -> bool:
    """Whether any operator's box may do so in any phase."""
    policies = shutdown.scenario.policies.values()
    if any(policy.residual is not None and policy.residual.key != OWN_ALONE for policy in policies):
        return True
    ordered = [rule for policy in policies for rule in policy.inspect or ()]
    profiles = {profile.name: profile for profile in shutdown.profiles.values()}
    return any(remembers(each, ordered) for each in profiles.values())


def _of(profile: Profile, rules: Iterable[InspectionRule]) -> Iterator[Verdict]:
    """Yields all verdicts of a box: of the policies' rules, of the profile's rules and of the profile's `block`."""
    for rule in (*rules, *profile.rules):
        yield rule.verdict
    for name in type(profile.block).model_fields:
        yield profile.verdict_for(name)


def keys_of(stream: FiveTuple) -> tuple[bytes, bytes]:
    """Returns the keys under which a box looks for residual blocks that other connections have caused."""
    client, server = stream.packed
    return two_tuple(client, server), three_tuple(client, server, stream.server_port, stream.proto)
