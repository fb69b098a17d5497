"""The base of a controller app: os-ken's (or Ryu's) events as calls in one thread, with every failure reported."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from shutdownlab.control.framework import (
    DEAD_DISPATCHER,
    FRAMEWORK,
    MAIN_DISPATCHER,
    App,
    AppManager,
    cfg,
    controller,
    event,
    hub,
    ofp,
    ofp_event,
    set_ev_cls,
)
from shutdownlab.control.openflow import Refusal, Switch
from shutdownlab.control.settings import ControllerSettings
from shutdownlab.protocol.messages import Failure, Message


class AppCall(event.EventBase):  # type: ignore[misc]
    """A function to be called in the app's own thread, for events outside OpenFlow."""

    def __init__(self, function: Callable[..., None], *arguments: Any) -> None:
        super().__init__()
        self.function, self.arguments = function, arguments


class SwitchApp(App):  # type: ignore[misc]
    """An app with callbacks for a switch that connects, confirms, refuses or leaves; in one thread, without locks."""

    OFP_VERSIONS = (ofp.OFP_VERSION,)

    def __init__(self, *args: Any, settings: ControllerSettings, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.settings = settings
        nodes = settings.network.nodes.values()
        self._names = {node.dpid: node.name for node in nodes if node.role.is_openflow}
        self._switches: dict[str, Switch] = {}

    def switch_joined(self, name: str, switch: Switch) -> None:
        """Called when a switch has connected."""
        raise NotImplementedError

    def switch_left(self, name: str) -> None:
        """Called when a switch's connection is lost; messages sent may be lost."""
        raise NotImplementedError

    def switch_confirmed(self, name: str, barrier: int) -> None:
        """Called when a switch has applied all messages before the barrier."""
        raise NotImplementedError

    def switch_refused(self, name: str, refusal: Refusal) -> None:
        """Called when a switch has refused a message."""
        raise NotImplementedError

    def tell(self, message: Message) -> None:
        """Sends a report to the source of the orders; may be called from any thread."""
        raise NotImplementedError

    def call(self, function: Callable[..., None], *arguments: Any) -> None:
        """Calls `function` in the app's thread; may be called from any other thread."""
        self.send_event(self.name, AppCall(function, *arguments))

    def call_after(self, seconds: float, function: Callable[..., None], *arguments: Any) -> None:
        """Like `call`, after `seconds`."""
        timer = threading.Timer(seconds, self.call, (function, *arguments))
        timer.daemon = True
        timer.start()

    @set_ev_cls(AppCall)  # type: ignore[untyped-decorator]
    def _on_call(self, happened: AppCall) -> None:
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
        """Returns the name of the switch; None for a connection that has been replaced by a newer one."""
        name = self._names.get(datapath.id)
        switch = self._switches.get(name or "")
        return name if switch is not None and switch.is_on(datapath) else None


class _TaskExit(BaseException):
    """Ends an os-ken thread; never raised by an app."""


def _mended(receive: Callable[[Any], None]) -> Callable[[Any], None]:
    """Fixes os-ken with native threads, where a lost connection never ends its sender thread, nor reaches the app."""

    def receive_and_end(datapath: Any) -> None:
        try:
            receive(datapath)
        finally:
            if datapath.send_q is not None:
                datapath.send(b"", close_socket=True)

    return receive_and_end


class _Loud(logging.Handler):
    """Reports the framework's error log, such as exceptions in an app."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.ERROR)
        self._tell = tell
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(self.format(record))


def run_app(path: str, settings: ControllerSettings, deadline_s: float = 10.0) -> SwitchApp:
    """Loads the app at `path`, makes it listen for switches at the address in `settings`, and returns it, running.

    Later errors in any of its threads are reported as a `Failure`. Raises `TimeoutError` if it does not listen in time.
    Call it once per process: the frameworks' applications are global.
    """
    if FRAMEWORK == "os_ken":
        hub.TaskExit = _TaskExit  # it is Exception: a failing handler would end the app's thread silently
        controller.Datapath._recv_loop = _mended(controller.Datapath._recv_loop)
    listening = threading.Event()

    class Server(hub.StreamServer):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            listening.set()

    controller.StreamServer = Server
    host, port = settings.addresses.openflow[settings.name]
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
    app = _app(manager)
    assert app is not None, f"{path} has no SwitchApp"
    return app


def _app(manager: Any) -> SwitchApp | None:
    return next((app for app in manager.applications.values() if isinstance(app, SwitchApp)), None)


def _fail(manager: Any, settings: ControllerSettings, text: str) -> None:
    sys.stderr.write(f"{settings.name}: {text}\n")
    if app := _app(manager):
        app.tell(Failure(settings.name, text))
