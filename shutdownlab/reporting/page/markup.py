"""Makes HTML from data; text from a user's files is always escaped. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from shutdownlab.config.wording import on_one_line


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def html(content: str | Iterable[str]) -> Html:
    """Returns content as HTML: text that is not `Html` is escaped, with its control characters made visible; several
    items are joined."""
    if isinstance(content, Html):
        return content
    if isinstance(content, str):
        return Html(escape(on_one_line(content)))
    return Html("".join(map(html, content)))


def element(tag: str, *content: str | Iterable[str], **attributes: str | int | float | bool | None) -> Html:
    """Returns an element. In attribute names a trailing underscore is dropped (`class_`), others become hyphens;
    attributes that are None or False are left out."""
    parts = [tag]
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        key = name.rstrip("_").replace("_", "-")
        parts.append(key if value is True else f'{key}="{escape(on_one_line(f"{value}"))}"')
    inner = "".join(map(html, content))
    return Html(f"<{' '.join(parts)}>{inner}</{tag}>")


def code(text: str) -> Html:
    """Returns a name or a command as code."""
    return element("code", text)


def table(heading: str, columns: Iterable[str], rows: Iterable[Iterable[str]], *, class_: str | None = None) -> Html:
    """Returns a table whose first column heads its rows; it scrolls by itself if the screen is narrower."""
    head = element("tr", (element("th", column, scope="col") for column in columns))
    body = []
    for first, *rest in rows:
        cells = (cell if cell.startswith("<td") and isinstance(cell, Html) else element("td", cell) for cell in rest)
        body.append(element("tr", element("th", first, scope="row"), cells))
    whole = element("table", caption(heading), element("thead", head), element("tbody", body), class_=class_)
    return scrolling(heading, whole)


def caption(text: str) -> Html:
    """Returns a table's heading, which stays in view when the table is scrolled sideways."""
    return element("caption", element("span", text))


def scrolling(label: str, *content: str) -> Html:
    """Wraps content that may be wider than the screen, so that it scrolls, also with a keyboard."""
    return element("div", *content, class_="pg-scroll", role="region", aria_label=label, tabindex=0)
