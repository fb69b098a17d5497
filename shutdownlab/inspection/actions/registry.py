"""The installed actions: those that ship, and those of other installed packages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, wraps
from types import FunctionType, MappingProxyType
from typing import Any, Final

from shutdownlab.config.extensions import ExtensionBug, ExtensionError, Extensions
from shutdownlab.config.problems import BadInput, Problem
from shutdownlab.config.wording import shortened
from shutdownlab.inspection.actions.action import DpiAction
from shutdownlab.inspection.verdict import Injection

GROUP: Final = "shutdownlab.actions"
"""The entry point group: each entry is an action's class, under the action's name."""
_METHODS: Final = ("first", "later", "residual")


@cache
def installed_actions() -> Mapping[str, type[DpiAction]]:
    """Returns all installed actions by name (cached); raises `BadInput` if one cannot be loaded or there is none."""
    kinds = Extensions(GROUP, DpiAction)
    try:
        found = {name: _checked(name, kinds[name]) for name in kinds}
    except ExtensionError as error:
        raise BadInput([Problem(GROUP, 0, "", error.found, "actions that can be loaded", error.hint)]) from error
    if not found:
        hint = "the installation of shutdownlab is incomplete: run `make setup` again"
        raise BadInput([Problem(GROUP, 0, "", "no action", "at least the shipped ones", hint)])
    return MappingProxyType(found)


def _checked(name: str, kind: type[DpiAction]) -> type[DpiAction]:
    """Returns an action whose results are checked: in compiled code, nothing tells a wrong one's author."""
    own = {method: found for method in _METHODS if isinstance(found := getattr(kind, method), FunctionType)}
    if kind.__module__.partition(".")[0] == "shutdownlab" or not own:
        return kind
    return type(kind.__name__, (kind,), {method: _with_check(name, found) for method, found in own.items()})


def _with_check(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def checked(*args: Any, **kwargs: Any) -> Any:
        effect = method(*args, **kwargs)
        if isinstance(effect, tuple) and len(effect) == 3:
            forward, replacement, inject = effect
            if (
                isinstance(forward, bool)
                and isinstance(replacement, bytes | None)
                and isinstance(inject, tuple)
                and all(isinstance(each, Injection) for each in inject)
            ):
                return effect
        code = method.__code__
        raise ExtensionBug(
            f"`{method.__name__}` of the action {name} returned {shortened(repr(effect), 80)}; expected a tuple: "
            "whether to forward the packet, a replacement frame (bytes) or None, and a tuple of Injections",
            method.__module__,
            f"{code.co_filename}, line {code.co_firstlineno}",
        )

    return checked
