"""DPI boxes that did not see all that was to pass them."""

from __future__ import annotations

from shutdownlab.country.liveness import missed_by
from shutdownlab.protocol.messages import Counters


def counted(box: str, inside: int, outside: int) -> Counters:
    return Counters(box, {"inside": {"dropped": inside}, "outside": {"dropped": outside}})


def test_a_box_that_has_missed_frames_since_it_was_asked_last_is_reported_once() -> None:
    before: dict[str, int] = {}
    first = [
        counted("north-box", 0, 0),
        counted("south-box", 3, 4),
        Counters("north", {}),
    ]
    assert list(missed_by(first, before)) == ["south-box has missed 7 frames: this machine is busy"]
    assert list(missed_by(first, before)) == []
    assert list(missed_by([counted("south-box", 3, 5)], before)) == [
        "south-box has missed 1 frames: this machine is busy"
    ]


def test_a_box_that_was_started_again_counts_from_nothing() -> None:
    before = {"south-box": 7}
    assert list(missed_by([counted("south-box", 0, 0)], before)) == []
    assert len(list(missed_by([counted("south-box", 2, 0)], before))) == 1
