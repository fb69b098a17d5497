"""What a country needs of this machine, estimated before any of it is started."""

from __future__ import annotations

from collections.abc import Iterator

from shutdownlab.config.problems import BadInput, Problem
from shutdownlab.model.network import Network
from shutdownlab.model.pages import DOWNLOADS
from shutdownlab.system.limits import Room

# Measured with countries of 27 and 94 nodes: 119 and 234 open files in one process, but unbound needs room for 848 or
# does not start; 131 and 342 processes and threads; 1,250 and 1,716 MiB of address space in one process; 4 MiB of
# configurations and logs. While a phase is measured, a node takes two files more (`reconfigured`), which counts in
# large countries alone. The values here are half as much again.
_DESCRIPTORS, _DESCRIPTORS_A_NODE, _DESCRIPTORS_A_NODE_MEASURED = 896, 3, 5
_PROCESSES, _PROCESSES_A_NODE = 96, 4
_ADDRESSES, _ADDRESSES_A_NODE = 1536 << 20, 12 << 20
# At rest, counting shared pages once: 390 MiB for 2 operators with 6 subscriber groups, 682 for 5 with 35, 2,819 for 40
# with 80. An operator has an Open vSwitch, a controller, a DPI box and four servers; a group has a probe agent, which
# grows by up to 16 MiB while it measures. Only what starting needs is required; later shortages are reported.
_MEMORY, _MEMORY_AN_OPERATOR, _MEMORY_A_GROUP = 260 << 20, 56 << 20, 5 << 20
# With its web page and continuous probing: 540 and 558 MiB for two countries with 2 operators and 6 groups each; 1,189
# for one with 5 operators and 35 groups.
_MEMORY_OF_A_PAGE, _MEMORY_A_GROUP_PROBED = 56 << 20, 16 << 20
_MANAGEMENT_PORTS = 1024
"""Ports of a Linux bridge: each operator's Open vSwitch instance and DPI box, and the gateway, are on one."""
_FILES = 16 << 20
_RECORD_A_CELL = 16 << 10
"""In bytes, twice the size of a measurement with all its tries."""


def needed(network: Network, cells: int = 0) -> Room:
    """Returns what a country needs to run and to record `cells` measurements."""
    nodes = len(network.nodes)
    record = _FILES + cells * _RECORD_A_CELL
    return Room(
        descriptors=max(_DESCRIPTORS + _DESCRIPTORS_A_NODE * nodes, _DESCRIPTORS_A_NODE_MEASURED * nodes),
        processes=_PROCESSES + _PROCESSES_A_NODE * nodes,
        file_bytes=max(record, *DOWNLOADS),
        address_bytes=_ADDRESSES + _ADDRESSES_A_NODE * nodes,
        disk_bytes=2 * record,
        memory_bytes=_MEMORY
        + _MEMORY_AN_OPERATOR * len(network.topology.operators)
        + _MEMORY_A_GROUP * len(network.vantages),
    )


def check_room(network: Network, there: Room, cells: int = 0) -> None:
    """Raises `BadInput` with every resource that is too scarce for a country and `cells` measurements."""
    problems = lacks(network, there, cells)
    if problems:
        raise BadInput(problems)


def lacks(network: Network, there: Room, cells: int = 0) -> list[Problem]:
    """Returns a problem for every resource that is too scarce for a country and `cells` measurements."""
    what = f"the {len(network.nodes)} nodes of {network.topology.name}"
    return [*_too_little(needed(network, cells), there, what), *_too_many(network)]


def memory_steered(network: Network) -> int:
    """Returns the bytes of memory for a country with its own web page that is probed continuously."""
    return needed(network).memory_bytes + _MEMORY_OF_A_PAGE + _MEMORY_A_GROUP_PROBED * len(network.vantages)


def check_room_for_each(network: Network, there: Room, students: int) -> None:
    """Raises `BadInput` if there is too little for a country for each of `students`, side by side."""
    each, processes = memory_steered(network), needed(network).processes
    most = min(there.memory_bytes // each, there.processes // processes)
    hint = (
        f"use at most {most} here, or fewer operators and subscriber groups, or one country for all: --role steer"
        if most
        else "one country for all: --role steer"
    )
    what = f"{students} countries of {len(network.nodes)} nodes side by side"
    problems = []
    if there.memory_bytes < students * each:
        found = f"{there.memory_bytes >> 20:,} MiB of free memory"
        least = f"at least {students * each >> 20:,} MiB for {what}, {each >> 20:,} MiB each"
        problems.append(Problem("students", 0, "", found, least, hint))
    if there.processes < students * processes:
        found = f"room for {there.processes:,} more processes and threads (ulimit -u)"
        least = f"at least {students * processes:,} for {what}, {processes:,} each"
        problems.append(Problem("students", 0, "", found, least, hint))
    if problems:
        raise BadInput(problems)


def _too_many(network: Network) -> Iterator[Problem]:
    operators = len(network.topology.operators)
    most = (_MANAGEMENT_PORTS - 1) // 2
    if operators > most:
        found, hint = f"{operators:,} operators", "`verify` has no such limit"
        yield Problem(network.topology.name, 0, "operators", found, f"at most {most} in a run", hint)


def _too_little(needs: Room, there: Room, what: str) -> Iterator[Problem]:
    def problem(option: str, found: int, least: int, unit: int, of: str) -> Problem:
        least = -(-least // unit)
        hint = f"ulimit {option} {least}; if that is refused, change /etc/security/limits.conf or ask an administrator"
        return Problem(f"ulimit {option}", 0, "", f"{found // unit:,} {of}", f"at least {least:,} for {what}", hint)

    if there.descriptors < needs.descriptors:
        yield problem("-n", there.descriptors, needs.descriptors, 1, "open files")
    if there.processes < needs.processes:
        found = f"room for {there.processes:,} more processes and threads"
        hint = (
            "raise it by the difference; if that is refused, change /etc/security/limits.conf or ask an administrator"
        )
        yield Problem("ulimit -u", 0, "", found, f"at least {needs.processes:,} for {what}", hint)
    if there.file_bytes < needs.file_bytes:
        yield problem("-f", there.file_bytes, needs.file_bytes, 1024, "KiB per file")
    if there.address_bytes < needs.address_bytes:
        yield problem("-v", there.address_bytes, needs.address_bytes, 1024, "KiB of address space per process")
    if there.disk_bytes < needs.disk_bytes:
        found = f"a disk with {there.disk_bytes >> 10:,} KiB free"
        expected = f"at least {needs.disk_bytes >> 10:,} KiB for {what}"
        yield Problem("out", 0, "", found, expected, "free space on it, or choose a directory on another disk")
    if there.memory_bytes < needs.memory_bytes:
        found = f"{there.memory_bytes >> 20:,} MiB of free memory"
        expected = f"at least {needs.memory_bytes >> 20:,} MiB for {what}"
        hint = "close other programs, or use fewer operators, regions or subscriber groups"
        yield Problem("memory", 0, "", found, expected, hint)
