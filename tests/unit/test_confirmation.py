"""How probes are spread over agents, repeated and believed: a pretended supervisor instead of processes."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from shutdownlab.measure.concurrency import ConcurrencyLimit
from shutdownlab.measure.confirmation import Prober
from shutdownlab.measure.controls import Control
from shutdownlab.measure.scheduler import UNDER_WAY
from shutdownlab.measure.supervisor import Supervisor
from shutdownlab.measure.task import PATIENCE, Race, Task
from shutdownlab.measure.vouching import Vouching
from shutdownlab.model.probe import Errand
from shutdownlab.model.scenario import Outcome
from shutdownlab.probes.kinds import Destination, Tcp
from shutdownlab.protocol.probing import Check, Measurement, ProbeJob, ProbeRequest, ProbeResult

OK = Measurement(Outcome.OK)
TIMED_OUT = Measurement(Outcome.BLOCKED, "generic_timeout_error", doubtful=True)
RESET = Measurement(Outcome.BLOCKED, "connection_reset")

Answer = Callable[[str, ProbeRequest, int], Measurement]


_LOOK_S = 0.001  # what a look takes beside its wait


@pytest.fixture(autouse=True)
def _clock_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time passes where somebody waits, and nowhere else: what comes out hangs on no processor."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds + _LOOK_S))


class PretendedSupervisor:
    """Answers each job at the next look, by a function of agent, request and how often it was asked before."""

    def __init__(self, agents: Sequence[str], answer: Answer) -> None:
        self.agents = {agent: SimpleNamespace(ended=None) for agent in agents}
        self.answer = answer
        self.asked: Counter[tuple[str, str]] = Counter()
        self.sent: list[tuple[str, ProbeRequest]] = []
        self.most_at_once: Counter[str] = Counter()
        self._numbers = iter(range(1, 100_000))
        self._flying: list[tuple[str, ProbeJob]] = []

    def next_number(self) -> int:
        return next(self._numbers)

    def send(self, agent: str, job: ProbeJob) -> None:
        self.sent.append((agent, job.request))
        self._flying.append((agent, job))
        at_once = sum(1 for each, _ in self._flying if each == agent)
        self.most_at_once[agent] = max(self.most_at_once[agent], at_once)

    def receive(self, timeout_s: float) -> Iterator[tuple[str, ProbeResult]]:
        time.sleep(0.0 if self._flying else timeout_s)
        flying, self._flying = self._flying, []
        for agent, job in flying:
            if self.agents[agent].ended is None:
                before = self.asked[agent, job.request.id]
                self.asked[agent, job.request.id] += 1
                yield agent, ProbeResult(job.number, self.answer(agent, job.request, before))

    def end(self, agent: str, why: str, _grace_s: float = 0.0) -> None:
        self.agents[agent].ended = why


def prober_of(supervisor: PretendedSupervisor) -> Prober:
    return Prober(cast(Supervisor, supervisor))


def probe(name: str, **more: Any) -> ProbeRequest:
    return ProbeRequest(name, name, Tcp.runs, **{"timeout": 1.0, **more})


def test_what_succeeds_is_measured_once_and_what_fails_twice_however_it_does() -> None:
    answers = {"succeeds": OK, "is reset": RESET}
    supervisor = PretendedSupervisor(["a"], lambda agent, request, before: answers[request.name])
    found = {r.name: m for _, r, m in prober_of(supervisor).run({"a": [probe(name) for name in answers]})}
    assert (found["succeeds"].outcome, found["succeeds"].passes) == (Outcome.OK, 1)
    assert (found["is reset"].outcome, found["is reset"].passes) == (Outcome.BLOCKED, 2)
    assert {m.certainty for m in found.values()} == {"certain"}


@pytest.mark.parametrize("second", ["generic_timeout_error", "connection_refused"])
def test_the_first_tries_failure_is_reported_though_the_second_met_a_residual_block(second: str) -> None:
    left = Measurement(Outcome.BLOCKED, second, doubtful=second == "generic_timeout_error")
    supervisor = PretendedSupervisor(["a"], lambda agent, request, before: left if before else RESET)
    ((_, _, found),) = prober_of(supervisor).run({"a": [probe("web")]})
    assert (found.failure, found.passes, found.certainty) == ("connection_reset", 2, "certain")


def test_what_was_reset_once_only_has_succeeded() -> None:
    supervisor = PretendedSupervisor(["a"], lambda agent, request, before: OK if before else RESET)
    [(_, _, found)] = prober_of(supervisor).run({"a": [probe("x")]})
    assert (found.outcome, found.passes) == (Outcome.OK, 2)


def test_a_timeout_is_believed_once_a_more_patient_try_confirms_it() -> None:
    supervisor = PretendedSupervisor(["a"], lambda agent, request, before: TIMED_OUT)
    [(_, _, found)] = prober_of(supervisor).run({"a": [probe("x")]}, hopeless={"x"})
    assert (found.outcome, found.passes) == (Outcome.BLOCKED, 2)
    assert [request.timeout for _, request in supervisor.sent] == [PATIENCE[0], PATIENCE[1]]


def test_what_is_believed_of_a_timeout_does_not_depend_on_what_was_expected() -> None:
    for expected in (set(), {"x"}):
        supervisor = PretendedSupervisor(["a"], lambda agent, request, before: TIMED_OUT)
        [(_, _, found)] = prober_of(supervisor).run({"a": [probe("x")]}, hopeless=expected)
        assert (found.outcome, found.passes, found.certainty) == (Outcome.BLOCKED, 2, "confirmed")


def test_what_a_router_counts_is_tried_again_once_it_counts_no_more_and_others_do_not_wait_for_it() -> None:
    sent: list[tuple[str, float]] = []

    def answer(agent: str, request: ProbeRequest, before: int) -> Measurement:
        sent.append((request.name, time.monotonic()))
        return TIMED_OUT

    requests = [probe("pings", rests=0.2), probe("page")]
    found = {r.name: m.passes for _, r, m in prober_of(PretendedSupervisor(["a"], answer)).run({"a": requests})}
    assert found == {"pings": 2, "page": 2}
    assert [name for name, _ in sent[-1:]] == ["pings"]
    first, second = (at for name, at in sent if name == "pings")
    assert second - first >= 0.2


def test_a_try_on_a_slowed_line_counts_though_the_last_to_end_beside_it_was_one_on_a_line_that_is_not_slowed() -> None:
    """Two groups of one region, of which a policy spares one."""

    class Slow(PretendedSupervisor):
        """Answers `silent` once nothing else has been asked for five looks."""

        looks = 0

        def receive(self, timeout_s: float) -> Iterator[tuple[str, ProbeResult]]:
            waits = [each for each in self._flying if each[1].request.name == "silent"]
            self._flying = [each for each in self._flying if each not in waits]
            self.looks = 0 if self._flying else self.looks + 1
            self._flying += waits if self.looks > 5 else ()
            yield from super().receive(timeout_s)
            self._flying += waits if self.looks <= 5 else ()

    supervisor = Slow(["a", "b"], lambda agent, request, before: OK if request.name == "silent" else TIMED_OUT)
    requests = {"a": [probe("page", place="here", slowed=True)], "b": [probe("silent", place="here")]}
    found = {r.name: m for _, r, m in prober_of(supervisor).run(requests, hopeless={"silent"})}
    assert (found["page"].outcome, found["page"].passes) == (Outcome.BLOCKED, 2)
    assert supervisor.asked["a", "page"] == 2  # no try was thrown away


def test_what_failed_on_a_slowed_line_is_tried_again_once_its_place_is_quiet() -> None:
    """The line may have been full of the place's other probes."""
    others = (probe(str(n), place="here", slowed=True) for n in range(300))
    requests = [probe("unlucky", place="here", slowed=True), *others]
    for expected in (set(), {"unlucky"}):
        supervisor = PretendedSupervisor(
            ["a"], lambda agent, request, before: OK if before or request.name != "unlucky" else TIMED_OUT
        )
        found = {r.name: m.outcome for _, r, m in prober_of(supervisor).run({"a": requests}, hopeless=expected)}
        assert found["unlucky"] is Outcome.OK
        assert supervisor.sent[-1][1].name == "unlucky"


