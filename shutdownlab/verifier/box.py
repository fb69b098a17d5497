"""An operator's DPI box of the model. Pure."""

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
"""After which a box forgets all: no two measurements in between have the same ports."""


class Box:
    """A DPI box: the engine of its profile, with the rules of its operator."""

    def __init__(
        self, operator: str, profile: Profile, rules: tuple[InspectionRule, ...], catalogue: AppCatalogue
    ) -> None:
        self.operator, self.profile, self.rules = operator, profile, rules
        self.on_path = self.profile.placement == "on-path"
        self._catalogue = catalogue
        self._draws = Draws()
        self.remembers = remembers(profile, rules)
        """Whether it may go on blocking more than a connection that it has caught."""
        self.left: Left = NOTHING
        """What measurements before this one may have left."""
        self._met: dict[bytes, LeftBlock | None] = {}
        self.engine = self._made()

    def _made(self) -> Engine:
        policy = InspectionPolicy(name="order", profile=self.profile.name, rules=self.rules)
        return Engine(policy, self.profile, apps=self._catalogue, chance=self._draws)

    @property
    def has_looked(self) -> bool:
        """Whether anything has hung on what packets look like, which those of a model do not tell."""
        return any(matcher.shapes_tested for matcher in self.engine.rules.matchers)

    def begin(self, chances: Chances, left: Left = NOTHING) -> None:
        """Another measurement begins, from ports of its own: the box knows nothing of those before that counts, but for
        what they may have left."""
        full = len(self.engine.table.flows) > _MOST_FLOWS or self.has_looked
        if full or self._draws.drawn or self.engine.residual_blocks.by_key:
            self.engine = self._made()
        self._draws.chances, self._draws.drawn = chances, False
        self.left, self._met = left, {}

    def recall(self, stream: FiveTuple, now: float) -> Iterator[LeftBlock]:
        """The blocks that were left and concern a connection, where they were: each is there or not, by chance."""
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
        """The residual blocks that the measurement in hand has made, but for those of its own connections."""
        made = self.engine.residual_blocks.by_key
        return [block for key, block in made.items() if key not in self._met and self._is_wide(block)]

    @staticmethod
    def _is_wide(block: ResidualBlock) -> bool:
        spec = block.verdict.residual
        return spec is not None and spec.key != OWN_ALONE
