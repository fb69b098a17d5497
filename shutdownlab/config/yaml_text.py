"""Parses YAML text into plain data and the line of every value.

Parsing uses PyYAML's composer, so that every value keeps its line. Refused are: more than one document, duplicate keys,
tags, documents above 1 MiB, values nested more than 100 deep, more than 25,000 values, or more than 150,000 after
expanding aliases ("YAML bomb"), and numbers that are not finite.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from typing import Any

import yaml

from shutdownlab.config.problems import BadInput, Problem, Problems
from shutdownlab.config.wording import Path, dotted, quoted

MAX_BYTES = 1 << 20
MAX_VALUES = 25_000
"""Limit of values as written: seven times those in the largest file that ships."""
MAX_EXPANDED = 150_000
"""Limit of values after expanding aliases: 1,000 operators sharing 20 regions written once have half as many."""
MAX_DEPTH = 100
MAX_DIGITS = 40


def read_yaml(text: bytes, file: str) -> tuple[dict[str, Any], dict[Path, int]]:
    """Returns the mapping in one YAML document, and the line, from 1, that each value starts on, by its path.

    file: its name in messages. Raises `BadInput`.
    """

    def bad(line: int, found: str, expected: str, hint: str = "") -> BadInput:
        return BadInput([Problem(file, line, "", found, expected, hint)])

    if len(text) > MAX_BYTES:
        raise bad(0, f"a file of {len(text):,} bytes", f"at most {MAX_BYTES:,}", "is this the right file?")
    if text.startswith(_UTF_16):
        raise bad(0, "UTF-16", "YAML text in UTF-8", "save the file as UTF-8")
    if b"\0" in text[:4096]:
        raise bad(0, "a binary file", "YAML text in UTF-8", "give the path of a topology or scenario file")
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = text[: error.start].count(b"\n") + 1
        raise bad(line, f"the byte 0x{text[error.start]:02x}", "YAML text in UTF-8", "save it as UTF-8") from None
    try:
        # Checked before the composer, which recurses, and needs hundreds of bytes of memory per byte of input.
        deep = _too_deep_in(_counted(yaml.parse(decoded, Loader=_Loader), file))
        nodes = [] if deep else list(yaml.compose_all(decoded, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        # The parser has a nesting limit of its own, and reads ahead: it may reach that before we see ours exceeded.
        deep = _too_deep_in(_before(error, decoded))
        if not deep:
            raise bad(*_syntax_error(error, decoded)) from None
    except yaml.YAMLError as error:
        raise bad(1, str(error).splitlines()[0], "valid YAML") from None
    if deep:
        raise bad(deep, *TOO_DEEP)
    if not nodes:
        raise bad(1, "an empty file", "a YAML mapping", "`shutdownlab list` names files to start from")
    if len(nodes) > 1:
        raise bad(nodes[1].start_mark.line + 1, "a second document ('---')", "one document", "split the file")
    reader = _Reader(file)
    data = reader.read(nodes[0], ())
    if reader.problems:
        raise BadInput(reader.problems)
    if not isinstance(data, dict):
        raise bad(1, quoted(data), "a YAML mapping", "start with `format: 1`")
    return data, reader.lines


END_OF_FILE = "the end of the file"
"""What a message says was found where a value is cut off."""
_UTF_16 = b"\xff\xfe", b"\xfe\xff"
"""How Windows' editors and PowerShell begin "Unicode" files."""


def _counted(events: Iterable[yaml.Event], file: str) -> Iterator[yaml.Event]:
    """Passes the events on; raises `BadInput` if there are too many."""
    keys_and_values = 0
    for event in events:
        keys_and_values += isinstance(event, yaml.NodeEvent)
        if keys_and_values > 2 * MAX_VALUES:
            line = event.start_mark.line + 1 if event.start_mark else 0
            raise BadInput([Problem(file, line, "", f"more than {MAX_VALUES:,} values", TOO_DEEP[1], _ONCE)])
        yield event


