"""Plugins registered under an entry point group: those that ship with shutdownlab, and those a user has installed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, cached_property
from importlib.metadata import Distribution, EntryPoint, EntryPoints, distributions
from typing import Generic, TypeVar

from shutdownlab.config.wording import did_you_mean, one_of, quoted

Part = TypeVar("Part")


class ExtensionError(Exception):
    """A registered plugin cannot be used. `found` and `hint` are for the message to the user."""

    def __init__(self, found: str, hint: str = "") -> None:
        super().__init__(f"{found}; {hint}" if hint else found)
        self.found, self.hint = found, hint


class ExtensionBug(Exception):
    """A plugin did what none may. `module`: its module; `where`: the place of its code, for messages."""

    def __init__(self, what: str, module: str, where: str) -> None:
        super().__init__(what, module, where)
        self.what, self.module, self.where = what, module, where

    def __str__(self) -> str:
        return self.what


class Extensions(Generic[Part]):
    """The classes of one entry point group by name. A module is imported when its name is first looked up."""

    def __init__(self, group: str, base: type[Part]) -> None:
        self.group, self.base = group, base
        self._loaded: dict[str, type[Part]] = {}

    @cached_property
    def _registered(self) -> dict[str, list[EntryPoint]]:
        """The entry points by name."""
        all_of_them = ((each, entries.select(group=self.group)) for each, entries in _distributions(tuple(sys.path)))
        having = [(distribution, entries) for distribution, entries in all_of_them if entries]
        found: dict[str, list[EntryPoint]] = {}
        for entries in _each_once(having):
            for entry in entries:
                if entry.value not in {other.value for other in found.get(entry.name, ())}:
                    found.setdefault(entry.name, []).append(entry)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._registered))

    def __contains__(self, name: object) -> bool:
        return name in self._registered

    def __getitem__(self, name: str) -> type[Part]:
        """Raises KeyError for an unregistered name, `ExtensionError` if what is registered cannot be used."""
        if name not in self._loaded:
            self._loaded[name] = self._load(name, self._registered[name])
        return self._loaded[name]

    def unknown(self, name: object) -> tuple[str, Callable[[], str]]:
        """For the message about an unregistered name: returns what was expected and a function for the hint."""
        if not self._registered:
            hint = "the installation of shutdownlab is incomplete: run `make setup` again"
            return "a name that is registered", lambda: hint
        adds = f"a package adds one by the entry point group {self.group!r}"
        return one_of(self), lambda: did_you_mean(str(name), self) or adds

    def _load(self, name: str, entries: list[EntryPoint]) -> type[Part]:
        if len(entries) > 1:
            owners = " and ".join(sorted(_owner(entry) for entry in entries))
            raise ExtensionError(f"{quoted(name)}, which {owners} both register", "uninstall one of them")
        [entry] = entries
        try:
            part = entry.load()
        except Exception as error:
            found = f"{quoted(name)} of {_owner(entry)}, which cannot be loaded: {type(error).__name__}: {error}"
            raise ExtensionError(found, f"its entry point is {entry.value!r}; fix or uninstall the package") from error
        if not (isinstance(part, type) and issubclass(part, self.base)):
            found = f"{quoted(name)} of {_owner(entry)}, which is not a {self.base.__module__}.{self.base.__qualname__}"
            raise ExtensionError(found, f"its entry point {entry.value!r} must name a subclass of it")
        return part


@cache
def modules_of_others() -> Mapping[str, str]:
    """Returns the top-level modules of installed packages that extend shutdownlab, and whose each is."""
    found: dict[str, str] = {}
    for distribution, entries in _distributions(tuple(sys.path)):
        mine = [entry.module.partition(".")[0] for entry in entries if entry.group.startswith("shutdownlab.")]
        found |= {module: distribution.name for module in mine if module != "shutdownlab"}
    return found


@cache
def _distributions(path: tuple[str, ...]) -> list[tuple[Distribution, EntryPoints]]:
    """Returns the installed distributions on `path` that have entry points; read once, for all groups."""
    found = ((distribution, distribution.entry_points) for distribution in distributions(path=list(path)))
    return [(distribution, entries) for distribution, entries in found if entries]


def _each_once(having: list[tuple[Distribution, EntryPoints]]) -> Iterable[EntryPoints]:
    """Returns the entry points of each distribution once: if a checkout has stale metadata beside the installed
    distribution (only the latter has a RECORD), the installed one counts.

    A single distribution's metadata is not read: that takes four times as long as everything else here.
    """
    if len(having) < 2:
        return [entries for _, entries in having]
    found: dict[str, tuple[bool, EntryPoints]] = {}
    for distribution, entries in having:
        installed, name = distribution.read_text("RECORD") is not None, distribution.name.lower()
        if name not in found or installed > found[name][0]:
            found[name] = installed, entries
    return [entries for _, entries in found.values()]


def _owner(entry: EntryPoint) -> str:
    return f"the package {entry.dist.name}" if entry.dist else "a package"
