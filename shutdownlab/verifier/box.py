"""An operator's DPI box in the model: the real engine, with the model's choices in place of chance. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from shutdownlab.inspection.catalogue import AppCatalogue
from shutdownlab.inspection.engine import Engine
from shutdownlab.inspection.policy import InspectionPolicy, InspectionRule
from shutdownlab.inspection.profile import Profile
from shutdownlab.inspection.residual import ResidualBlock
from shutdownlab.verifier.chance import Chances, Draws
from shutdownlab.verifier.packets import FiveTuple
from shutdownlab.verifier.remembering import NOTHING, OWN_ALONE, Left, LeftBlock, keys_of, remembers

_MOST_FLOWS = 5000
"""Flows after which a box starts again with empty tables: until then, no two measurements use the same ports."""


class Box:
    """A DPI box: an engine with its operator's profile and rules."""

    def __init__(
        self, operator: str, profile: Profile, rules: tuple[InspectionRule, ...], catalogue: AppCatalogue
    ) -> None:
        self.operator, self.profile, self.rules = operator, profile, rules
        self.on_path = self.profile.placement == "on-path"
        self._catalogue = catalogue
        self._draws = Draws()
        self.remembers = remembers(profile, rules)
        """Whether it may create residual blocks that affect other connections."""
        self.left: Left = NOTHING
        """Residual blocks that earlier measurements may have left."""
        self._met: dict[bytes, LeftBlock | None] = {}
        self.engine = self._made()

    def _made(self) -> Engine:
        policy = InspectionPolicy(name="order", profile=self.profile.name, rules=self.rules)
        return Engine(policy, self.profile, apps=self._catalogue, chance=self._draws)

    @property
    def has_looked(self) -> bool:
        """Whether any rule has tested the shape of packets (sizes, timing), which the model does not reproduce."""
        return any(matcher.shapes_tested for matcher in self.engine.rules.matchers)

    def begin(self, chances: Chances, left: Left = NOTHING) -> None:
        """Starts another measurement, from ports of its own.

        No state of earlier measurements affects it, except the residual blocks in `left` that they may have left.
        """
        full = len(self.engine.table.flows) > _MOST_FLOWS or self.has_looked
        if full or self._draws.drawn or self.engine.residual_blocks.by_key:
            self.engine = self._made()
        self._draws.chances, self._draws.drawn = chances, False
        self.left, self._met = left, {}

    def recall(self, stream: FiveTuple, now: float) -> Iterator[LeftBlock]:
        """Yields the residual blocks of earlier measurements that apply to a connection, and adds them to the engine.

        Whether a block in `left` exists is one of the choices that the model enumerates.
        """
        for key in keys_of(stream):
            if key in self.left and key not in self._met:
                found, chances = self.left[key], self._draws.chances
                there = chances is not None and bool(chances.choose(2, found.condition))
                self._met[key] = found if there else None
                if there:
                    self.engine.residual_blocks.by_key[key] = found.anew(now)
            if (met := self._met.get(key)) is not None:
                yield met

    @property
    def leaves(self) -> list[ResidualBlock]:
        """Residual blocks that the current measurement has created and that may affect other connections."""
        made = self.engine.residual_blocks.by_key
        return [block for key, block in made.items() if key not in self._met and self._is_wide(block)]

    @staticmethod
    def _is_wide(block: ResidualBlock) -> bool:
        spec = block.verdict.residual
        return spec is not None and spec.key != OWN_ALONE
