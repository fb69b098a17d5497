"""Examines a running country, at a phase's end or between a user's measurements: what of it is lost or to be doubted.

Dead DPI boxes are started again, and stopped processes resumed, as they are found.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from shutdownlab.compiler.standing import altered
from shutdownlab.control.addresses import AUTHORITY
from shutdownlab.control.processes import ControlError
from shutdownlab.country.breakage import in_one_line
from shutdownlab.country.country import Country
from shutdownlab.country.health import EVERY_S, Examination
from shutdownlab.country.liveness import AT_LAST_S, SOON_S, interrupted, missed_by
from shutdownlab.country.replies import lost_by
from shutdownlab.model.network import Role
from shutdownlab.network.delay_line import RELAY
from shutdownlab.network.flow_statistics import StatisticsMissing, standing
from shutdownlab.network.home_tunnels import TUNNELS
from shutdownlab.network.ovs import LabSwitch
from shutdownlab.protocol.messages import BoxJoined, Counters, Failure, Parted, decode
from shutdownlab.servers.dns import view_of
from shutdownlab.servers.late_answers import process_name
from shutdownlab.servers.unbound_control import lies_told
from shutdownlab.system.child_process import ending

_AGAIN_S: Final = 0.25
_RECENT: Final = 60
"""How many of its latest decisions a DPI box reports when it is asked whether it answers."""
_QUIET_S: Final = 1.0
_SETTLED_S: Final = 10.0


def take_faults(country: Country) -> Iterator[str]:
    """Yields a sentence for each fault since the last call, or since the watch began."""
    yield from examine(country).found
    country.begin_watch()


def examine(country: Country) -> Examination:
    """Returns what has gone wrong since the watch began; restarts dead DPI boxes and resumes stopped processes."""
    seen = country.watch.examine()
    doubts, lost = list(seen.doubts), [*country.services.died(), *seen.lost]
    lost += country.controllers.died(country.damage.leaderless)
    lost += [f"the probe agent of {name} has ended ({why})" for name, why in country.agents.ended().items()]
    for name, instance in country.instances.items():
        for program, daemon in instance.daemons.items():
            if daemon.poll() is not None:
                lost.append(f"{program} of {name} {ending(daemon.returncode)}")
    doubts += _complaints(country)
    for process in list(country.others):
        if process.alive() or country.is_broken(process):
            continue
        how = f"{process.name} {ending(process.status)}" + (
            f": {in_one_line(process.failure)}" if process.failure else ""
        )
        if process.name not in country.start_again or lost:  # a lost country has no controller to report a box's return
            lost.append(how)
            continue
        (doubts if country.start_box(process) else lost).append(f"{how}, and was started again")
    return Examination(tuple(doubts), tuple(lost))


def settle(country: Country) -> Examination:
    """Waits until nothing has gone wrong for a second, for at most about 10 s: what spoiled a phase may still go on.

    Returns the last examination.
    """
    end = time.monotonic() + _SETTLED_S
    while True:
        country.begin_watch()
        quiet_at = time.monotonic() + _QUIET_S
        while time.monotonic() < quiet_at:
            time.sleep(EVERY_S)
            country.watch.look()
        seen = examine(country)
        if seen.lost or not seen.doubts or time.monotonic() > end:
            return seen


def _complaints(country: Country) -> list[str]:
    """Returns the failures that DPI boxes and their like have reported since the last call, each once."""
    messages, country.aside[:] = [*country.aside], []
    for process in country.others:
        messages += map(decode, process.receive())
    return list(dict.fromkeys(f"{m.where}: {in_one_line(m.text)}" for m in messages if isinstance(m, Failure)))


def examine_answering(country: Country) -> Examination:
    """Like `examine`, and also asks every process for an answer, because a running one may hang.

    Waits 12 s or more before it reports a process that does not answer as lost. Too little memory, disk space or
    file descriptors also counts as a doubt.
    """
    seen = examine(country)
    if seen.lost:
        return seen
    liveness = country.liveness
    asked = {RELAY, TUNNELS, *map(process_name, country.plan.network.nodes)}
    late, mute = liveness.ask([process for process in country.others if process.name in asked])
    if not mute:
        asked_late, mute = _ask_controllers(country)
        late += [*asked_late, *_complaints(country), *_lost_on_the_way(country)]
        late += interrupted(country.sessions, liveness.sessions())
    if not mute:
        mute = [
            *_rules_lost(country),
            *_lies_lost(country),
            *country.reconfigured.found(),
            *country.server_files.found(),
        ]
    return Examination((*seen.doubts, *late, *liveness.shortages()), tuple(mute))


def _lost_on_the_way(country: Country) -> Iterator[str]:
    """Yields a sentence each if the delay line or roaming subscribers' tunnels lost packets as a queue was full."""
    for process in country.others:
        before = country.missed.get(process.name, 0)
        if process.name in {RELAY, TUNNELS} and (lost := lost_by(process, SOON_S, before)):
            country.missed[process.name] = before + lost
            yield f"{process.name} has lost {lost} packets: this machine is busy"


