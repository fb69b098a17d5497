"""OpenFlow 1.3: the messages from a controller to its switches.

Rules of a program are sent as flow-mods, and meters as meter-mods. All changes to a switch's standing rules are in one
atomic bundle (ONF extension 230 to OpenFlow 1.3, supported by Open vSwitch), followed by a barrier: no packet ever
meets half a policy.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from shutdownlab.compiler.rules import EMPTY, Meter, PipelineTable, Rule, RuleChange, SwitchProgram
from shutdownlab.config.numbers import ETHER_TYPES
from shutdownlab.control.framework import ofp, parser

_PIECE = 1_000
"""Messages per write."""
_BUNDLE_FLAGS = ofp.ONF_BF_ATOMIC | ofp.ONF_BF_ORDERED


def _unheard(_: int) -> None:
    """Ignores progress."""


class Refusal:
    """A switch's reason for refusing a message."""

    def __init__(self, message: Any) -> None:
        """message: the `OFPErrorMsg`."""
        self.not_master = (message.type, message.code) == (ofp.OFPET_BAD_REQUEST, ofp.OFPBRC_IS_SLAVE)
        """Another controller holds the MASTER role."""
        self.stale = (message.type, message.code) == (ofp.OFPET_ROLE_REQUEST_FAILED, ofp.OFPRRFC_STALE)
        """The switch has seen a role request with a newer generation id, from another controller."""
        kind = ofp.ofp_error_type_to_str(message.type)
        self.text = f"{kind.split('(')[0]} {ofp.ofp_error_code_to_str(message.type, message.code).split('(')[0]}"


