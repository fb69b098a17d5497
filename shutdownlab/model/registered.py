"""Records of several kinds: one key names the kind, whose class packages register under that name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, TypeVar

from pydantic import ValidationInfo, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler

from shutdownlab.config.document import Expected, did_you_mean, one_of, quoted
from shutdownlab.config.extensions import ExtensionError, Extensions
from shutdownlab.config.narrowing import Narrowing

Kind = TypeVar("Kind", bound="Registered")

_MOVED = {"routes": "it is not a probe: write `observations: {routes: {observer: bgp}}`, next to `probes:`"}


class Registered(Narrowing):
    """A record of one of several kinds. A direct subclass says where its kinds are registered; its subclasses are the
    kinds.

    A class with a `group` of its own stands for all kinds: validating it returns an instance of the kind that is named.
    """

    group: ClassVar[str] = ""
    """The entry point group in which kinds are registered."""
    named_by: ClassVar[str] = ""
    """The key that names the kind."""

    @model_validator(mode="wrap")
    @classmethod
    def _of_its_kind(
        cls, value: Any, validate: ModelWrapValidatorHandler[Registered], info: ValidationInfo
    ) -> Registered:
        if not cls._is_any_kind() or not isinstance(value, Mapping):
            return validate(value)
        if cls.named_by not in value:
            raise Expected(f"the key {quoted(cls.named_by)}", one_of(kinds_of(cls)), found=f"no {quoted(cls.named_by)}")
        kind = _kind_named(cls, value[cls.named_by])
        _check_keys(cls, kind, value)
        return kind.model_validate(value, context=info.context)

    @classmethod
    def variant(cls, value: Any) -> type[Registered]:
        """Returns the class that validates a value."""
        name = value.get(cls.named_by) if isinstance(value, Mapping) else None
        if not cls._is_any_kind() or not isinstance(name, str):
            return cls
        try:
            return kinds_of(cls)[name]
        except (KeyError, ExtensionError):
            return cls

    @classmethod
    def own_fields(cls) -> dict[str, bool]:
        """Returns the keys that this kind adds to the common ones, and whether each is required."""
        common = next(base for base in cls.__mro__ if issubclass(base, Registered) and base._is_any_kind()).model_fields
        return {i.alias or n: i.is_required() for n, i in cls.model_fields.items() if n not in common}

    @classmethod
    def _is_any_kind(cls) -> bool:
        return bool(cls.__dict__.get("group"))


@cache
def kinds_of(base: type[Kind]) -> Extensions[Kind]:
    """Returns every installed kind of `base`, by name."""
    return Extensions(base.group, base)


def _kind_named(base: type[Registered], name: object) -> type[Registered]:
    kinds = kinds_of(base)
    try:
        return kinds[str(name)]
    except KeyError:
        expected, hint = kinds.unknown(name)
        raise Expected(expected, _MOVED.get(str(name), hint), found=quoted(name), key=base.named_by) from None
    except ExtensionError as error:
        raise Expected("one that is installed", error.hint, found=error.found, key=base.named_by) from error


def _check_keys(base: type[Registered], kind: type[Registered], value: Mapping[str, Any]) -> None:
    """Reports keys of other kinds and missing keys of this one together; misspelt keys are left to pydantic."""
    own = kind.own_fields()
    given = [str(key) for key in value if key in own or key not in _keys(base)]
    missing = [key for key, needed in own.items() if needed and key not in given]
    strange = [key for key in given if key not in own]
    if not missing and not strange:
        return
    if any(did_you_mean(key, own) for key in strange) or not (missing or set(strange) <= _keys_of_all(base)):
        return
    needs = [key for key, needed in own.items() if needed]
    may = [key for key, needed in own.items() if not needed]
    allowed = f"only {_listed(needs)}" if needs and not may else f"at most {_listed(needs + may)}"
    wanted = _listed(needs) if missing else allowed if needs or may else "nothing more"
    wrong = [_listed(strange)] * bool(strange) + [f"no {_listed(missing)}"] * bool(missing)
    named = f"`{base.named_by}: {value[base.named_by]}`"
    hint = f"give only the keys of that {base.named_by}"
    raise Expected(f"{wanted} with {named}", hint, found=" and ".join(wrong))


def _listed(keys: list[str]) -> str:
    return " and ".join(f"`{key}`" for key in sorted(keys))


def _keys(kind: type[Registered]) -> set[str]:
    return {info.alias or name for name, info in kind.model_fields.items()}


def _keys_of_all(base: type[Registered]) -> set[str]:
    """Returns the keys of all kinds."""
    found: set[str] = set()
    for name in kinds_of(base):
        try:
            found |= _keys(kinds_of(base)[name])
        except ExtensionError:
            continue  # reported when that kind is used
    return found