class Line(PretendedSupervisor):
    """Answers once no more is sent for a while; tells how many others were under way when one was sent."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(["a"], answer)
        self.beside: dict[str, list[int]] = {}
        self._sent_at = 0.0

    def send(self, agent: str, job: ProbeJob) -> None:
        super().send(agent, job)
        self.beside.setdefault(job.request.name, []).append(len(self._flying) - 1)
        self._sent_at = time.monotonic()

    def receive(self, timeout_s: float) -> Iterator[tuple[str, ProbeResult]]:
        if time.monotonic() < self._sent_at + 0.25:
            time.sleep(min(timeout_s, 0.02))
        else:
            yield from super().receive(timeout_s)


def on_a_slowed_line(count: int, *, slowed: bool = True) -> list[ProbeRequest]:
    pages = [probe(f"page {number}", place="here", slowed=slowed) for number in range(count)]
    return [*pages, probe("speed", place="here", slowed=slowed, alone=True)]


@pytest.mark.parametrize("slowed", [False, True])
def test_a_download_begins_beside_nothing_and_nothing_begins_beside_it(slowed: bool) -> None:
    line = Line(lambda agent, request, before: OK if request.alone else TIMED_OUT)
    found = {r.name: m for _, r, m in prober_of(line).run({"a": on_a_slowed_line(4, slowed=slowed)})}
    assert found["speed"].outcome is Outcome.OK
    assert line.beside["speed"] == [0]
    names = [request.name for _, request in line.sent]
    assert names.index("speed") in {4, 8}, "between first tries and second ones, or after all"


@pytest.mark.parametrize("hopeless", [set[str](), {"page 1", "page 2", "page 3", "speed"}])
def test_on_a_slowed_line_what_failed_beside_one_that_was_answered_is_tried_again_alone(hopeless: set[str]) -> None:
    answers = {"page 0": [TIMED_OUT, OK], "speed": [OK]}
    line = Line(lambda agent, request, before: answers.get(request.name, [TIMED_OUT, TIMED_OUT, OK])[before])
    found = {r.name: m for _, r, m in prober_of(line).run({"a": on_a_slowed_line(4)}, hopeless=hopeless)}
    assert {m.outcome for m in found.values()} == {Outcome.OK}
    assert [line.beside[f"page {number}"][2] for number in range(1, 4)] == [0, 0, 0]
    assert line.beside["speed"] == [0]
    again = [request for _, request in line.sent if request.name != "speed"][8:]
    assert [request.timeout for request in again] == [PATIENCE[2]] * 3, "with all patience"


def test_on_a_slowed_line_what_was_cut_short_has_all_patience_the_next_time() -> None:
    part = {"network_events": [{"operation": "read", "num_bytes": 1448}]}
    cut_short = replace(TIMED_OUT, test_keys=part)
    line = Line(lambda agent, request, before: [cut_short, cut_short, OK][before])
    [(_, _, found)] = prober_of(line).run({"a": on_a_slowed_line(1)[:1]})
    assert found.outcome is Outcome.OK
    assert [request.timeout for _, request in line.sent] == [PATIENCE[0], PATIENCE[1], PATIENCE[2]]


def test_on_a_slowed_line_what_was_never_answered_beside_others_waits_no_longer_alone_than_its_rate_asks_for() -> None:
    answers = {"page 0": [TIMED_OUT, OK]}
    line = Line(lambda agent, request, before: answers.get(request.name, [TIMED_OUT] * 3)[before])
    requests = [replace(request, rate=256) for request in on_a_slowed_line(2)[:2]]
    found = {r.name: m.outcome for _, r, m in prober_of(line).run({"a": requests})}
    assert found == {"page 0": Outcome.OK, "page 1": Outcome.BLOCKED}
    timeouts = [request.timeout for _, request in line.sent if request.name == "page 1"]
    assert timeouts == [PATIENCE[0], PATIENCE[1], PATIENCE[1] + 0.5], "256 kbit/s carry 128 kbit in half a second"


@pytest.mark.parametrize(("octets", "tries"), [(200, 2), (14_480, 3)])
def test_on_a_slowed_line_what_little_was_sent_is_in_nobodys_way(octets: int, tries: int) -> None:
    """200 octets take 6 ms of 280 kbit/s, ten segments 0.4 s."""
    read = {"network_events": [{"operation": "read", "num_bytes": octets}]}
    requests = [replace(request, rate=280) for request in on_a_slowed_line(2)[:2]]
    line = Line(lambda agent, request, before: replace(TIMED_OUT, test_keys=read))
    found = {r.name: m for _, r, m in prober_of(line).run({"a": requests})}
    assert {m.outcome for m in found.values()} == {Outcome.BLOCKED}
    assert {len(beside) for beside in line.beside.values()} == {tries}


def test_what_a_longer_line_takes_is_no_sign_of_a_crowded_machine() -> None:
    limit = ConcurrencyLimit()
    quiet, longer = (Task("a", probe("page", timeout=seconds), False).kind for seconds in (1.0, 3.0))
    for _ in range(200):
        limit.succeeded(quiet, 0.3)
    for _ in range(200):
        limit.succeeded(longer, 3.7)
    assert limit.patience(Task("a", probe("other", timeout=3.0), False).kind, 3.0) == 3.0


def test_on_a_slowed_line_what_is_never_answered_need_not_be_alone() -> None:
    line = Line(lambda agent, request, before: OK if request.alone else TIMED_OUT)
    found = {r.name: m for _, r, m in prober_of(line).run({"a": on_a_slowed_line(4)})}
    assert {m.outcome for name, m in found.items() if name != "speed"} == {Outcome.BLOCKED}
    assert {m.passes for name, m in found.items() if name != "speed"} == {2}
    assert max(line.beside[f"page {number}"][1] for number in range(4)) == 3
    assert line.beside["speed"] == [0]


PATH = Control("path a to b", "a", "way", Check("path a to b", "192.0.2.1", "192.0.2.9"))
SERVER = Control("server of x", "control", "server", request=probe("server of x"))
VOUCHING = {"x": (PATH, SERVER)}


def checked(failure: str | None) -> Measurement:
    return Measurement(Outcome.OK, test_keys={"x_checks": {PATH.name: failure}})


def test_between_two_tries_of_what_failed_all_its_controls_are_measured() -> None:
    def answer(agent: str, request: ProbeRequest, before: int) -> Measurement:
        return TIMED_OUT if request.name == "x" else OK if request.name == SERVER.name else checked(None)

    supervisor = PretendedSupervisor(["a", "control"], answer)
    [(_, _, found)] = prober_of(supervisor).run({"a": [probe("x")]}, controls=VOUCHING)
    assert [request.name for _, request in supervisor.sent] == ["x", "control", SERVER.name, "x"]
    assert (found.outcome, found.passes) == (Outcome.BLOCKED, 2)
    assert [(proof.name, proof.failure) for proof in found.controls] == [(PATH.name, None), (SERVER.name, None)]


def test_a_control_has_no_more_patience_than_the_try_that_it_vouches_for() -> None:
    def answer(agent: str, request: ProbeRequest, before: int) -> Measurement:
        return TIMED_OUT if request.name == "x" else OK if request.name == SERVER.name else checked(None)

    supervisor = PretendedSupervisor(["a", "control"], answer)
    list(prober_of(supervisor).run({"a": [probe("x")]}, controls=VOUCHING))
    assert {request.timeout for _, request in supervisor.sent[:3]} == {PATIENCE[0]}


def test_what_succeeds_needs_no_control() -> None:
    supervisor = PretendedSupervisor(["a", "control"], lambda agent, request, before: OK)
    [(_, _, found)] = prober_of(supervisor).run({"a": [probe("x")]}, controls=VOUCHING)
    assert len(supervisor.sent) == 1
    assert found.controls == ()


def test_where_a_control_failed_the_tries_before_it_do_not_count() -> None:
    def answer(agent: str, request: ProbeRequest, before: int) -> Measurement:
        if request.name == "x":
            return TIMED_OUT
        return OK if request.name == SERVER.name else checked(None if before else "generic_timeout_error")

    supervisor = PretendedSupervisor(["a", "control"], answer)
    [(_, _, found)] = prober_of(supervisor).run({"a": [probe("x")]}, controls=VOUCHING)
    assert (found.outcome, found.passes) == (Outcome.BLOCKED, 3)
    assert all(proof.failure is None for proof in found.controls)
    patience = [request.timeout for _, request in supervisor.sent if request.name == "x"]
    assert patience == [PATIENCE[0], PATIENCE[0], PATIENCE[1]], "no further round of more patient tries is due"


def test_a_cell_whose_controls_fail_is_unknown_and_says_which_did() -> None:
    def answer(agent: str, request: ProbeRequest, before: int) -> Measurement:
        return RESET if request.name in {"x", SERVER.name} else checked(None)

    supervisor = PretendedSupervisor(["a", "control"], answer)
    [(_, _, found)] = prober_of(supervisor).run({"a": [probe("x")]}, controls=VOUCHING)
    assert (found.outcome, found.certainty) == (Outcome.UNKNOWN, "unconfirmed")
    assert found.failure == "unknown_failure: controls failed: server of x: connection_reset"
    assert {(proof.name, proof.failure) for proof in found.controls} == {(SERVER.name, "connection_reset")}


def test_what_fails_in_another_way_each_time_while_its_excused_controls_fail_is_unknown_after_bounded_tries() -> None:
    slow = Measurement(Outcome.THROTTLED)

    def answer(agent: str, request: ProbeRequest, before: int) -> Measurement:
        if request.name == "x":
            return slow if before % 2 else RESET
        return RESET if request.name == SERVER.name else checked(None)

    supervisor = PretendedSupervisor(["a", "control"], answer)
    found = list(prober_of(supervisor).run({"a": [probe("x")]}, controls=VOUCHING, excused={"x": {SERVER.name}}))
    assert [(m.outcome, m.certainty) for _, _, m in found] == [(Outcome.UNKNOWN, "unconfirmed")]
    patience = [request.timeout for _, request in supervisor.sent if request.name == "x"]
    assert max(patience) == PATIENCE[-1]
    assert len(patience) <= 6


def test_what_waits_for_controls_that_fail_is_not_tried_meanwhile_and_is_once_they_succeed() -> None:
    def answer(agent: str, request: ProbeRequest, before: int) -> Measurement:
        if request.name == "x":
            return OK if before else TIMED_OUT
        return OK if request.name == SERVER.name else checked(None if before >= lasting else "generic_timeout_error")

    for lasting, tries, outcome in ((3, 2, Outcome.OK), (99, 1, Outcome.UNKNOWN)):
        supervisor = PretendedSupervisor(["a", "control"], answer)
        [(_, _, found)] = prober_of(supervisor).run({"a": [probe("x")]}, controls=VOUCHING)
        assert (found.outcome, found.passes) == (outcome, tries)
        checks = sum(request.name == "control" for _, request in supervisor.sent)
        assert checks == lasting + 1 if outcome is Outcome.OK else checks <= 15, "bounded"


def test_an_agent_that_does_not_answer_a_control_vouches_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutdownlab.measure.vouching._GRACE_S", 0.0)

    class Mute(PretendedSupervisor):
        def send(self, agent: str, job: ProbeJob) -> None:
            if job.request.name != "control":
                super().send(agent, job)

    supervisor = Mute(["a", "control"], lambda agent, request, before: RESET if request.name == "x" else OK)
    quick = {"a": [probe("x", timeout=0.01)]}
    [(_, _, found)] = prober_of(supervisor).run(quick, controls={"x": (PATH,)})
    assert found.outcome is Outcome.UNKNOWN
    assert found.failure == ("unknown_failure: controls failed: path a to b: unknown_failure: no answer from the agent")


def test_cells_that_fail_together_share_their_controls() -> None:
    def answer(agent: str, request: ProbeRequest, before: int) -> Measurement:
        return checked(None) if request.name == "control" else OK if request.name == SERVER.name else TIMED_OUT

    supervisor = PretendedSupervisor(["a", "control"], answer)
    names = [f"x{n}" for n in range(20)]
    shared = dict.fromkeys(names, (PATH, SERVER))
    found = [m.outcome for _, _, m in prober_of(supervisor).run({"a": list(map(probe, names))}, controls=shared)]
    assert found == [Outcome.BLOCKED] * 20
    assert sum(request.name in {"control", SERVER.name} for _, request in supervisor.sent) <= 4


def test_a_timeout_that_load_caused_is_not_believed() -> None:
    supervisor = PretendedSupervisor(["a"], lambda agent, request, before: OK if before else TIMED_OUT)
    [(_, _, found)] = prober_of(supervisor).run({"a": [probe("x")]})
    assert (found.outcome, found.passes) == (Outcome.OK, 2)


def test_while_much_succeeds_late_no_timeout_is_believed() -> None:
    """Probes that succeed late show that the machine was slow: the others' timeouts are doubted again."""
    supervisor = PretendedSupervisor(
        ["a"], lambda agent, request, before: OK if before >= int(request.name[0]) else TIMED_OUT
    )
    names = ["0", *(f"1{n}" for n in range(6)), "2", "9"]
    results = prober_of(supervisor).run({"a": [probe(n) for n in names]}, hopeless={"9"})
    found = {r.name: (m.outcome, m.passes) for _, r, m in results}
    assert found["0"] == (Outcome.OK, 1)
    assert found["10"] == (Outcome.OK, 2)
    assert found["2"] == (Outcome.OK, 3)
    assert found["9"] == (Outcome.BLOCKED, 3)


