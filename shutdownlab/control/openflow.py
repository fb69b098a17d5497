"""OpenFlow 1.3 through os-ken, or through Ryu, whose continuation it is: the only module that knows either.

A program's rules become flow-mods here, and its meters meter-mods. Everything that changes the standing rules of a
switch travels in one atomic bundle (ONF extension 230 to OpenFlow 1.3; Open vSwitch has it), followed by a barrier: no
packet ever meets half a policy.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from shutdownlab.compiler.rules import EMPTY, Change, Meter, Rule, SwitchProgram, Table
from shutdownlab.control.messages import Failure, Message
from shutdownlab.control.settings import Settings

FRAMEWORK = os.environ.get("SHUTDOWNLAB_OPENFLOW", "os_ken")
"""`os_ken`, or `ryu` (Python 3.11 and older)."""

if FRAMEWORK == "ryu":
    os.environ.setdefault("EVENTLET_NO_GREENDNS", "yes")  # nothing here looks up names
    # Ryu 4.34 imports this name for its web server, which is not used here; newer eventlets have it no more.
    vars(importlib.import_module("eventlet.wsgi")).setdefault("ALREADY_HANDLED", None)
    from ryu import cfg
    from ryu.base.app_manager import AppManager
    from ryu.base.app_manager import RyuApp as FrameworkApp
    from ryu.controller import controller, event, ofp_event
    from ryu.controller.handler import DEAD_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
    from ryu.lib import hub
    from ryu.ofproto import ofproto_v1_3 as ofp
    from ryu.ofproto import ofproto_v1_3_parser as parser
else:
    from os_ken import cfg
    from os_ken.base.app_manager import AppManager
    from os_ken.base.app_manager import OSKenApp as FrameworkApp
    from os_ken.controller import controller, event, ofp_event
    from os_ken.controller.handler import DEAD_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
    from os_ken.lib import hub
    from os_ken.ofproto import ofproto_v1_3 as ofp
    from os_ken.ofproto import ofproto_v1_3_parser as parser

_BUNDLE_FLAGS = ofp.ONF_BF_ATOMIC | ofp.ONF_BF_ORDERED
_ETHER_TYPES_OF_CONNECTIONS = (0x0800, 0x86DD)


class Refusal:
    """Why a switch refused a message."""

    def __init__(self, message: Any) -> None:
        """Read it off an `OFPErrorMsg`."""
        self.not_master = (message.type, message.code) == (ofp.OFPET_BAD_REQUEST, ofp.OFPBRC_IS_SLAVE)
        """Another controller holds the MASTER role."""
        self.stale = (message.type, message.code) == (ofp.OFPET_ROLE_REQUEST_FAILED, ofp.OFPRRFC_STALE)
        """Another controller asked for a role later, though its request was made earlier."""
        kind = ofp.ofp_error_type_to_str(message.type)
        self.text = f"{kind.split('(')[0]} {ofp.ofp_error_code_to_str(message.type, message.code).split('(')[0]}"


class Switch:
    """A connected switch. It does as told, in order; what returns a number ends with a barrier of that number."""

    def __init__(self, name: str, datapath: Any) -> None:
        """Speak to the switch that the topology calls `name` over the framework's `datapath`."""
        self.name = name
        self._datapath = datapath

    def is_on(self, datapath: Any) -> bool:
        """Whether this is the connection `datapath`, and not an older or newer one of the same switch."""
        return self._datapath is datapath

    def claim(self) -> None:
        """Ask for the MASTER role; whoever had it is SLAVE then.

        Generations must grow across all controllers (OpenFlow 1.3.5, section 6.3.6): the machine's clock does.
        """
        self._send([parser.OFPRoleRequest(self._datapath, ofp.OFPCR_ROLE_MASTER, time.monotonic_ns())])

    def replace(self, program: SwitchProgram) -> int:
        """Make `program` all that the switch holds. Its meters go a moment before the rules that they belonged to."""
        everything = parser.OFPMeterMod(self._datapath, ofp.OFPMC_DELETE, 0, ofp.OFPM_ALL)
        clear = [parser.OFPFlowMod(self._datapath, table_id=ofp.OFPTT_ALL, command=ofp.OFPFC_DELETE, **_ANY_PORT)]
        meters = [self._meter(meter, ofp.OFPMC_ADD) for meter in program.meters]
        return self._confirmed([everything, *meters, *self._bundle([*clear, *map(self._add, program.rules)])])

    def update(self, change: Change, held: SwitchProgram = EMPTY) -> int:
        """Carry out `change` on a switch that holds `held`."""
        known = {meter.id for meter in held.meters}
        meters = [self._meter(m, ofp.OFPMC_MODIFY if m.id in known else ofp.OFPMC_ADD) for m in change.meters]
        flows = [*map(self._add, change.add), *map(self._delete, change.delete)]
        dropped = [parser.OFPMeterMod(self._datapath, ofp.OFPMC_DELETE, 0, m.id) for m in change.drop_meters]
        return self._confirmed([*meters, *(self._bundle(flows) if flows else ()), *dropped])

    def enforce(self, meters: Iterable[tuple[Meter, bool]], rules: Iterable[Rule]) -> None:
        """Add rules, and meters before them (True: the switch knows the id already), without waiting for anything."""
        mods = [self._meter(meter, ofp.OFPMC_MODIFY if known else ofp.OFPMC_ADD) for meter, known in meters]
        self._send([*mods, *map(self._add, rules)])

    def forget_verdicts(self) -> int:
        """Remove every connection's rule; the table's miss, which matches no protocol, stays."""
        matches = [parser.OFPMatch(eth_type=kind) for kind in _ETHER_TYPES_OF_CONNECTIONS]
        return self._confirmed(
            [
                parser.OFPFlowMod(
                    self._datapath, table_id=Table.VERDICTS, command=ofp.OFPFC_DELETE, match=match, **_ANY_PORT
                )
                for match in matches
            ]
        )

    def _confirmed(self, messages: list[Any]) -> int:
        barrier = parser.OFPBarrierRequest(self._datapath)
        self._send([*messages, barrier])
        return int(barrier.xid)

    def _send(self, messages: list[Any]) -> None:
        """In one piece: the framework's own way is a queue of 16 with a system call for each message."""
        pieces = bytearray()
        for message in messages:
            if message.xid is None:
                self._datapath.set_xid(message)
            message.serialize()
            pieces += message.buf
        self._datapath.send(pieces)

    def _bundle(self, flow_mods: list[Any]) -> Iterator[Any]:
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
    if rule.outputs:
        outputs = [parser.OFPActionOutput(port) for port in rule.outputs]
        yield parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, outputs)
    if rule.metadata is not None:
        yield parser.OFPInstructionWriteMetadata(*rule.metadata)
    if rule.goto is not None:
        yield parser.OFPInstructionGotoTable(rule.goto)


