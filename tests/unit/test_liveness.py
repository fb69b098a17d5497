"""Who lives but does not answer is found out, within a deadline, however many are asked."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from test_confirmation import OK, PretendedSupervisor, prober_of

from shutdownlab.country.liveness import interrupted
from shutdownlab.protocol.probing import ProbeJob
from shutdownlab.servers import birdc
from shutdownlab.system.questions import SocketQuestion, ask_all

BIRD = (
    b"""0001 BIRD 2.0.12 ready.
2002-Name       Proto      Table      State  Since         Info
1002-device1    Device     ---        up     2026-11-29
 provider_transit_one_4 BGP ---      up     2026-11-29    Established
 provider_transit_one_6 BGP ---      start  2026-11-29    Connect
"""
    + b"0000 \n"
)


@contextmanager
def listening(path: Path, *parts: bytes) -> Iterator[Path]:
    """A daemon that sends these parts, one after another, to whoever has asked; none: it answers nobody."""
    with socket.socket(socket.AF_UNIX) as listener, ExitStack() as opened:
        listener.bind(str(path))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            opened.enter_context(connection)
            connection.recv(4096)
            for part in parts:
                connection.sendall(part)
                time.sleep(0.01)

        if parts:
            thread = threading.Thread(target=answer)
            thread.start()
            opened.callback(thread.join)
        yield path


def is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


def test_all_are_asked_at_once_and_those_without_an_answer_are_left_out(tmp_path: Path) -> None:
    with (
        listening(tmp_path / "well", b'{"result": ', b'"fine"}') as well,
        listening(tmp_path / "mute") as mute,
        listening(tmp_path / "half", b'{"result": ') as half,
    ):
        paths = {"well": well, "mute": mute, "half": half, "gone": tmp_path / "gone"}
        begun = time.monotonic()
        replies = ask_all({name: SocketQuestion(path, b"how are you?\n", is_json) for name, path in paths.items()}, 2.0)
        assert replies == {"well": b'{"result": "fine"}'}
        assert time.monotonic() - begun < 4.0, "one after another, two without an answer take as long"


def test_a_routers_sessions_are_read_from_a_reply_that_comes_after_its_greeting(tmp_path: Path) -> None:
    greeting, _, rest = BIRD.partition(b"\n")
    with listening(tmp_path / "bird", greeting + b"\n", rest) as control:
        replies = ask_all({"bird": birdc.sessions_question(control)}, 2.0)
    assert birdc.sessions_in(replies["bird"]) == {"provider_transit_one_4"}


def test_a_session_that_was_down_for_a_while_is_reported_by_since_when_it_is_up() -> None:
    up = BIRD.splitlines(keepends=True)
    since = next(line for line in up if b"Established" in line).split()[4]
    before = {"bird on border": birdc.sessions_since(BIRD), "bird on transit": {"peer": 1.0}}
    again = birdc.sessions_since(BIRD.replace(since, b"2026-11-30"))
    assert list(before["bird on border"]) == list(again) == ["provider_transit_one_4"]
    assert list(interrupted(before, before)) == []
    reread = {"bird on border": {name: since + 0.002 for name, since in before["bird on border"].items()}}
    assert list(interrupted(before, reread)) == [], "bird rounds anew"
    assert list(interrupted(before, {"bird on border": again})) == [
        "bird on border had lost its BGP sessions provider_transit_one_4 for a while"
    ], "one that has not answered is told of elsewhere"
    assert list(interrupted({"bird on border": {}}, {"bird on border": again})), "it came up only then"


def test_dates_and_times_are_read_as_one() -> None:
    reply = b"1002-peer  BGP  ---  up  2026-12-02 04:10:33.123  Established\n0000 \n"
    assert birdc.sessions_since(reply) == {"peer": datetime(2026, 12, 2, 4, 10, 33, 123000).timestamp()}


def test_an_agent_that_does_not_answer_is_mute_and_one_that_has_ended_is_not() -> None:
    class Hanging(PretendedSupervisor):
        def send(self, agent: str, job: ProbeJob) -> None:
            if agent != "hangs":
                super().send(agent, job)

    supervisor = Hanging(["answers", "hangs", "ended"], lambda agent, request, before: OK)
    supervisor.end("ended", "agent died")
    assert prober_of(supervisor).mute(["answers", "hangs", "ended"], 0.05) == {"hangs"}


@pytest.mark.parametrize("data", [b"", b"0001 BIRD ready.\n", b"0001 BIRD ready.\n1002-x BGP"])
def test_half_a_reply_of_a_router_is_not_taken_for_all_of_it(data: bytes) -> None:
    assert not birdc.sessions_question(Path("bird")).is_whole(data)
