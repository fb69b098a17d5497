"""An operator's DPI box of the model. Pure."""

from __future__ import annotations

from shutdownlab.inspection.catalogue import AppCatalogue
from shutdownlab.inspection.engine import Engine
from shutdownlab.inspection.policy import InspectionPolicy, InspectionRule
from shutdownlab.inspection.profile import Profile
from shutdownlab.verifier.chance import Chances, Draws

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
        self.engine = self._made()

    def _made(self) -> Engine:
        policy = InspectionPolicy(name="order", profile=self.profile.name, rules=self.rules)
        return Engine(policy, self.profile, apps=self._catalogue, chance=self._draws)

    @property
    def has_looked(self) -> bool:
        """Whether anything has hung on what packets look like, which those of a model do not tell."""
        return any(matcher.shapes_tested for matcher in self.engine.rules.matchers)

    def begin(self, chances: Chances) -> None:
        """Another measurement begins, from ports of its own: the box knows nothing of those before that counts."""
        full = len(self.engine.table.flows) > _MOST_FLOWS or self.has_looked
        if full or self._draws.drawn or self.engine.residual_blocks.by_key:
            self.engine = self._made()
        self._draws.chances, self._draws.drawn = chances, False