class Call(event.EventBase):  # type: ignore[misc]
    """Something that happened outside OpenFlow, to be seen to by the app's own thread."""

    def __init__(self, function: Callable[..., None], *arguments: Any) -> None:
        super().__init__()
        self.function, self.arguments = function, arguments


class SwitchApp(FrameworkApp):  # type: ignore[misc]
    """An app that sees its switches come, confirm, refuse and go; everything in one thread, so nothing needs a lock."""

    OFP_VERSIONS = (ofp.OFP_VERSION,)

    def __init__(self, *args: Any, settings: Settings, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.settings = settings
        nodes = settings.network.nodes.values()
        self._names = {node.dpid: node.name for node in nodes if node.role.is_openflow}
        self._switches: dict[str, Switch] = {}

    def switch_joined(self, name: str, switch: Switch) -> None:
        """A switch has connected."""
        raise NotImplementedError

    def switch_left(self, name: str) -> None:
        """It is gone, and what was sent may be lost."""
        raise NotImplementedError

    def switch_confirmed(self, name: str, barrier: int) -> None:
        """It has carried out all that was sent before the barrier."""
        raise NotImplementedError

    def switch_refused(self, name: str, refusal: Refusal) -> None:
        """It has refused something that was sent."""
        raise NotImplementedError

    def tell(self, message: Message) -> None:
        """Report to whoever gives the orders; from any thread."""
        raise NotImplementedError

    def call(self, function: Callable[..., None], *arguments: Any) -> None:
        """From any other thread: have the app's thread call `function`."""
        self.send_event(self.name, Call(function, *arguments))

    def call_after(self, seconds: float, function: Callable[..., None], *arguments: Any) -> None:
        """Like `call`, later."""
        timer = threading.Timer(seconds, self.call, (function, *arguments))
        timer.daemon = True
        timer.start()

    @set_ev_cls(Call)  # type: ignore[untyped-decorator]
    def _on_call(self, happened: Call) -> None:
        happened.function(*happened.arguments)

    @set_ev_cls(ofp_event.EventOFPStateChange, [MAIN_DISPATCHER, DEAD_DISPATCHER])  # type: ignore[untyped-decorator]
    def _on_state_change(self, happened: Any) -> None:
        datapath = happened.datapath
        name = self._names.get(datapath.id)
        if name is None:
            if datapath.id is not None:
                text = f"a switch of another topology is connected: datapath {datapath.id:016x}"
                self.tell(Failure(self.settings.name, text))
        elif happened.state == MAIN_DISPATCHER:
            if name in self._switches:
                self.switch_left(name)
            self._switches[name] = Switch(name, datapath)
            self.switch_joined(name, self._switches[name])
        elif self._current(datapath):
            del self._switches[name]
            self.switch_left(name)

    @set_ev_cls(ofp_event.EventOFPBarrierReply, MAIN_DISPATCHER)  # type: ignore[untyped-decorator]
    def _on_barrier_reply(self, happened: Any) -> None:
        if name := self._current(happened.msg.datapath):
            self.switch_confirmed(name, happened.msg.xid)

    @set_ev_cls(ofp_event.EventOFPErrorMsg, MAIN_DISPATCHER)  # type: ignore[untyped-decorator]
    def _on_error(self, happened: Any) -> None:
        if name := self._current(happened.msg.datapath):
            self.switch_refused(name, Refusal(happened.msg))

    def _current(self, datapath: Any) -> str | None:
        """The name of the switch; None of a connection that has been replaced by a newer one."""
        name = self._names.get(datapath.id)
        switch = self._switches.get(name or "")
        return name if switch is not None and switch.is_on(datapath) else None


class _TaskExit(BaseException):
    """Ends an os-ken thread; no exception of an app is one."""


def _mended(receive: Callable[[Any], None]) -> Callable[[Any], None]:
    """With native threads os-ken never tells a connection's sender that the switch is gone, nor then the app."""

    def receive_and_end(datapath: Any) -> None:
        try:
            receive(datapath)
        finally:
            if datapath.send_q is not None:
                datapath.send(b"", close_socket=True)

    return receive_and_end


class _Loud(logging.Handler):
    """The framework only logs an app's exceptions; this tells."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.ERROR)
        self._tell = tell
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(self.format(record))


def run_app(path: str, settings: Settings, deadline_s: float = 10.0) -> SwitchApp:
    """Load the app at `path`, let it listen for switches where `settings` say, and return it at work.

    Whatever goes wrong in it from then on, in any thread, it tells as a `Failure`. Raises `TimeoutError` when it does
    not listen in time. Once a process: the frameworks' applications are the process's.
    """
    if FRAMEWORK == "ryu":
        hub.patch()  # sockets and threads of ours become eventlet's
    else:
        hub.TaskExit = _TaskExit  # it is Exception: a handler that fails would end the app's thread without a word
        controller.Datapath._recv_loop = _mended(controller.Datapath._recv_loop)
    listening = threading.Event()

    class Server(hub.StreamServer):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            listening.set()

    controller.StreamServer = Server
    host, port = settings.posts.openflow[settings.name]
    cfg.CONF(args=[], project="shutdownlab", default_config_files=[])
    cfg.CONF.set_override("ofp_listen_host", host)
    cfg.CONF.set_override("ofp_tcp_listen_port", port)
    manager = AppManager.get_instance()
    manager.load_apps([path])
    contexts = manager.create_contexts()
    logger = logging.getLogger(FRAMEWORK)
    logger.addHandler(_Loud(lambda text: _fail(manager, settings, text)))
    logger.propagate = False
    threading.excepthook = lambda failed: _fail(
        manager, settings, "".join(traceback.format_exception(failed.exc_value))
    )
    manager.instantiate_apps(**contexts, settings=settings)
    if not listening.wait(deadline_s):
        raise TimeoutError(f"{path} does not listen for switches at {host}:{port} after {deadline_s:g} s")
    return _app(manager)


def _app(manager: Any) -> SwitchApp:
    return next(app for app in manager.applications.values() if isinstance(app, SwitchApp))


def _fail(manager: Any, settings: Settings, text: str) -> None:
    sys.stderr.write(f"{settings.name}: {text}\n")
    _app(manager).tell(Failure(settings.name, text))
