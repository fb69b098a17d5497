"""Checks that live processes respond: asks everything in a country that can be asked, all at once.

A process may be alive and not respond because it waits for a lock, a full disk or a peer. Open vSwitch is asked over
its control sockets, a router for its BGP sessions, and agents and delay lines with an empty request. DPI boxes and
controllers are asked by the authority (`AuthorityClient.counters`), servers by controls (`measure.controls`).
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shutdownlab.country.replies import counters_of
from shutdownlab.measure.confirmation import Prober
from shutdownlab.model import routing
from shutdownlab.model.network import Network
from shutdownlab.network.ovs import OvsInstance
from shutdownlab.protocol.messages import Counters
from shutdownlab.servers import birdc
from shutdownlab.servers.start import Services
from shutdownlab.system.child_process import Forked
from shutdownlab.system.questions import SocketQuestion, ask_all

SOON_S: Final = 3.0
"""Seconds an answer may take; if it takes longer, measurements made meanwhile are doubted."""
AT_LAST_S: Final = 12.0
"""Seconds before a process is given up: a busy machine can delay an answer for seconds."""
_AGAIN_S: Final = 0.25
_SAME_S: Final = 0.5
"""By how much two readings of the same moment may differ; a session that is lost is up again after 1 s at least."""
_LEAST_BYTES: Final = 32 << 20
_LEAST_DESCRIPTORS: Final = 32


@dataclass(frozen=True, slots=True)
class Liveness:
    """What can be asked. `others`: processes that answer a `CountersRequest`; `files`: where the run's files go."""

    network: Network
    instances: Mapping[str, OvsInstance]
    services: Services
    agents: Prober
    files: Path

    def ask(self, others: Collection[Forked]) -> tuple[list[str], list[str]]:
        """Returns which processes did not answer at once, and which do not answer at all; a sentence each."""
        end = time.monotonic() + AT_LAST_S
        late = mute = self._troubles(others, SOON_S)
        while mute and (left := end - time.monotonic()) > 0:
            time.sleep(min(_AGAIN_S, left))
            mute = self._troubles(others, max(left, SOON_S))
        return list(late.values()), list(mute.values())

    def _troubles(self, others: Collection[Forked], seconds: float) -> dict[str, str]:
        """Returns the processes that do not answer as they should, each with a sentence for the user."""
        questions: dict[str, SocketQuestion] = {}
        for name, instance in self.instances.items():
            for program, question in instance.liveness_questions().items():
                questions[f"{program} of {name}"] = question
        routers = {}
        damage = self.services.damage
        for node in (node for node in routing.routers(self.network) if node.name not in damage.routers):
            control = self.services.find("bird", node.name).control
            assert control is not None, "every bird has one"
            routers[f"bird on {node.name}"] = frozenset(s.name for s in self.services.converged.sessions[node.name])
            if damage:
                routers[f"bird on {node.name}"] -= routing.lost_sessions(self.network, node, damage)
            questions[f"bird on {node.name}"] = birdc.sessions_question(control)
        replies = ask_all(questions, seconds)
        found = {title: f"{title} does not answer" for title in questions if title not in replies}
        for title, wanted in routers.items():
            down = wanted - birdc.sessions_in(replies[title]) if title in replies else frozenset()
            if down:
                found[title] = f"{title} has lost its BGP sessions {', '.join(sorted(down))}"
        mute = self.agents.mute(self.agents.pids, seconds)
        found |= {name: f"the probe agent of {name} does not answer" for name in sorted(mute)}
        found |= {each.name: f"{each.name} does not answer" for each in others if counters_of(each, seconds) is None}
        return found

    def sessions(self) -> dict[str, dict[str, float]]:
        """Returns since when each BGP session is established that should be, in s since 1970, by router.

        Routers that do not answer within 3 s are left out.
        """
        questions, wanted = {}, {}
        for node in (node for node in routing.routers(self.network) if node.name not in self.services.damage.routers):
            control = self.services.find("bird", node.name).control
            assert control is not None, "every bird has one"
            title = f"bird on {node.name}"
            questions[title] = birdc.sessions_question(control)
            wanted[title] = {session.name for session in self.services.converged.sessions[node.name]}
        replies = ask_all(questions, SOON_S)
        return {
            title: {name: since for name, since in birdc.sessions_since(reply).items() if name in wanted[title]}
            for title, reply in replies.items()
        }

    def shortages(self) -> Iterator[str]:
        """Yields a sentence for each resource of the machine that is nearly exhausted."""
        disk = os.statvfs(self.files)
        if disk.f_bavail * disk.f_frsize < _LEAST_BYTES:
            yield f"less than {_LEAST_BYTES >> 20} MB are free on the disk of {self.files}"
        for line in Path("/proc/meminfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable" and int(value.split()[0]) << 10 < _LEAST_BYTES:
                yield f"less than {_LEAST_BYTES >> 20} MB of memory are free"
        used, most = len(os.listdir("/proc/self/fd")), resource.getrlimit(resource.RLIMIT_NOFILE)[0]  # noqa: PTH208
        if most != resource.RLIM_INFINITY and most - used < _LEAST_DESCRIPTORS:
            yield f"{used} of at most {most} descriptors are open"


def interrupted(before: Mapping[str, Mapping[str, float]], now: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Yields a sentence for each router with BGP sessions that were down for a while between two calls of `sessions`.

    Meanwhile its routes were withdrawn, as by an order.
    """
    for title in before.keys() & now.keys():
        own = before[title]
        names = sorted(name for name, since in now[title].items() if abs(since - own.get(name, 0.0)) > _SAME_S)
        if names:
            yield f"{title} had lost its BGP sessions {', '.join(names)} for a while"


def missed_by(counted: Iterable[Counters], before: dict[str, int]) -> Iterator[str]:
    """Yields a sentence for each DPI box that has missed frames since the last call.

    The kernel drops frames if a box is too slow: what an on-path box should have blocked then gets through, and what
    goes through an in-path box is slowed down. before: how many frames each had missed by the last call; updated.
    """
    for message in counted:
        if message.counters:
            missed = sum(message.counters[side]["dropped"] for side in ("inside", "outside"))
            more = missed - before.get(message.where, 0)
            before[message.where] = missed
            if more > 0:
                yield f"{message.where} has missed {more} frames: this machine is busy"