def test_one_late_success_among_many_timeouts_does_not_delay_the_verdict_on_the_others() -> None:
    supervisor = PretendedSupervisor(
        ["a"], lambda agent, request, before: OK if request.name == "late" and before else TIMED_OUT
    )
    names = ["late", *(f"blocked{n}" for n in range(20))]
    results = prober_of(supervisor).run({"a": [probe(n) for n in names]}, hopeless=set(names))
    found = {r.name: (m.outcome, m.passes) for _, r, m in results}
    assert found.pop("late") == (Outcome.OK, 2)
    assert set(found.values()) == {(Outcome.BLOCKED, 2)}


def test_every_probe_of_every_agent_is_answered_once() -> None:
    supervisor = PretendedSupervisor([f"a{n}" for n in range(12)], lambda agent, request, before: OK)
    requests = {agent: [probe(str(n)) for n in range(40)] for agent in supervisor.agents}
    found = Counter((agent, request.id) for agent, request, _ in prober_of(supervisor).run(requests))
    assert len(found) == 480 and set(found.values()) == {1}


def test_only_so_many_probes_are_under_way_in_one_agent() -> None:
    supervisor = PretendedSupervisor(["a"], lambda agent, request, before: OK)
    assert len(list(prober_of(supervisor).run({"a": [probe(str(n)) for n in range(200)]}))) == 200
    assert supervisor.most_at_once["a"] <= UNDER_WAY


