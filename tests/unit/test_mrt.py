"""MRT records are put into the scenario's time, and readers of MRT find nothing else changed."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from pathlib import Path

import mrtparse
import pytest

from shutdownlab.observers import mrt
from shutdownlab.observers.scenario_time import ScenarioTime

WALL = 1_796_000_000
ATTRIBUTES = bytes.fromhex("40010100400206020100010001400304c0000201")
"""ORIGIN IGP, AS_PATH 65537, NEXT_HOP 192.0.2.1."""


def record(kind: int, subtype: int, body: bytes, at: int = WALL) -> bytes:
    return struct.pack("!IHHI", at, kind, subtype, len(body)) + body


def index_table() -> bytes:
    peer = struct.pack("!B4s4sI", 2, bytes((192, 0, 2, 9)), bytes((192, 0, 2, 9)), 65537)
    return record(13, 1, bytes((192, 0, 2, 1)) + struct.pack("!HH", 0, 2) + peer + peer)


def rib(*heard: int) -> bytes:
    entries = b"".join(struct.pack("!HIH", n, at, len(ATTRIBUTES)) + ATTRIBUTES for n, at in enumerate(heard))
    return record(13, 2, struct.pack("!IB", 0, 16) + bytes((100, 65)) + struct.pack("!H", len(heard)) + entries)


def state_change(kind: int = 16, extra: bytes = b"") -> bytes:
    peers = struct.pack("!IIHH", 65537, 65536, 0, 1) + bytes((192, 0, 2, 9)) + bytes((192, 0, 2, 1))
    return record(kind, 5, extra + peers + struct.pack("!HH", 5, 6))


def in_2022(data: bytes) -> bytes:
    offset = 1_641_000_000 - WALL
    found, size = mrt.records(data)
    assert size == len(data)
    return b"".join(mrt.put_into(each, lambda at: at + offset) for each in found)


def parsed(data: bytes, place: Path) -> list[dict[str, object]]:
    file = place / "file.mrt"
    file.write_bytes(data)
    return [entry.data for entry in mrtparse.Reader(str(file))]


def message(kind: int, rest: bytes = b"", at: int = WALL) -> bytes:
    """A BGP message of a peer: 2 an UPDATE, 4 a KEEPALIVE."""
    peers = struct.pack("!IIHH", 65537, 65536, 0, 1) + bytes((192, 0, 2, 9)) + bytes((192, 0, 2, 1))
    said = b"\xff" * 16 + struct.pack("!HB", 19 + len(rest), kind) + rest
    return record(17, 4, struct.pack("!I", 250_000) + peers + said, at)


def test_a_phase_has_no_keepalives_of_the_phase_before_but_every_change_of_routes() -> None:
    update = bytes(4)
    data = message(4, at=WALL - 40) + message(2, update, WALL - 30) + message(4, at=WALL + 5) + message(2, update, WALL)
    every, _ = mrt.records(data)
    assert [each.is_keepalive for each in every] == [True, False, True, False]
    assert mrt.heard_in(every, 1_641_000_000, lambda at: at - WALL + 1_641_000_000) == every[1:]


def test_a_table_says_when_it_was_written_and_when_each_route_was_heard(tmp_path: Path) -> None:
    table, routes = parsed(in_2022(index_table() + rib(WALL - 60, WALL - 5)), tmp_path)
    assert next(iter(table["timestamp"])) == next(iter(routes["timestamp"])) == 1_641_000_000
    assert [next(iter(e["originated_time"])) for e in routes["rib_entries"]] == [1_640_999_940, 1_640_999_995]
    assert (routes["prefix"], routes["length"], routes["entry_count"]) == ("100.65.0.0", 16, 2)
    paths = [attribute["value"] for attribute in routes["rib_entries"][1]["path_attributes"]]
    assert paths[1][0]["value"] == ["65537"] and paths[2] == "192.0.2.1"


def test_a_message_keeps_all_but_its_time(tmp_path: Path) -> None:
    before, after = parsed(state_change(), tmp_path)[0], parsed(in_2022(state_change()), tmp_path)[0]
    assert next(iter(after["timestamp"])) == 1_641_000_000
    assert {k: v for k, v in after.items() if k != "timestamp"} == {k: v for k, v in before.items() if k != "timestamp"}


def test_microseconds_are_kept_where_there_are_any() -> None:
    [found] = mrt.records(state_change(17, (250_000).to_bytes(4)))[0]
    assert found.at == WALL + 0.25
    [moved] = mrt.records(mrt.put_into(found, lambda at: at + 0.5))[0]
    assert (moved.at, moved.body) == (WALL + 0.75, found.body)


@pytest.mark.parametrize("lost", [1, 13, 30])
def test_a_record_under_way_is_left_for_later(lost: int) -> None:
    whole = index_table() + state_change()
    found, size = mrt.records(whole[:-lost])
    assert len(found) == 1 and size == len(index_table())


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_scenario_time_passes_within_a_phase_and_jumps_between_them() -> None:
    time = ScenarioTime()
    time.begin("first", moment("2022-01-04T12:00"), moment("2022-01-05T10:30"), 1000.0)
    time.begin("second", moment("2022-01-05T10:30"), moment("2022-01-05T10:31"), 1010.5)
    said = [datetime.fromtimestamp(time.of(wall), UTC) for wall in (997.0, 1000.0, 1004.0, 1010.0, 1013.0, 2000.0)]
    assert [f"{at:%d %H:%M:%S}" for at in said] == [
        "04 11:59:57",
        "04 12:00:00",
        "04 12:00:04",
        "05 10:30:00",  # MRT's whole seconds: the one in which the phase began
        "05 10:30:03",
        "05 10:30:59",  # no later than the phase
    ]


def test_a_phase_that_is_measured_again_goes_on() -> None:
    time = ScenarioTime()
    for wall in (1000.0, 1007.0):
        time.begin("only", moment("2022-01-05T10:30"), moment("2022-01-06T10:30"), wall)
    assert time.of(1007.0) - time.of(1000.0) == 7


def test_before_any_phase_there_is_no_time_of_the_scenario() -> None:
    with pytest.raises(LookupError):
        ScenarioTime().of(1000.0)
