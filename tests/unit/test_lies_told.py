"""A resolver is asked what it tells each group of subscribers: what was not ordered shows, in whatever words."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from shutdownlab.compiler.resolvers import Lies
from shutdownlab.model.answers import Later
from shutdownlab.servers.unbound_control import lies_told

ORDERED: Lies = {
    "a.kz": ("nxdomain", "policy"),
    "b.kz": (ipaddress.ip_address("192.0.2.1"), "policy"),
    "c.kz": (ipaddress.ip_address("2001:db8::1"), "policy"),
    "d.kz": (Later(2.0), "policy"),
    "e.kz": ("none", "policy"),
}
ZONES = "e.kz. always_deny\nd.kz. always_transparent\na.kz. always_nxdomain\nb.kz. redirect\nc.kz. redirect\n"
DATA = "b.kz.\t60\tIN\tA\t192.0.2.1\n\nc.kz.\t60\tIN\tAAAA\t2001:db8::1\n\n"
OTHERS = "tells a group of subscribers other lies than ordered"


@contextmanager
def resolver(path: Path, replies: Mapping[str, str]) -> Iterator[dict[str, Path]]:
    """One whose views are these: what it replies, by command; a command without a reply is answered by an error."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer() -> None:
            while True:
                connection, _ = listener.accept()
                with connection:
                    command = connection.recv(4096).decode().removeprefix("UBCT1 ").strip()
                    if command == "":
                        return
                    connection.sendall(replies.get(command, "error no view\n").encode())

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield {"resolver": path}
        finally:
            with socket.socket(socket.AF_UNIX) as last:
                last.connect(str(path))
            thread.join()


def told(place: Path, zones: str, data: str = DATA, lies: Lies = ORDERED) -> dict[str, str]:
    """What is wrong with a resolver that lists these zones and data to one view."""
    replies = {"view_list_local_zones group0": zones, "view_list_local_data group0": data}
    with resolver(place / "control", replies) as controls:
        return lies_told(controls, {("resolver", "group0"): lies}, 5.0)


def test_a_resolver_that_tells_what_was_ordered_is_believed(tmp_path: Path) -> None:
    assert told(tmp_path, ZONES) == {}


def test_a_resolver_that_tells_the_truth_as_ordered_is_believed(tmp_path: Path) -> None:
    assert told(tmp_path, "", "", {}) == {}


@pytest.mark.parametrize(
    ("zones", "data"),
    [
        pytest.param(ZONES + "f.kz. always_nxdomain\n", DATA, id="one lie more"),
        pytest.param(ZONES.replace("a.kz. always_nxdomain\n", ""), DATA, id="one lie less"),
        pytest.param(ZONES.replace("always_nxdomain", "always_refuse"), DATA, id="another lie"),
        pytest.param(ZONES, DATA.replace("192.0.2.1", "192.0.2.2"), id="another address"),
        pytest.param(ZONES, DATA + "b.kz.\t60\tIN\tA\t192.0.2.2\n", id="one address more"),
        pytest.param(ZONES, "", id="no address"),
        pytest.param("error no view with name: group0\n", DATA, id="a view that is gone"),
    ],
)
def test_a_resolver_that_tells_anything_else_is_not_believed(tmp_path: Path, zones: str, data: str) -> None:
    assert told(tmp_path, zones, data) == {"resolver": OTHERS}


def test_a_lie_where_none_was_ordered_shows(tmp_path: Path) -> None:
    assert told(tmp_path, "a.kz. always_nxdomain\n", "", {}) == {"resolver": OTHERS}


def test_of_many_groups_the_one_that_is_lied_to_shows(tmp_path: Path) -> None:
    replies = {f"view_list_local_zones group{n}": "a.kz. redirect\n" if n == 199 else "" for n in range(200)}
    with resolver(tmp_path / "control", replies) as controls:
        lies: dict[tuple[str, str], Lies] = {("resolver", f"group{n}"): {} for n in range(200)}
        assert lies_told(controls, lies, 5.0) == {"resolver": OTHERS}


def test_a_resolver_that_does_not_answer_is_said_not_to(tmp_path: Path) -> None:
    assert lies_told({"r": tmp_path / "none"}, {("r", "group0"): ORDERED}, 0.2) == {"r": "does not answer"}