def test_what_will_likely_have_no_answer_goes_first_and_its_second_try_does_not_wait_for_the_others() -> None:
    supervisor = PretendedSupervisor(
        ["a", "b"], lambda agent, request, before: TIMED_OUT if request.name == "mute" else OK
    )
    requests = {"a": [*(probe(str(n)) for n in range(200)), probe("mute")], "b": [probe("x")]}
    list(prober_of(supervisor).run(requests, hopeless={"mute"}))
    sent = [request.name for _, request in supervisor.sent]
    assert sent[0] == "mute"
    assert "mute" in sent[1:-1]


def test_a_download_waits_until_all_else_of_its_place_has_been_tried_but_not_for_other_places() -> None:
    supervisor = PretendedSupervisor(["a", "b", "c"], lambda agent, request, before: OK)
    speeds = [probe(f"speed{n}", alone=True, place="here") for n in range(3)]
    list(
        prober_of(supervisor).run(
            {
                "a": [*speeds, *(probe(str(n), place="here") for n in range(5))],
                "b": [probe(str(n), place="here") for n in range(5)],
                "c": [probe(str(n), place="elsewhere") for n in range(300)],
            }
        )
    )
    here = [request.alone for _, request in supervisor.sent if request.place == "here"]
    assert here == [False] * 10 + [True] * 3
    downloads = [n for n, (_, request) in enumerate(supervisor.sent) if request.alone]
    assert downloads[-1] < len(supervisor.sent) - 1