class Switch:
    """A connected switch, which applies messages in order.

    Methods that return a number end with a barrier, whose number it is.
    """

    def __init__(self, name: str, datapath: Any) -> None:
        """name: the switch in the topology; datapath: the framework's connection to it."""
        self.name = name
        self._datapath = datapath

    def is_on(self, datapath: Any) -> bool:
        """Returns whether this is the connection `datapath`, not an older or newer one of the same switch."""
        return self._datapath is datapath

    def claim(self) -> None:
        """Requests the MASTER role; the previous master becomes SLAVE.

        Generation ids must increase across all controllers (OpenFlow 1.3.5, section 6.3.6), so they are the machine's
        monotonic clock.
        """
        self._send([parser.OFPRoleRequest(self._datapath, ofp.OFPCR_ROLE_MASTER, time.monotonic_ns())])

    def replace(self, program: SwitchProgram, sent: Callable[[int], None] = _unheard) -> int:
        """Replaces everything on the switch by `program`. Old meters are deleted a moment before the rules that use
        them.

        `sent` is called with the number of messages after each batch (1,000).
        """
        everything = parser.OFPMeterMod(self._datapath, ofp.OFPMC_DELETE, 0, ofp.OFPM_ALL)
        clear = [parser.OFPFlowMod(self._datapath, table_id=ofp.OFPTT_ALL, command=ofp.OFPFC_DELETE, **_ANY_PORT)]
        meters = [self._meter(meter, ofp.OFPMC_ADD) for meter in program.meters]
        flows = self._bundle(chain(clear, map(self._add, program.rules)))
        return self._confirmed(chain([everything], meters, flows), sent)

    def update(self, change: RuleChange, held: SwitchProgram = EMPTY, sent: Callable[[int], None] = _unheard) -> int:
        """Applies `change` to a switch that holds `held`; `sent`: see `replace`."""
        known = {meter.id for meter in held.meters}
        meters = [self._meter(m, ofp.OFPMC_MODIFY if m.id in known else ofp.OFPMC_ADD) for m in change.meters]
        flows = chain(map(self._add, change.add), map(self._delete, change.delete))
        dropped = [parser.OFPMeterMod(self._datapath, ofp.OFPMC_DELETE, 0, m.id) for m in change.drop_meters]
        bundle = self._bundle(flows) if change.add or change.delete else ()
        return self._confirmed(chain(meters, bundle, dropped), sent)

    def enforce(self, meters: Iterable[tuple[Meter, bool]], rules: Iterable[Rule]) -> None:
        """Adds rules, and before them meters (True: the id is in use already), without a barrier."""
        mods = [self._meter(meter, ofp.OFPMC_MODIFY if known else ofp.OFPMC_ADD) for meter, known in meters]
        self._send([*mods, *map(self._add, rules)])

    def forget_verdicts(self) -> int:
        """Removes the rules of all connections; other rules in those tables do not match an EtherType, and stay."""
        matches = [parser.OFPMatch(eth_type=kind) for kind in ETHER_TYPES.values()]
        return self._confirmed(
            [
                parser.OFPFlowMod(self._datapath, table_id=table, command=ofp.OFPFC_DELETE, match=match, **_ANY_PORT)
                for table in (PipelineTable.RESIDUAL, PipelineTable.VERDICTS)
                for match in matches
            ]
        )

    def _confirmed(self, messages: Iterable[Any], sent: Callable[[int], None] = _unheard) -> int:
        barrier = parser.OFPBarrierRequest(self._datapath)
        self._send(chain(messages, [barrier]), sent)
        return int(barrier.xid)

    def _send(self, messages: Iterable[Any], sent: Callable[[int], None] = _unheard) -> None:
        """Sends messages in batches: the framework's own way is a queue of 16 and a system call for each message."""
        pieces, count = bytearray(), 0
        for message in messages:
            if message.xid is None:
                self._datapath.set_xid(message)
            message.serialize()
            pieces += message.buf
            count += 1
            if count == _PIECE:
                self._datapath.send(pieces)
                sent(count)
                pieces, count = bytearray(), 0
        if pieces:
            self._datapath.send(pieces)

    def _bundle(self, flow_mods: Iterable[Any]) -> Iterator[Any]:
        datapath, number = self._datapath, 1
        yield parser.ONFBundleCtrlMsg(datapath, number, ofp.ONF_BCT_OPEN_REQUEST, _BUNDLE_FLAGS, [])
        for flow_mod in flow_mods:
            yield parser.ONFBundleAddMsg(datapath, number, _BUNDLE_FLAGS, flow_mod, [])
        yield parser.ONFBundleCtrlMsg(datapath, number, ofp.ONF_BCT_COMMIT_REQUEST, _BUNDLE_FLAGS, [])

    def _add(self, rule: Rule) -> Any:
        return parser.OFPFlowMod(
            self._datapath,
            cookie=rule.cookie,
            table_id=rule.table,
            command=ofp.OFPFC_ADD,
            idle_timeout=rule.idle_timeout,
            hard_timeout=rule.hard_timeout,
            priority=rule.priority,
            match=parser.OFPMatch(**dict(rule.match)),
            instructions=list(_instructions(rule)),
            **_ANY_PORT,
        )

    def _delete(self, rule: Rule) -> Any:
        return parser.OFPFlowMod(
            self._datapath,
            table_id=rule.table,
            command=ofp.OFPFC_DELETE_STRICT,
            priority=rule.priority,
            match=parser.OFPMatch(**dict(rule.match)),
            **_ANY_PORT,
        )

    def _meter(self, meter: Meter, command: int) -> Any:
        band = parser.OFPMeterBandDrop(rate=meter.kbit, burst_size=meter.burst)
        flags = ofp.OFPMF_KBPS | ofp.OFPMF_BURST
        return parser.OFPMeterMod(self._datapath, command, flags, meter.id, [band])


_ANY_PORT = {"out_port": ofp.OFPP_ANY, "out_group": ofp.OFPG_ANY, "buffer_id": ofp.OFP_NO_BUFFER}


def _instructions(rule: Rule) -> Iterator[Any]:
    if rule.meter is not None:
        yield parser.OFPInstructionMeter(rule.meter)
    if rule.moves or rule.outputs:
        actions = [parser.NXActionRegMove(src, to, _bits(src)) for src, to in rule.moves]
        actions += [parser.OFPActionOutput(port) for port in rule.outputs]
        yield parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, actions)
    if rule.metadata is not None:
        yield parser.OFPInstructionWriteMetadata(*rule.metadata)
    if rule.goto is not None:
        yield parser.OFPInstructionGotoTable(rule.goto)


def _bits(field: str) -> int:
    """Returns the width in bits of an address or port field."""
    return {"ipv4": 32, "ipv6": 128}.get(field[:4], 16)
