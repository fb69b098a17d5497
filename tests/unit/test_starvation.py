"""Who had no processor when, and whether that is long beside the patience of a step."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from shutdownlab.country import starvation as module
from shutdownlab.country.starvation import Starvation
from shutdownlab.system.processor import ThreadsWaitedTime, WaitedTimes, wait_for_its_turn


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time, and how long processes 1 and 2 have waited until then; a test moves them on."""
    clock = SimpleNamespace(now=100.0, waited={1: 5.0, 2: 50.0})
    monkeypatch.setattr(
        module, "WaitedTimes", lambda pids: SimpleNamespace(read=lambda: [clock.waited[pid] for pid in pids])
    )
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def keeping(clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Starvation:
    """Of the two, the second keeps what has come."""
    monkeypatch.setattr(module, "ThreadsWaitedTime", lambda pid: SimpleNamespace(read=lambda: clock.waited[pid]))
    return Starvation({2: "the proxy", 1: "the switch"}, keepers=[2])


def passes(clock: SimpleNamespace, seen: Starvation, seconds: float, **waited: float) -> None:
    """Let time pass, with a look every eighth of a second, while processes wait for parts of it."""
    for _ in range(round(seconds * 8)):
        clock.now += 0.125
        for name, share in waited.items():
            clock.waited[int(name[1:])] += 0.125 * share
        seen.look()


def test_who_waits_for_most_of_a_steps_patience_makes_a_try_say_nothing(clock: SimpleNamespace) -> None:
    seen = Starvation({1: "the switch", 2: "the server"})
    passes(clock, seen, 1.0)
    passes(clock, seen, 0.5, p1=0.8, p2=0.1)
    passes(clock, seen, 1.0)
    said = seen.between(100.5, 102.0, 0.5)
    assert said.startswith("the switch had no processor for 80 % of the time")
    assert not seen.between(100.1, 100.9, 0.5), "it was over, or had not begun"
    assert not seen.between(101.7, 102.4, 0.5)
    assert not seen.between(100.5, 102.0, 2.0), "a step that patient does not fail by that"


def test_many_who_wait_a_little_harm_nobody(clock: SimpleNamespace) -> None:
    seen = Starvation({1: "the switch", 2: "the server"})
    passes(clock, seen, 2.0, p1=0.3, p2=0.3)
    assert not seen.between(100.2, 101.9, 0.5)


def test_a_wait_that_is_known_only_at_its_end_counts_for_who_ended_with_it(clock: SimpleNamespace) -> None:
    """The kernel adds a wait when it is over, and we may have had no processor to look with ourselves."""
    seen = Starvation({1: "the switch"})
    clock.now, clock.waited[1] = 101.0, 5.9
    assert seen.between(100.2, 101.0, 0.5).startswith("the switch")


def test_a_try_shorter_than_a_steps_patience_is_looked_at_as_a_whole(clock: SimpleNamespace) -> None:
    seen = Starvation({1: "the switch"})
    passes(clock, seen, 1.0)
    passes(clock, seen, 0.25, p1=1.0)
    passes(clock, seen, 1.0)
    assert seen.between(100.875, 101.375, 0.5).startswith("the switch had no processor for 50 %")
    assert not seen.between(101.0, 101.25, 1.0), "a quarter of the patience"


def test_what_was_asked_before_is_found_again_and_what_came_since_too(clock: SimpleNamespace) -> None:
    seen = Starvation({1: "the switch", 2: "the server"})
    passes(clock, seen, 1.0, p1=0.9)
    assert seen.between(100.0, 101.0, 0.5).startswith("the switch")
    passes(clock, seen, 1.0)
    passes(clock, seen, 1.0, p2=0.6)
    assert seen.between(100.0, 101.0, 0.5).startswith("the switch")
    assert not seen.between(101.0, 102.0, 0.5)
    assert seen.between(102.0, 103.0, 0.5).startswith("the server had no processor for 60 %")


def test_a_process_that_has_ended_waits_for_nothing() -> None:
    with (
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process,
        Starvation({process.pid: "the server"}) as seen,
        WaitedTimes([process.pid]) as waited,
    ):
        before = waited.read()
        assert before[0] >= 0
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
        assert waited.read() >= before, "what was read last of it stands"
        now = time.monotonic()
        assert not seen.between(now - 10, now, 1000.0)


def test_who_was_kept_for_as_long_as_a_speed_can_bear_is_told_however_it_was_spread(
    clock: SimpleNamespace, keeping: Starvation
) -> None:
    passes(clock, keeping, 1.0)
    passes(clock, keeping, 1.0, p1=0.4)
    passes(clock, keeping, 1.0)
    assert not keeping.between(101.0, 102.0, 0.5), "never for half of a patience"
    said = keeping.held_up(101.0, 102.0, 0.375, keepers=False)
    assert said == "the switch had no processor for 0.40 s: this machine is busy, or has frozen it"
    assert not keeping.held_up(101.0, 102.0, 0.5, keepers=False), "it can bear that"
    assert not keeping.held_up(102.0, 103.0, 0.0, keepers=False), "it was over"


def test_only_who_keeps_octets_makes_a_line_look_fast(clock: SimpleNamespace, keeping: Starvation) -> None:
    passes(clock, keeping, 1.0, p1=0.8)
    assert not keeping.held_up(100.0, 101.0, 0.375, keepers=True)
    passes(clock, keeping, 1.0, p1=0.8, p2=0.5)
    assert keeping.held_up(101.0, 102.0, 0.375, keepers=True).startswith("the proxy had no processor for 0.50 s")
    assert keeping.held_up(101.0, 102.0, 0.375, keepers=False).startswith("the switch had no processor for 0.80 s")


def test_a_box_that_waited_for_as_long_as_a_server_takes_may_have_lost_its_race(
    clock: SimpleNamespace, keeping: Starvation
) -> None:
    passes(clock, keeping, 1.0, p1=0.2, p2=0.9)
    assert not keeping.came_late(1, 0.04, 100.0, 101.0)
    passes(clock, keeping, 1.0)
    passes(clock, keeping, 0.125, p1=0.5)
    passes(clock, keeping, 1.0)
    assert keeping.came_late(1, 0.04, 101.9, 102.2).startswith("the switch had no processor for 0.06 s: ")
    assert not keeping.came_late(1, 0.04, 102.2, 103.0), "it was over"
    assert not keeping.came_late(1, 0.2, 101.9, 102.2), "so far away is a server that it came in time"
    assert not keeping.came_late(1, None, 101.9, 102.2), "it raced nobody"


def test_a_box_may_have_waited_the_less_the_nearer_its_server_is(clock: SimpleNamespace, keeping: Starvation) -> None:
    passes(clock, keeping, 0.125, p1=0.2)
    passes(clock, keeping, 1.0)
    assert not keeping.came_late(1, 0.04, 99.9, 100.2)
    assert keeping.came_late(1, 0.03, 99.9, 100.2), "25 ms of a lead of 30: the rest is not enough for its work"
    assert keeping.came_late(1, 0.0, 99.9, 100.2)
    passes(clock, keeping, 0.125, p1=0.012)
    passes(clock, keeping, 1.0)
    assert not keeping.came_late(1, 0.0, 101.2, 101.4), "nobody has never waited"


def test_a_thread_that_waits_is_seen_though_its_process_has_others_that_rest() -> None:
    """Six programs that never rest, on one processor; the one that is looked at does so in a thread of its own."""
    spin = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\nwhile True: pass"
    beside = "import threading, time; threading.Thread(target=spin, daemon=True).start(); time.sleep(60)"
    threaded = f"def spin():\n exec({spin!r})\n{beside}"
    programs = [threaded, *(5 * [spin])]
    running = [subprocess.Popen([sys.executable, "-c", each], start_new_session=True) for each in programs]
    try:
        threads, end = ThreadsWaitedTime(running[0].pid), time.monotonic() + 60
        with WaitedTimes([running[0].pid]) as first:
            while (waited := threads.read()) < 1.0 and time.monotonic() < end:
                time.sleep(0.02)
            assert 1.0 <= waited < time.monotonic() - end + 60 + 0.5
            assert first.read()[0] < waited / 2
    finally:
        for process in running:
            process.kill()
            process.wait()
    assert threads.read() >= waited, "what was read last of it stands"


def test_one_that_the_kernel_holds_counts_as_waiting_for_as_long_in_whatever_thread(tmp_path: Path) -> None:
    """Frozen, or out of memory, it is in state D, as one is that has vforked until its child has opened a file."""
    os.mkfifo(tmp_path / "fifo")
    opens = f"[(os.POSIX_SPAWN_OPEN, 9, '{tmp_path}/fifo', 0, 0)]"
    held = f"os.posix_spawn('/bin/true', ['true'], {{}}, file_actions={opens})"
    threaded = f"import threading; threading.Thread(target=lambda: {held}, daemon=True).start()"
    for script, keeping in ((held, False), (threaded, True)):
        argv = [sys.executable, "-c", f"import os; input()\n{script}\ninput()"]
        with subprocess.Popen(argv, stdin=subprocess.PIPE) as process:
            keepers = [process.pid] if keeping else []
            with Starvation({process.pid: "the proxy"}, keepers) as seen:
                assert process.stdin is not None
                process.stdin.write(b"\n")
                process.stdin.flush()
                began, end = time.monotonic(), time.monotonic() + 60
                while not (said := seen.held_up(began, time.monotonic(), 0.5, keepers=keeping)):
                    assert time.monotonic() < end
                    time.sleep(0.05)
                assert time.monotonic() - began >= 0.4, "no longer than it was held"
                assert said.startswith("the proxy had no processor for 0.")
                assert seen.between(began, time.monotonic(), 0.5).startswith("the proxy had no processor for ")
                os.close(os.open(tmp_path / "fifo", os.O_WRONLY))
                while _states(process.pid) != {"S"}:
                    assert time.monotonic() < end
                    time.sleep(0.01)
                seen.look()
                rests = time.monotonic()
                time.sleep(0.3)
                assert not seen.held_up(rests, time.monotonic(), 0.2, keepers=keeping), "it only waits for a line"
            process.stdin.close()


def _states(pid: int) -> set[str]:
    """The states of all threads of a process."""
    found = set[str]()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # it has ended meanwhile
            found.add((task / "stat").read_text().rpartition(") ")[2][0])
    return found


def test_nobody_looked_at_is_nobody_starved() -> None:
    with Starvation({}) as seen, WaitedTimes([2**22 + 1]) as never_there:
        assert not seen.between(time.monotonic() - 1, time.monotonic(), 0.5)
        assert never_there.read() == [0.0]


def test_a_process_that_waits_for_its_turn_has_had_one_after_it_was_waited_for() -> None:
    """One that runs only when nobody else wants the processor (sched(7): SCHED_IDLE), beside one that always does."""
    processor = {min(os.sched_getaffinity(0))}
    spin = [sys.executable, "-c", f"import os; os.sched_setaffinity(0, {processor}); print(flush=True)\nwhile 1: pass"]
    with (
        subprocess.Popen(spin, stdout=subprocess.PIPE) as greedy,
        subprocess.Popen(spin, stdout=subprocess.PIPE) as modest,
    ):
        try:
            for each in (greedy, modest):
                assert each.stdout is not None
                each.stdout.readline()
            os.sched_setscheduler(modest.pid, os.SCHED_IDLE, os.sched_param(0))
            ran = [_ran(modest.pid)]
            for _ in range(5):
                wait_for_its_turn(modest.pid, 60.0)
                ran.append(_ran(modest.pid))
            assert ran == sorted(set(ran)), "each time it has had one"
        finally:
            greedy.kill()
            modest.kill()


def _ran(pid: int) -> int:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def test_one_that_sleeps_and_one_that_is_no_more_are_not_waited_for() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        began = time.monotonic()
        wait_for_its_turn(process.pid, 60.0)
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
        wait_for_its_turn(process.pid, 60.0)
        assert time.monotonic() - began < 50


@pytest.mark.parametrize("keeps", [True, False], ids=["a proxy", "a switch"])
def test_what_somebody_stops_and_lets_go_on_is_held_up_meanwhile(keeps: bool) -> None:
    """A lab measures nothing again as a run does: what is believed there must know of it."""
    with subprocess.Popen(["sleep", "600"]) as carrier:
        try:
            with Starvation({carrier.pid: "the carrier"}, keepers=[carrier.pid] if keeps else []) as seen:
                began = time.monotonic()
                os.kill(carrier.pid, signal.SIGSTOP)
                while time.monotonic() < began + 1.0:
                    time.sleep(0.05)
                    seen.look()
                os.kill(carrier.pid, signal.SIGCONT)
                said = seen.held_up(began, time.monotonic(), 0.5, keepers=keeps)
                assert said.startswith("the carrier had no processor for ")
        finally:
            carrier.kill()
