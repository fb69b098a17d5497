"""How commands show their arguments and options: by what is to be written, not by the Python type that it becomes."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup


class _Plain:
    """Help that says `--seed N` and `--pcap` where typer's own says `<int>` and `<bool>`."""

    params: list[Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for param in self.params:
            _plain(param)

    def get_help_option(self, ctx: Any) -> Any:
        return _plain(super().get_help_option(ctx))  # type: ignore[misc]


class PlainCommand(_Plain, TyperCommand):
    """A command."""


class PlainGroup(_Plain, TyperGroup):
    """The program as a whole."""


def _plain(param: Any) -> Any:
    """Typer asks a parameter itself how it is to be shown; older ones, which don't, show nothing of the kind."""
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