TOO_DEEP = f"values nested more than {MAX_DEPTH} deep", "a simpler file", "reduce the nesting"
_ONCE = "write repeated parts once, as `regions: &all {…}`, and refer to them as `regions: *all`"
_OPENING = (
    yaml.CollectionStartEvent,
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_CLOSING = yaml.CollectionEndEvent, yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken


def _too_deep_in(parts: Iterable[yaml.Event | yaml.Token]) -> int:
    """Returns the line of the first list or mapping nested in more than MAX_DEPTH others; 0 if there is none."""
    depth = -1  # the document's own mapping is inside none
    for part in parts:
        depth += isinstance(part, _OPENING) - isinstance(part, _CLOSING)
        if depth > MAX_DEPTH:
            return part.start_mark.line + 1 if part.start_mark else 1
    return 0


def _before(error: yaml.MarkedYAMLError, text: str) -> Iterator[yaml.Token]:
    """Yields the tokens up to the line of a syntax error, from PyYAML's pure Python scanner, which has no limit."""
    mark = error.problem_mark or error.context_mark
    last = mark.line if mark else 0
    try:
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            if token.start_mark is None or token.start_mark.line > last:
                return
            yield token
    except yaml.YAMLError:
        return


def _syntax_error(error: yaml.MarkedYAMLError, text: str) -> tuple[int, str, str, str]:
    """Converts a YAML parser's error: returns the line, what was found, what was expected, and a hint."""
    mark = error.problem_mark or error.context_mark
    line = mark.line if mark else 0
    line_text = next(islice(text.splitlines(), line, None), "")
    if "\t" in line_text[: len(line_text) - len(line_text.lstrip())]:
        return line + 1, "a tab", "spaces", "YAML is indented only with spaces"
    missed = re.fullmatch(r"did not find expected (.+)", error.problem or "")
    opened = error.context_mark.line + 1 if error.context_mark else line + 1
    hint = f"{error.context}, which starts in line {opened}" if error.context else ""
    if missed:
        wanted = missed[1].replace("<", "the ").replace(">", "").replace("hexdecimal number", _HEXADECIMAL)
        return (
            line + 1,
            quoted(line_text.strip()) if any(islice(text.splitlines(), line, None)) else END_OF_FILE,
            wanted if wanted[0] in "',[]" or wanted == _HEXADECIMAL else f"{wanted} (is the indentation right?)",
            hint,
        )
    problem = str(error.problem or error.context).removeprefix("found ")
    if problem.startswith("undefined alias") and mark is not None:
        name = re.split(r"[\s,\[\]{}]", line_text[mark.column :].removeprefix("*"), maxsplit=1)[0]
        return (
            line + 1,
            f"{quoted(f'*{name}')}, an alias without an anchor",
            f"the anchor {quoted(f'&{name}')} before it",
            hint,
        )
    if missed := re.fullmatch(r"expected escape sequence of .*", problem):  # PyYAML's own scanner
        return line + 1, quoted(line_text.strip()), _HEXADECIMAL, hint
    return line + 1, problem, "valid YAML", hint


_HEXADECIMAL = "hexadecimal digits after \\x, \\u or \\U in double quotes; a backslash itself is \\\\"


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    pass


_MERGE = "tag:yaml.org,2002:merge"
_PLAIN_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


def _tag(node: yaml.Node) -> str:
    return str(node.tag).replace("tag:yaml.org,2002:", "!!")


def _parts_of(node: yaml.Node) -> Iterable[yaml.Node]:
    """Returns the keys and values of a mapping, or the entries of a list."""
    if isinstance(node, yaml.MappingNode):
        return chain.from_iterable(node.value)
    return node.value if isinstance(node, yaml.SequenceNode) else ()


class _Reader:
    """Converts composed nodes; counts values as aliases expand, so that a YAML bomb is refused early."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[Path, int] = {}
        self.problems = Problems()
        self.values = 0

    def _bad(self, node: yaml.Node, path: Path, found: str, expected: str, hint: str = "") -> None:
        self.problems.append(Problem(self.file, node.start_mark.line + 1, dotted(path), found, expected, hint))

    def _endless(self, node: yaml.Node) -> Problem | None:
        """Returns the problem of a value that stands within itself by an alias; None if this one does not."""
        within, seen = [node], set[int]()
        while within:
            for part in _parts_of(within.pop()):
                if part is node:
                    found, expected = "an alias within what it stands for", "values that do not contain themselves"
                    hint = "take out the `*name` that stands below its own `&name`"
                    return Problem(self.file, node.start_mark.line + 1, "", found, expected, hint)
                if id(part) not in seen:
                    seen.add(id(part))
                    within.append(part)
        return None

    def read(self, node: yaml.Node, path: Path) -> Any:
        self.values += 1
        if self.values > MAX_EXPANDED or len(path) > MAX_DEPTH:
            many = f"more than {MAX_EXPANDED:,} values, counting every use of an alias"
            found = (many, TOO_DEEP[1], "use fewer aliases") if self.values > MAX_EXPANDED else TOO_DEEP
            raise BadInput([self._endless(node) or Problem(self.file, node.start_mark.line + 1, "", *found)])
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode | yaml.SequenceNode) and node.tag not in _PLAIN_TAGS:
            self._bad(node, path, f"the tag {_tag(node)}", "plain YAML without tags", "remove the tag")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        own = [(key, value) for key, value in node.value if key.tag != _MERGE]
        for key_node, value_node in own:
            if not isinstance(key_node, yaml.ScalarNode):
                self._bad(key_node, path, "a list or mapping as a key", "a name")
                continue
            key = key_node.value
            if key in result:
                first = self.lines[(*path, key)]
                self._bad(
                    key_node, (*path, key), f"the key {quoted(key)} twice", "each key once", f"first: line {first}"
                )
                continue
            self.lines[(*path, key)] = key_node.start_mark.line + 1
            result[key] = self.read(value_node, (*path, key))
        for key_node, value_node in self._merged(node, path, 0):
            if isinstance(key_node, yaml.ScalarNode) and key_node.value not in result:
                self.lines[(*path, key_node.value)] = key_node.start_mark.line + 1
                result[key_node.value] = self.read(value_node, (*path, key_node.value))
        return result

    def _merged(self, node: yaml.MappingNode, path: Path, depth: int) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        """Yields the pairs that merge keys (`<<: *other`) add to a mapping; the first pair of a key wins.

        Source: https://yaml.org/type/merge.html
        """
        for key_node, value in node.value:
            if key_node.tag != _MERGE:
                continue
            for other in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if not isinstance(other, yaml.MappingNode):
                    self._bad(
                        key_node,
                        path,
                        "'<<' with something else",
                        "a mapping, such as <<: *name, or a list of mappings",
                    )
                    continue
                self.values += 1
                if depth > MAX_DEPTH or self.values > MAX_EXPANDED:
                    deep = Problem(self.file, key_node.start_mark.line + 1, "", *TOO_DEEP)
                    raise BadInput([self._endless(node) or deep])
                yield from (pair for pair in other.value if pair[0].tag != _MERGE)
                yield from self._merged(other, path, depth + 1)

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        text = node.value
        if node.style in set("'\"|>") or node.tag == "tag:yaml.org,2002:str":
            return text
        match node.tag.rpartition(":")[2]:
            case "null" if text.lower() in {"", "~", "null"}:
                return None
            case "bool" if text.lower() in _TRUE | _FALSE:
                return text.lower() in _TRUE
            case "int" if re.fullmatch(r"[-+]?[0-9]+", text):
                return self._number(node, path, int)
            case "float" if re.fullmatch(r"[-+]?[0-9]*\.?[0-9]*([eE][-+]?[0-9]+)?", text) and re.search("[0-9]", text):
                return self._number(node, path, float)
            case "int" | "float" | "timestamp":  # 10:30 and dates stay text; their fields parse them
                return text
            case _:
                self._bad(node, path, f"the tag {_tag(node)}", "plain YAML without tags", "remove the tag")
                return None

    def _number(self, node: yaml.ScalarNode, path: Path, convert: Callable[[str], float]) -> float | None:
        text = node.value
        if len(text) <= MAX_DIGITS:
            with suppress(ValueError):
                number = convert(text)
                if math.isfinite(number):
                    return number
        found = quoted(text) if len(text) <= MAX_DIGITS else f"a number of {len(text):,} characters"
        self._bad(node, path, found, f"a finite number of at most {MAX_DIGITS} characters", "in quotes, if it is text")
        return None


_TRUE, _FALSE = frozenset({"true", "yes", "on"}), frozenset({"false", "no", "off"})
