"""Reads the docstrings of models' fields from the source.

Pydantic's `use_attribute_docstrings` would slow down every start of the program.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from functools import cache
from itertools import pairwise


def field_texts(model: type) -> dict[str, str]:
    """Returns the docstring of each field, from its own class or the nearest base class that has one."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if base.__module__.startswith("shutdownlab."):
            found |= _of_module(base.__module__).get(base.__name__, {})
    return found


@cache
def _of_module(name: str) -> dict[str, dict[str, str]]:
    """Returns the docstrings of a module's fields, by class and field."""
    classes = ast.parse(inspect.getsource(sys.modules[name])).body
    return {node.name: _fields(node.body) for node in classes if isinstance(node, ast.ClassDef)}


def _fields(body: list[ast.stmt]) -> dict[str, str]:
    return {
        field.target.id: joined(inspect.cleandoc(text))
        for field, below in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        if isinstance(text := below.value.value, str)
    }


def joined(text: str) -> str:
    """Returns text without the line breaks that only keep source lines short."""
    return re.sub(r"(?<!\n)\n(?!\n)", " ", text)
