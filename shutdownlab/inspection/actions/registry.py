"""The installed actions: those that ship, and those of other installed packages."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from shutdownlab.config.extensions import ExtensionError, Extensions
from shutdownlab.config.problems import BadInput, Problem
from shutdownlab.inspection.actions.action import DpiAction

GROUP: Final = "shutdownlab.actions"
"""The entry point group: each entry is an action's class, under the action's name."""


@cache
def installed_actions() -> Mapping[str, type[DpiAction]]:
    """Returns all installed actions by name (cached); raises `BadInput` if one cannot be loaded or there is none."""
    kinds = Extensions(GROUP, DpiAction)
    try:
        found = {name: kinds[name] for name in kinds}
    except ExtensionError as error:
        raise BadInput([Problem(GROUP, 0, "", error.found, "actions that can be loaded", error.hint)]) from error
    if not found:
        hint = "the installation of shutdownlab is incomplete: run `make setup` again"
        raise BadInput([Problem(GROUP, 0, "", "no action", "at least the shipped ones", hint)])
    return MappingProxyType(found)
