"""Makes help show arguments and options as the user writes them, not by their Python types."""

from __future__ import annotations

import inspect
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final, get_args, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup


class _Plain:
    """Mixin for help with `--seed N` and `--pcap` in place of typer's `<int>` and `<bool>`."""

    params: list[Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for param in self.params:
            _plain(param)

    def get_help_option(self, ctx: Any) -> Any:
        return _plain(super().get_help_option(ctx))  # type: ignore[misc]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        with _nothing_for(_UNUSED):
            import typer.rich_utils  # noqa: F401
        super().format_help(ctx, formatter)  # type: ignore[misc]


_UNUSED: Final = (("rich.markdown", "Markdown"), ("rich.traceback", "Traceback"))
"""Modules that typer imports to show Markdown and exceptions, with parsers for both: a third of the time of `--help`.
They are not needed: our texts are in Rich's markup, and `cli.crash` reports exceptions."""


@contextmanager
def _nothing_for(modules: tuple[tuple[str, str], ...]) -> Iterator[None]:
    """Replaces modules by stubs with one empty class until the context exits, unless they are already imported.

    modules: the name of each, and of the class.
    """
    put = []
    for name, wanted in modules:
        if name not in sys.modules:
            sys.modules[name] = empty = ModuleType(name)
            setattr(empty, wanted, type(wanted, (), {}))
            put.append(name)
    try:
        yield
    finally:
        for name in put:
            del sys.modules[name]


_USAGE_ERROR: Any = typer.BadParameter.__mro__[1]
"""`UsageError`: click's, or that of the click inside newer typers."""
_AS_WE_SAY: Final = (
    (re.compile(r"^Value error, "), ""),
    (re.compile(r"^Input should be a valid integer, .*"), "found no whole number; expected one."),
    (re.compile(r"^Input should be a valid number, .*"), "found no number; expected one."),
    (re.compile(r"^.* is not a valid integer(?: range)?\.$", re.DOTALL), "found no whole number; expected one."),
    (re.compile(r"^.* is not a valid float(?: range)?\.$", re.DOTALL), "found no number; expected one."),
)
"""Replacements for messages about bad values: from the validator of newer typers, and from click under older ones."""


class PlainCommand(_Plain, TyperCommand):
    """A command with plain help, and with our own messages about bad values."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        for param in self._empty_paths(args) if {"", "="} & {word[-1:] for word in args} else ():
            raise typer.BadParameter("found an empty name; expected a path.", ctx=ctx, param=param)
        try:
            return list(super().parse_args(ctx, args))
        except typer.BadParameter as error:
            for clicks, wording in _AS_WE_SAY:
                error.message = clicks.sub(wording, error.message)
            raise

    def _empty_paths(self, args: list[str]) -> Iterator[Any]:
        """Yields the parameters that take a path and are given "", as by a variable of the shell that is not set.

        `Path("")` is the current directory, where nobody meant to write.
        """
        hints = get_type_hints(inspect.unwrap(self.callback)) if self.callback is not None else {}
        paths = [param for param in self.params if _has_path(hints.get(param.name))]
        options = {name: param for param in self.params for name in param.opts if name.startswith("-")}
        arguments = [param for param in paths if not any(name.startswith("-") for name in param.opts)]
        words = iter(args)
        for word in words:
            if word == "--":
                return
            name, equals, value = word.partition("=")
            if not word:
                yield from arguments
            elif (param := options.get(name)) is None or getattr(param, "is_flag", False):
                continue
            elif (value if equals else next(words, None)) == "" and param in paths:
                yield param


class CommandWithin(PlainCommand):
    """A command that runs another one, and takes the other's options for its own if no `--` separates them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        whole = list(args)
        try:
            return super().parse_args(ctx, args)
        except _USAGE_ERROR as error:
            if "--" not in whole:
                error.message += f"\n    hint: put `--` before the command to run: {self._with_dashes(ctx, whole)}"
            raise

    def _with_dashes(self, ctx: Any, args: list[str]) -> str:
        """Returns the command line as it was meant: the scenario and our own options, then `--` and the command."""
        valued = {name for param in self.params if not getattr(param, "is_flag", True) for name in param.opts}
        place, positional = 0, 0
        while place < len(args):
            if args[place] in valued:
                place += 2
                continue
            if not args[place].startswith("-"):
                positional += 1
                if positional == 2:
                    break
            place += 1
        before, after = f"{ctx.command_path} {shlex.join(args[:place])}", shlex.join(args[place:])
        return f"{before} -- {after or 'COMMAND'}"


class PlainGroup(_Plain, TyperGroup):
    """The program's top-level command, with plain help."""


def _has_path(hint: Any) -> bool:
    """Whether a type is that of a path, or has one in it: `list[Path] | None`."""
    return hint is Path or any(map(_has_path, get_args(hint)))


def _plain(param: Any) -> Any:
    """Makes typer show a parameter by its metavar alone. Older typers do not use these attributes, nor show types."""
    if param is None:
        return None
    if param.param_type_name == "option":
        shown = param.metavar or ""
        param.display_type_rich = lambda ctx: shown
    else:
        usage = param.metavar if param.required else f"[{param.metavar}]"
        param.display_type_rich = lambda ctx: ""
        param._usage_display_name = lambda: usage
    return param