def test_a_download_on_a_slowed_line_is_tried_before_and_after_all_else_of_its_place() -> None:
    slow = Measurement(Outcome.THROTTLED, doubtful=True, value=500.0, unit="kbit/s")
    line = Line(lambda agent, request, before: slow if request.alone else OK)
    pages = [probe(f"page {number}", place="here", slowed=True) for number in range(4)]
    speed = probe("speed", place="here", slowed=True, alone=True)
    found = {r.name: m for _, r, m in prober_of(line).run({"a": [*pages, speed]}, hopeless={"speed", "page 1"})}
    assert (found["speed"].outcome, found["speed"].passes) == (Outcome.THROTTLED, 2)
    names = [request.name for _, request in line.sent]
    assert (names[0], names[-1], len(names)) == ("speed", "speed", 6)
    assert line.beside["speed"] == [0, 0]


def test_a_callee_registers_before_it_is_called() -> None:
    supervisor = PretendedSupervisor(["caller", "callee"], lambda agent, request, before: OK)
    call = probe("call", ask="call 2", errand=Errand("callee", "register as 2"))
    [(agent, _, _)] = prober_of(supervisor).run({"caller": [call]})
    assert agent == "caller"
    assert [(where, asked.ask) for where, asked in supervisor.sent] == [
        ("callee", "register as 2"),
        ("caller", "call 2"),
    ]


