"""Programs that a scenario or topology brings along. Data may come from a stranger, but programs only from a trusted
source.

They run inside the sandbox, where the machine's files are read-only and its network is out of reach, but they do run.
"""

from __future__ import annotations

import ast
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from shutdownlab.config.beside import found_beside
from shutdownlab.config.document import Document, Path, dotted, quoted
from shutdownlab.config.problems import BadInput, Problem
from shutdownlab.config.wording import because


@dataclass(frozen=True, slots=True)
class OwnProgram:
    """A program that would be started: a label (`what`), its argv, and the file, line and key that name it."""

    what: str
    command: tuple[str, ...]
    file: str
    line: int
    where: str

    @property
    def needs(self) -> tuple[FilePath, ...]:
        """The paths that it needs: the folder of the file that brings it, and the files among its arguments."""
        whole = (FilePath(argument) for argument in self.command if argument.startswith("/"))
        return (FilePath(self.file).parent.resolve(), *whole)

    def __str__(self) -> str:
        return f"{self.what}: {shlex.join(self.command)}"


def own_program(document: Document, path: Path, what: str, command: Iterable[str]) -> OwnProgram:
    """Returns the program that `document` names at `path`."""
    holder, place = document.locate(path)
    return OwnProgram(what, tuple(command), holder.file, document.line(path), dotted(place))


def allowed(programs: Iterable[OwnProgram], *, trust: bool) -> tuple[FilePath, ...]:
    """Returns the paths that must stay visible in the sandbox for these programs to start.

    Raises `BadInput`, with a problem for each program, unless they are trusted.
    """
    brought = tuple(programs)
    if brought and not trust:
        hint = "if you trust its author, start it with --trust (from Python: trust=True)"
        expected = "a scenario that starts no programs, or --trust"
        raise BadInput([Problem(p.file, p.line, p.where, str(p), expected, hint) for p in brought])
    return tuple(dict.fromkeys(path for program in brought for path in program.needs))


def own_controllers(document: Document, operators: Iterable[str]) -> dict[str, tuple[Path, FilePath]]:
    """Returns a scenario's own controller apps, by operator: the path of the key, and the file.

    Missing files are reported to `document`; values of the wrong type are left to the models.
    """
    common, known = document.data.get("controller"), list(operators)
    given: list[tuple[str, Path, Any]] = [(operator, ("controller",), common) for operator in known]
    for operator, name in _items(document.data.get("controllers")):
        if operator in known:
            given.append((operator, ("controllers", operator), name))
        else:
            document.report_unknown(("controllers", operator), "operator", operator, known)
    found: dict[str, tuple[Path, FilePath]] = {}
    for operator, path, name in given:
        if isinstance(name, str):
            file = found_beside(document, name)
            if file is None or file.suffix != ".py" or not file.is_file():
                expected = "the path of a controller app in Python, relative to this one"
                document.report(path, f"{quoted(name)}, which does not exist or is not a .py file", expected)
            elif wrong := _no_python(file):
                document.report(
                    path, f"{quoted(name)}, which Python cannot read: {wrong}", "a controller app in Python"
                )
            else:
                found[operator] = path, file
    return found


def _no_python(file: FilePath) -> str:
    """Returns why a file is not Python, with the line; "" if it is. Nothing in it is executed."""
    try:
        ast.parse(file.read_bytes())
    except SyntaxError as error:
        return f"{error.msg}, line {error.lineno}" if error.lineno else error.msg
    except OSError as error:
        return because(error)
    except (ValueError, RecursionError, MemoryError) as error:
        return str(error) or type(error).__name__
    return ""


def resolve_paths(document: Document, at: Path, command: Any) -> None:
    """Resolves arguments of a command that begin with `./` or `../`, relative to the file that contains it.

    `command`: the plain data at `at`, changed in place. Missing files are reported to `document`.
    """
    for index, argument in enumerate(command if isinstance(command, list) else ()):
        if isinstance(argument, str) and argument.startswith(("./", "../")):
            path = found_beside(document, argument)
            if path is None:
                found = f"{quoted(argument)}, which does not exist"
                document.report((*at, index), found, "the path of a file, relative to this one")
            else:
                command[index] = str(path)


def commands_in(document: Document) -> Iterator[tuple[Path, Any]]:
    """Yields the command of every server program of a topology, as plain data, with its path."""
    data = document.data
    for name, transit in _items(data.get("transits")):
        yield from _served(("transits", name), transit)
    for name, operator in _items(data.get("operators")):
        for region, groups in _items(operator.get("regions") if isinstance(operator, dict) else None):
            for group, subscribers in _items(groups):
                yield from _served(("operators", name, "regions", region, group), subscribers)


def _served(path: Path, network: Any) -> Iterator[tuple[Path, Any]]:
    serves = network.get("serves") if isinstance(network, dict) else None
    for index, item in enumerate(serves if isinstance(serves, list) else ()):
        if isinstance(item, dict):
            yield (*path, "serves", index, "command"), item.get("command")


def _items(value: Any) -> Iterable[tuple[Any, Any]]:
    return value.items() if isinstance(value, dict) else ()