def _ask_controllers(country: Country) -> tuple[list[str], list[str]]:
    """Returns which DPI boxes, or their controllers, were late to report their counters, and which never did."""
    if AUTHORITY in country.damage.leaderless:
        return [], []
    boxes = country.reporting_boxes
    watched = boxes | {node.name for node in country.switches}
    late: list[str] = []
    for seconds in (SOON_S, AT_LAST_S):
        try:
            messages = country.authority.counters(seconds, boxes, _RECENT)
        except ControlError as error:
            return late, [str(error)]
        country.heard += messages
        counted = [message for message in messages if isinstance(message, Counters)]
        late += missed_by(counted, country.missed)
        # While disconnected, packets bypassed it or were lost.
        parted = dict.fromkeys(message.node for message in messages if isinstance(message, Parted))
        parted |= dict.fromkeys(message.box for message in messages if isinstance(message, BoxJoined))
        late += [f"{name} and its controller had no connection for a while" for name in parted if name in watched]
        mute = boxes - {message.where for message in counted}
        problems = [f"{box}, or its controller, does not answer" for box in sorted(mute)]
        if not problems:
            return late, []
        late = late or problems
    return late, problems


def _rules_lost(country: Country) -> list[str]:
    """Returns a sentence for each switch whose rules or meters are not those that it has confirmed.

    Measurements through such a switch are void. A controller that believes its rules are installed does not install
    them again.
    """
    heard = AUTHORITY not in country.damage.leaderless
    asked = {node.name: country.net.get(node.name) for node in country.led_switches}
    end = time.monotonic() + AT_LAST_S
    while True:
        found = {name: why for name, switch in asked.items() if (why := _not_as_confirmed(country, name, switch))}
        asked = {name: asked[name] for name in found}
        if not asked or time.monotonic() > end or not heard:
            return [f"the switch {name} {why}" for name, why in found.items()]
        try:
            # rules that bypass a lost box are confirmed a moment later
            country.heard += country.authority.events(_AGAIN_S)
        except ControlError as error:
            return [str(error)]


def _lies_lost(country: Country) -> Iterator[str]:
    """Yields a sentence for each resolver that tells groups of its subscribers other lies than were ordered."""
    network, silent = country.plan.network, country.damage.silent
    controls, lies = {}, {}
    for place, vantage in enumerate(network.vantages):
        name = network.one(Role.RESOLVER, vantage.id.operator).name
        if name not in silent:
            control = country.services.find("unbound", name).control
            assert control is not None, "every resolver has one"
            controls[name] = control
            lies[name, view_of(place)] = country.lies.get(vantage.id, {})
    for name, what in lies_told(controls, lies, AT_LAST_S).items():
        yield f"the resolver {name} {what}"


def _not_as_confirmed(country: Country, name: str, switch: LabSwitch) -> str:
    """Returns in what a switch's standing rules are not as confirmed, or why they are not known; "" if they are."""
    ordered = country.authority.held[name]
    try:
        held = standing(switch.management)
    except StatisticsMissing as missing:
        return f"holds no known number of rules, not {ordered.rules} ({missing})"
    if held.rules != ordered.rules:
        return f"holds {held.rules} rules, not {ordered.rules}"
    other = " and ".join(altered(ordered, held))
    return f"has other {other} than it confirmed" if other else ""