def test_the_probes_of_an_agent_that_has_ended_are_unknown() -> None:
    supervisor = PretendedSupervisor(["a", "b"], lambda agent, request, before: OK)
    supervisor.end("a", "agent died: SIGKILL")
    found = {
        (agent, m.outcome, m.failure)
        for agent, _, m in prober_of(supervisor).run({"a": [probe("x")], "b": [probe("y")]})
    }
    assert found == {("a", Outcome.UNKNOWN, "unknown_failure: agent died: SIGKILL"), ("b", Outcome.OK, None)}


def test_an_unknown_agent_is_refused() -> None:
    with pytest.raises(KeyError, match="no probe agent nobody"):
        list(prober_of(PretendedSupervisor(["a"], lambda agent, request, before: OK)).run({"nobody": [probe("x")]}))


def test_the_limit_widens_while_probes_take_what_they_always_took_and_narrows_when_they_queue() -> None:
    limit = ConcurrencyLimit()
    before = limit.window
    for _ in range(100):
        limit.succeeded("web", 0.1)
    widened = limit.window
    for _ in range(200):
        limit.succeeded("web", 0.5)
    assert before < widened
    assert limit.window < widened


def test_one_burst_narrows_the_limit_once() -> None:
    limit = ConcurrencyLimit()
    limit.succeeded("web", 0.1)
    before = limit.window
    for _ in range(100):
        limit.succeeded("web", 2.0)
    assert before * 0.6 < limit.window < before


def test_on_a_slow_machine_a_step_may_take_longer() -> None:
    limit = ConcurrencyLimit()
    limit.succeeded("web", 0.1)
    assert limit.patience("web", 1.2) == pytest.approx(1.2)
    limit.succeeded("emulated processor", 2.0)
    assert limit.patience("emulated processor", 1.2) == pytest.approx(4.0)
    for _ in range(100):
        limit.succeeded("web", 1.0)
    assert limit.patience("web", 1.2) > 2.0


def test_a_probe_counts_as_waiting_once_it_takes_twice_what_its_like_takes() -> None:
    limit = ConcurrencyLimit()
    limit.succeeded("far", 0.4)
    limit.succeeded("near", 0.001)
    assert limit.waits_after("far") == pytest.approx(0.8)
    assert limit.waits_after("near") == pytest.approx(0.05)
    assert limit.waits_after("never seen") == pytest.approx(0.3)


def test_agents_of_this_very_process_start_answer_and_stop() -> None:
    """Real agents, in the tests' own namespace: an address without a port that listens refuses at once."""
    prober = Prober()
    prober.start({"a": lambda: None, "b": lambda: None})
    pids = dict(prober.pids)
    request = probe("x", ask=Destination("127.0.0.1", 9))
    found = {agent: m.failure for agent, _, m in prober.run({"a": [request], "b": [request]})}
    prober.stop()
    assert found == {"a": "connection_refused", "b": "connection_refused"}
    assert len(set(pids.values())) == 2
    for pid in pids.values():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_what_failed_while_something_had_no_processor_is_tried_again_and_unknown_in_the_end() -> None:
    answers = {"times out": TIMED_OUT, "is reset": RESET}

    def found_with(starved: Callable[[float, float, float], str]) -> dict[str, Measurement]:
        supervisor = PretendedSupervisor(["a"], lambda agent, request, before: answers[request.name])
        requests = {"a": [probe(name) for name in answers]}
        return {r.name: m for _, r, m in prober_of(supervisor).run(requests, starved=starved)}

    busy = iter(["the switch had no processor", "the switch had no processor"])
    found = found_with(lambda began, ended, patience: next(busy, ""))
    assert (found["times out"].outcome, found["times out"].passes) == (Outcome.BLOCKED, 4)
    assert found["is reset"].passes == 2, "no load resets a connection"

    found = found_with(lambda began, ended, patience: "the switch had no processor")
    assert found["times out"].outcome is Outcome.UNKNOWN
    assert found["times out"].failure == "unknown_failure: the switch had no processor"
    assert found["is reset"].outcome is Outcome.BLOCKED


