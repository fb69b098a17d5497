"""Converts an SVG drawing to PNG or PDF. Needs a library, the extra `png`."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

_LIBRARY: Final = "vl_convert"
_SCALE: Final = 2
"""Pixels per unit of the drawing: sharp on a slide."""


def can_make_png() -> bool:
    """Whether the library is installed."""
    return find_spec(_LIBRARY) is not None


def png_of(svg: str, scale: float = _SCALE) -> bytes:
    """Returns the drawing as a PNG, in its light colours. scale: pixels per unit of 1/96 inch.

    The library brings its own fonts. Raises `ImportError` if it is missing, `ValueError` if it cannot draw this.
    """
    from vl_convert import svg_to_png

    made: bytes = svg_to_png(svg, scale=scale)
    return made


def pdf_of(svg: str) -> bytes:
    """Returns the drawing as a PDF with embedded fonts, one point per unit.

    Raises `ImportError` if the library is missing, `ValueError` if it cannot draw this.
    """
    from vl_convert import svg_to_pdf

    made: bytes = svg_to_pdf(svg)
    return made
