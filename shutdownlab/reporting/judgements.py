"""Formats what `judge` prints: OONI's verdicts, and where a file differs from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from shutdownlab.config.wording import on_one_line
from shutdownlab.ooni.judging import Judged
from shutdownlab.ooni.reading import Judgements
from shutdownlab.ooni.verdict import WEB_FIELDS

_COLUMNS: Final = (("line", 6), ("rules", 18), ("blocking", 12), ("accessible", 10), ("DNS", 12), ("input", 0))


def judgement_lines(judgements: Iterable[Judged]) -> Iterator[str]:
    """Yields a JSON object per measurement: its input, test, place in the file, verdict, reasons, and `differs`."""
    encode = msgspec.json.Encoder().encode
    for each in judgements:
        differs = [difference._asdict() for difference in each.differs]
        judged: dict[str, Any] = {"input": each.input, **each.fields, "differs": differs}
        judged |= {"test_name": each.test_name, "test_version": each.test_version, "rules": each.rules}
        yield encode(
            judged | {"why": each.why, "assumed": each.assumed, "line": each.line, "element": each.element}
        ).decode()


def judgement_table(judgements: Iterable[Judged]) -> Iterator[str]:
    """Yields a line per measurement, each followed by a line per field that differs in the file or is copied from
    it. It begins with the measurement's line number, in an array `LINE:ELEMENT`."""
    heading = _row(name for name, _ in _COLUMNS)
    for each in judgements:
        if heading:
            yield heading
            heading = ""
        place = f"{each.line}:{each.element}" if each.element else str(each.line)
        yield _row((place, each.rules, *_verdict(each), on_one_line(each.input or "-")))
        for field, file, judged, why in each.differs:
            difference = f"        {field}: {_text(judged)}; the file says {_text(file)}" + (f" ({why})" if why else "")
            yield on_one_line(difference)
        for field, why in each.assumed.items():
            yield f"        {field}: taken over from the file ({why})"


def _verdict(judgement: Judged) -> tuple[str, str, str]:
    """Returns `blocking`, `accessible` and `dns_consistency`; for an app, whether it is blocked, and no DNS verdict."""
    fields = judgement.fields
    if WEB_FIELDS[0] in fields:
        blocking, accessible, consistency = (_text(fields[name]) for name in WEB_FIELDS[:3])
        return blocking, accessible, consistency
    return "blocked" if judgement.is_anomaly else "false", _text(not judgement.is_anomaly), "-"


def _row(cells: Iterable[str]) -> str:
    return "  ".join(text.ljust(width) for text, (_, width) in zip(cells, _COLUMNS, strict=True)).rstrip()


def _text(value: Any) -> str:
    return on_one_line(value if isinstance(value, str) else msgspec.json.encode(value).decode())


def summary_of(judgements: Judgements) -> str:
    """Returns how many measurements were judged, and on how many of them the file differs."""
    count, differing, others = judgements.judged, judgements.differing, judgements.passed_over
    text = f"{count:,} measurement{'' if count == 1 else 's'} judged"
    text += (
        f"; of {differing:,} the file says something else" if differing else ", all as the file says" if count else ""
    )
    return f"{text}; {others:,} of other tests skipped" if others else text
