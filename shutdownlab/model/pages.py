"""The content of the laboratory's web sites: a page per site, distinct in title and length, and downloads of known
size."""

from __future__ import annotations

import hashlib
import html
import random
from functools import cache

DOWNLOADS = (10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
"""Sizes (bytes) of the downloads that every site offers at `/bytes/SIZE`: zeros, in sparse files."""

_WORDS = (
    "after against border bridge cable capital carrier city coast country court day election exchange family fibre "
    "government hour house letter market message minister mobile month morning mountain network news number office "
    "operator people phone police price protest question region report river road school service session square "
    "station steppe street student subscriber telegraph town traffic transit university voice water week winter year"
)


@cache
def page(name: str, app: str) -> str:
    """Returns a site's page: 2 to 12 kB, the same in every run; its title is the site's name."""
    source = random.Random(hashlib.sha256(name.encode()).digest())
    paragraphs = [_paragraph(source) for _ in range(source.randint(5, 30))]
    title = html.escape(name)
    body = "\n".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{title}</title>\n</head>\n<body>\n<h1>{title}</h1>\n"
        f"<p>This is {title} ({html.escape(app)}) as shutdownlab emulates it.</p>\n{body}\n</body>\n</html>\n"
    )


def _paragraph(source: random.Random) -> str:
    sentences = (" ".join(source.choices(_WORDS.split(), k=source.randint(6, 16))).capitalize() for _ in range(4))
    return ". ".join(sentences) + "."
