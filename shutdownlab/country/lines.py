"""Subscribers' lines in a running country: configures the userspace delay line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shutdownlab.compiler.lines import LineQuality
from shutdownlab.country.replies import wait_until_applied
from shutdownlab.model.network import Network
from shutdownlab.model.topology import VantageId
from shutdownlab.network.link import DelayLine
from shutdownlab.protocol.messages import LineSetting, Retune, encode
from shutdownlab.system.child_process import Forked


@dataclass(slots=True)
class Lines:
    """The relay's lines, as last configured. `relay`: its process; None if the country has none."""

    network: Network
    relay: Forked | None
    delay_lines: list[DelayLine]
    _configured: dict[str, LineSetting] = field(default_factory=dict)
    _serial: int = 0

    def become(self, wanted: Mapping[VantageId, LineQuality]) -> None:
        """Gives every group's line this quality, and waits until it has it; raises `ServicesNotReady`."""
        settings: dict[str, LineSetting] = {}
        by_node = {end: line for line in self.delay_lines for end in line.ends}
        for vantage, quality in wanted.items():
            node = self.network.subscriber(vantage).name
            if node in by_node:
                line = by_node[node]
                settings[line.if_a] = _setting(quality)
        changed = {
            name: setting for name, setting in settings.items() if self._configured.get(name, setting) != setting
        }
        changed |= {n: s for n, s in settings.items() if n not in self._configured and s != self._built(n)}
        if not changed:
            return
        assert self.relay is not None, "it serves these lines"
        self._serial += 1
        self.relay.send(encode(Retune(self._serial, changed)))
        wait_until_applied(self.relay, self._serial)
        self._configured |= settings

    def _built(self, name: str) -> LineSetting:
        """Returns the setting with which a line was built."""
        line = next(each for each in self.delay_lines if each.if_a == name)
        return LineSetting(line.delay_ms, 0.0, line.loss)


def _setting(quality: LineQuality) -> LineSetting:
    delay, jitter = (round(1000 * seconds, 3) for seconds in (quality.delay, quality.jitter))
    return LineSetting(delay, jitter, round(quality.loss, 6))
