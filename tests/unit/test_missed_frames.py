"""On-path DPI boxes that did not see all that passed them."""

from __future__ import annotations

from shutdownlab.country.liveness import missed_by
from shutdownlab.protocol.messages import Counters


def counted(box: str, inside: int, outside: int) -> Counters:
    return Counters(box, {"inside": {"dropped": inside}, "outside": {"dropped": outside}})


def test_a_box_that_has_missed_frames_since_it_was_asked_last_is_reported_once() -> None:
    before: dict[str, int] = {}
    racers = {"north-box", "south-box"}
    first = [
        counted("north-box", 0, 0),
        counted("south-box", 3, 4),
        counted("in-path-box", 9, 9),
        Counters("north", {}),
    ]
    assert list(missed_by(first, racers, before)) == ["south-box has missed 7 frames: this machine is busy"]
    assert list(missed_by(first, racers, before)) == []
    assert list(missed_by([counted("south-box", 3, 5)], racers, before)) == [
        "south-box has missed 1 frames: this machine is busy"
    ]


def test_a_box_that_was_started_again_counts_from_nothing() -> None:
    before = {"south-box": 7}
    assert list(missed_by([counted("south-box", 0, 0)], {"south-box"}, before)) == []
    assert len(list(missed_by([counted("south-box", 2, 0)], {"south-box"}, before))) == 1
