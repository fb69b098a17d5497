"""What a country needs of a machine, and what is told of a limit that is too low."""

from __future__ import annotations

import errno
import os
import resource
from dataclasses import fields, replace
from pathlib import Path

import pytest
from countries import country

from shutdownlab import library
from shutdownlab.config.problems import BadInput
from shutdownlab.country.breakage import lines_of
from shutdownlab.country.limits import check_room, check_room_for_each, memory_steered, needed
from shutdownlab.system.limits import Room, limit_reached

NETWORK = library.network("two-operators")
PLENTY = Room()
LOW = {
    "descriptors": ("ulimit -n: found 3 open files; expected at least 983 for the 29 nodes of two-operators", 3),
    "processes": ("ulimit -u: found room for 3 more processes and threads; expected at least 212 for", 3),
    "file_bytes": ("ulimit -f: found 3 KiB per file; expected at least 97,657 for", 3 << 10),
    "address_bytes": ("ulimit -v: found 3 KiB of address space per process; expected at least 1,929,216 for", 3 << 10),
    "memory_bytes": ("memory: found 3 MiB of free memory; expected at least 402 MiB for the 29 nodes of two", 3 << 20),
    "disk_bytes": ("out: found a disk with 3 KiB free; expected at least 32,800 KiB for", 3 << 10),
}


@pytest.mark.parametrize("limit", LOW)
def test_a_limit_that_is_too_low_is_reported_with_what_there_is_what_is_needed_and_how_to_raise_it(limit: str) -> None:
    told, there = LOW[limit]
    with pytest.raises(BadInput) as refused:
        check_room(NETWORK, replace(PLENTY, **{limit: there}), cells=1)
    (problem,) = refused.value.problems
    assert str(problem).startswith(told)
    assert problem.hint


def test_all_limits_are_reported_at_once_and_exactly_enough_is_enough() -> None:
    with pytest.raises(BadInput) as refused:
        check_room(NETWORK, Room(0, 0, 0, 0, 0, 0))
    assert len(refused.value.problems) == len(fields(Room)) == len(LOW)
    check_room(NETWORK, needed(NETWORK))


def test_more_operators_than_a_bridge_has_ports_for_are_reported_with_how_many_can_be_run() -> None:
    network = country([(["t0"], True)] * 512)
    with pytest.raises(BadInput, match=r"operators: found 512 operators; expected at most 511 in a run"):
        check_room(network, PLENTY)


def test_a_class_of_thirty_has_a_country_each_where_there_is_room_for_exactly_that_many() -> None:
    each, processes = memory_steered(NETWORK), needed(NETWORK).processes
    enough = replace(PLENTY, memory_bytes=30 * each, processes=30 * processes)
    check_room_for_each(NETWORK, enough, 30)

    with pytest.raises(BadInput) as refused:
        check_room_for_each(NETWORK, enough, 31)
    memory, others = map(str, refused.value.problems)
    assert "students: found 16,620 MiB of free memory; expected at least 17,174 MiB for 31 countries" in memory
    assert "of 29 nodes side by side, 554 MiB each" in memory and "at most 30 here" in memory
    assert "found room for 6,360 more processes and threads (ulimit -u); expected at least 6,572" in others


def test_where_there_is_room_for_no_country_at_all_a_shared_one_is_proposed() -> None:
    with pytest.raises(BadInput) as refused:
        check_room_for_each(NETWORK, replace(PLENTY, memory_bytes=1 << 20), 30)
    assert refused.value.problems[0].hint == "one country for all: --role steer"


def test_a_larger_country_and_a_longer_record_need_more() -> None:
    large = needed(library.network("kazakhstan"), cells=10_000)
    small = needed(NETWORK, cells=10)
    for each in fields(Room):
        assert getattr(large, each.name) > getattr(small, each.name)


def test_what_is_there_is_what_the_kernel_says(tmp_path: Path) -> None:
    there = Room.here(tmp_path / "not" / "yet" / "made")
    assert there.descriptors == resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    disk = os.statvfs(tmp_path)
    assert there.disk_bytes == pytest.approx(disk.f_bavail * disk.f_frsize, rel=0.5)


def test_an_error_at_a_limit_names_it() -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    error = OSError(errno.EMFILE, "Too many open files", "/somewhere")
    assert limit_reached(error) == f"`ulimit -n` is {most:,} open files"
    assert lines_of(error) == [f"Too many open files: /somewhere (`ulimit -n` is {most:,} open files)"]
    assert limit_reached(OSError(errno.ENOSPC, "No space left on device")) == "the disk is full"
    assert limit_reached(OSError(errno.ENOENT, "No such file")) == limit_reached(ValueError()) == ""