def test_a_try_that_is_void_because_the_machine_is_busy_is_repeated_after_all_first_tries() -> None:
    busy = iter(["the switch had no processor"])
    others = [f"other {i}" for i in range(300)]
    supervisor = PretendedSupervisor(["a"], lambda agent, request, before: OK if request.name in others else TIMED_OUT)
    requests = {"a": [probe(name) for name in ("void", "counts", *others)]}
    run = prober_of(supervisor).run(requests, {"void", "counts"}, starved=lambda *_: next(busy, ""))
    assert {r.name: m.passes for _, r, m in run if m.outcome is Outcome.BLOCKED} == {"void": 3, "counts": 2}
    sent = [request.name for _, request in supervisor.sent]
    assert [name in others for name in sent[-2:]] == [False, False]
    assert sent[-2:] == ["void", "void"]
    assert sent.index("counts", sent.index("counts") + 1) < len(sent) - 2, "one that counts is confirmed meanwhile"


def test_what_failed_while_its_own_prober_had_no_processor_is_tried_again_and_unknown_in_the_end() -> None:
    kept_away = replace(TIMED_OUT, starved="its prober had no processor")
    supervisor = PretendedSupervisor(["a"], lambda agent, request, before: kept_away if before < 2 else TIMED_OUT)
    [(_, _, found)] = prober_of(supervisor).run({"a": [probe("times out")]})
    assert (found.outcome, found.passes) == (Outcome.BLOCKED, 4)

    supervisor = PretendedSupervisor(["a"], lambda agent, request, before: kept_away)
    [(_, _, found)] = prober_of(supervisor).run({"a": [probe("times out")]})
    assert (found.outcome, found.failure) == (Outcome.UNKNOWN, "unknown_failure: its prober had no processor")


def test_a_speed_that_a_wait_on_the_way_can_have_made_is_measured_again_and_unknown_in_the_end() -> None:
    """Slow by whoever had no processor; fast by who has kept what came meanwhile."""
    slow = Measurement(Outcome.THROTTLED, doubtful=True, margin=0.4)
    fast = Measurement(Outcome.OK, margin=0.3)
    answers = {"slow": slow, "fast": fast, "page": OK}

    def found_with(busy: dict[tuple[float, bool], int]) -> dict[str, Measurement]:
        left = Counter(busy)

        def held_up(began: float, ended: float, seconds: float, *, keepers: bool) -> str:
            assert began <= ended
            left[seconds, keepers] -= 1
            return "the proxy had no processor" if left[seconds, keepers] >= 0 else ""

        supervisor = PretendedSupervisor(["a"], lambda agent, request, before: answers[request.name])
        requests = {"a": [probe(name) for name in answers]}
        return {r.name: m for _, r, m in prober_of(supervisor).run(requests, held_up=held_up)}

    found = found_with({})
    assert {name: (m.outcome, m.passes) for name, m in found.items()} == {
        "slow": (Outcome.THROTTLED, 2), "fast": (Outcome.OK, 1), "page": (Outcome.OK, 1)
    }  # fmt: skip
    found = found_with({(0.4, False): 1, (0.3, True): 1, (0.4, True): 100, (0.3, False): 100})
    assert {name: (m.outcome, m.passes) for name, m in found.items()} == {
        "slow": (Outcome.THROTTLED, 3), "fast": (Outcome.OK, 2), "page": (Outcome.OK, 1)
    }  # fmt: skip
    found = found_with({(0.4, False): 100, (0.3, True): 100})
    assert [found[name].outcome for name in answers] == [Outcome.UNKNOWN, Outcome.UNKNOWN, Outcome.OK]
    assert found["slow"].failure == "unknown_failure: the proxy had no processor"
    assert found["fast"].failure == "unknown_failure: the proxy had no processor, so its speed is not known"


