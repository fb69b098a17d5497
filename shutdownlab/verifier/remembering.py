"""What a measurement leaves behind in a DPI box, which the others of its subscribers may meet: residual blocks. Pure.

A run measures in an order that is its own, and a box that has caught a connection may go on blocking all that its two
ends send each other. So what comes of a probe can hang on which others came before it.
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
"""What is blocked by this is the connection itself, which no other measurement goes on with."""


@dataclass(frozen=True, slots=True)
class LeftBlock:
    """A block that another measurement may have left in a box.

    condition: on what that hangs. at_switch: the switch beside the box drops for it, also what the box is not shown.
    """

    block: ResidualBlock
    condition: str
    at_switch: bool

    def anew(self, now: float) -> ResidualBlock:
        """The same block, which has begun now."""
        return ResidualBlock(self.block.key, self.block.client, self.block.verdict, self.block.rule, now)

    def stops(self, *, by_client: bool) -> bool:
        """Whether the switch drops what this end sends."""
        whose = self.block.directions
        return self.at_switch and (whose == "both" or (whose == "client") == by_client)


Left: TypeAlias = Mapping[bytes, LeftBlock]
"""Blocks that other measurements may have left in a box, by their keys."""
NOTHING: Final[Left] = {}


def remembers(profile: Profile, rules: Iterable[InspectionRule]) -> bool:
    """Whether a box may go on blocking more than the connection that it has caught."""
    return any(verdict.residual is not None and verdict.residual.key != OWN_ALONE for verdict in _of(profile, rules))


def may_remember(shutdown: Shutdown) -> bool:
    """Whether any operator's box may, in any phase."""
    policies = shutdown.scenario.policies.values()
    if any(policy.residual is not None and policy.residual.key != OWN_ALONE for policy in policies):
        return True
    ordered = [rule for policy in policies for rule in policy.inspect or ()]
    profiles = {profile.name: profile for profile in shutdown.profiles.values()}
    return any(remembers(each, ordered) for each in profiles.values())


def _of(profile: Profile, rules: Iterable[InspectionRule]) -> Iterator[Verdict]:
    """The verdicts that a box has: of its policies' rules, of its profile's, and what the profile does to a block."""
    for rule in (*rules, *profile.rules):
        yield rule.verdict
    for name in type(profile.block).model_fields:
        yield profile.verdict_for(name)


def keys_of(stream: FiveTuple) -> tuple[bytes, bytes]:
    """Under what a box looks for residual blocks, other than the connection's own."""
    client, server = stream.packed
    return two_tuple(client, server), three_tuple(client, server, stream.server_port, stream.proto)
