"""Turns a drawing (SVG) into a PNG or a PDF, where a library for that is installed: the extra `png`."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

_LIBRARY: Final = "vl_convert"
_SCALE: Final = 2
"""Pixels for each unit of the drawing: sharp on a slide."""


def can_make_png() -> bool:
    """Whether the library is there."""
    return find_spec(_LIBRARY) is not None


def png_of(svg: str, scale: float = _SCALE) -> bytes:
    """The drawing as a PNG, in its light colours, `scale` times as wide in pixels as in units of 1/96 inch. It brings
    fonts of its own.

    Raises ImportError where the library is not there, ValueError where it cannot draw this.
    """
    from vl_convert import svg_to_png

    made: bytes = svg_to_png(svg, scale=scale)
    return made


def pdf_of(svg: str) -> bytes:
    """The drawing as a PDF, a point wide for each unit, with its letters embedded.

    Raises ImportError where the library is not there, ValueError where it cannot draw this.
    """
    from vl_convert import svg_to_pdf

    made: bytes = svg_to_pdf(svg)
    return made