def test_a_success_that_a_box_may_have_come_too_late_for_is_none_and_unknown_in_the_end() -> None:
    def found_with(outrun: Callable[[str, float, float], str], answer: Measurement) -> Measurement:
        supervisor = PretendedSupervisor(["a"], lambda agent, request, before: answer if before > 1 else OK)
        [(_, _, found)] = prober_of(supervisor).run({"a": [probe("x")]}, outrun=lambda *try_: Race(outrun(*try_)))
        return found

    busy = iter(["the box had no processor", "the box had no processor"])
    found = found_with(lambda cell, began, ended: next(busy, ""), OK)
    assert (found.outcome, found.passes) == (Outcome.OK, 3)
    found = found_with(lambda cell, began, ended: "the box had no processor" if cell == "x" else "", RESET)
    assert (found.outcome, found.passes) == (Outcome.BLOCKED, 4), "what it has blocked it has blocked"
    found = found_with(lambda cell, began, ended: "the box had no processor", OK)
    assert found.outcome is Outcome.UNKNOWN
    assert found.failure == "unknown_failure: the box had no processor, so it may have come too late to block this"


def test_a_success_against_a_box_that_tried_to_prevent_it_is_believed_once_it_comes_again() -> None:
    """A switch that stands still for a moment may forward a server's answer before the box's, which came first."""
    for answers, outcome, passes in (
        ([OK, OK], Outcome.OK, 2),
        ([OK, RESET, RESET], Outcome.BLOCKED, 3),
    ):
        supervisor = PretendedSupervisor(["a"], lambda agent, request, before, answers=answers: answers[before])
        [(_, _, found)] = prober_of(supervisor).run({"a": [probe("x")]}, outrun=lambda *_: Race(ran=True))
        assert (found.outcome, found.passes) == (outcome, passes), answers


def test_a_success_by_chance_is_none_and_one_that_comes_again_is() -> None:
    """What looks like noise gets past a firewall's rule once in a hundred connections."""
    lucky = Measurement(Outcome.OK, doubtful=True)
    told: list[Outcome] = []
    for answers, outcome, passes in (
        ([lucky, lucky], Outcome.OK, 2),
        ([lucky, TIMED_OUT, TIMED_OUT], Outcome.BLOCKED, 3),
        ([TIMED_OUT, lucky, TIMED_OUT, TIMED_OUT], Outcome.BLOCKED, 4),
        ([TIMED_OUT, lucky, TIMED_OUT, lucky], Outcome.UNKNOWN, 4),
    ):
        supervisor = PretendedSupervisor(["a"], lambda agent, request, before, answers=answers: answers[before])
        run = prober_of(supervisor).run({"a": [probe("x")]}, tried=lambda _, first: told.append(first.outcome))
        [(_, _, found)] = run
        assert (found.outcome, found.passes) == (outcome, passes), answers
    assert set(told) == {Outcome.BLOCKED}, "nobody is told that a success failed"


def test_an_answer_that_is_there_but_was_not_read_yet_is_not_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner itself had no processor for longer than a control may take."""

    class Unheard(PretendedSupervisor):
        def receive(self, timeout_s: float) -> Iterator[tuple[str, ProbeResult]]:
            if clock.skipped == 0.0 and self.sent[-1][1].id != "x":
                clock.skipped = 1000.0  # it has looked, nothing was there, and it does not come to look again
                return
            yield from super().receive(timeout_s)

    clock = SimpleNamespace(skipped=0.0)
    true = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: true() + clock.skipped)
    supervisor = Unheard(["a"], lambda agent, request, before: RESET if request.id == "x" else checked(None))
    [(_, _, found)] = prober_of(supervisor).run({"a": [probe("x")]}, controls={"x": (PATH,)})
    assert (found.outcome, found.failure) == (Outcome.BLOCKED, "connection_reset")
    assert [request.id for _, request in supervisor.sent] == ["x", "control a", "x"], "one control has been enough"
    assert supervisor.agents["a"].ended is None


def test_an_agent_that_has_answered_something_since_is_waited_for_again() -> None:
    vouching = Vouching({"x": (PATH,)})
    vouching.wait("first", [PATH.name], 0.0, 0.5)
    [run] = vouching.due(0.0)
    vouching.launched(1, run)
    assert vouching.lost(run.ends + 0.1, lambda agent: None) == ["first"]
    vouching.heard(run.agent)
    vouching.wait("second", [PATH.name], run.ends + 0.1, 0.5)
    [again] = vouching.due(run.ends + 0.2)
    vouching.launched(2, again)
    assert vouching.lost(run.ends + 0.2, lambda agent: None) == []


def test_an_agent_that_left_a_control_unanswered_is_not_waited_for_again() -> None:
    vouching = Vouching({"x": (PATH,)})
    vouching.wait("first", [PATH.name], 0.0, 0.5)
    [run] = vouching.due(0.0)
    vouching.launched(1, run)
    assert list(vouching.lost(run.ends - 0.1, lambda agent: None)) == []
    assert vouching.lost(run.ends + 0.1, lambda agent: None) == ["first"]
    vouching.wait("second", [PATH.name], run.ends + 0.1, 0.5)
    [again] = vouching.due(run.ends + 0.2)
    vouching.launched(2, again)
    assert vouching.lost(run.ends + 0.2, lambda agent: None) == ["second"]
    assert [proof.failure for proof in vouching.history[PATH.name]] == ["unknown_failure: no answer from the agent"] * 2
