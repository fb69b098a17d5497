"""The OpenFlow framework: os-ken, or the original Ryu 4.34, its predecessor. The only module that imports them.

`SHUTDOWNLAB_OPENFLOW=ryu` in the environment selects Ryu (Python 3.11 and older). Ryu uses eventlet's threads, which
must replace Python's before anything else is imported: a program that may run under Ryu imports this module first.
"""

from __future__ import annotations

import importlib
import os

FRAMEWORK = os.environ.get("SHUTDOWNLAB_OPENFLOW", "os_ken")
"""The framework's package: `os_ken` or `ryu`."""

if FRAMEWORK == "ryu":
    os.environ.setdefault("EVENTLET_NO_GREENDNS", "yes")  # we look up no names
    importlib.import_module("eventlet").monkey_patch()
    # Ryu imports this name for its web server, which we do not use; newer versions of eventlet lack it.
    vars(importlib.import_module("eventlet.wsgi")).setdefault("ALREADY_HANDLED", None)
    from ryu import cfg
    from ryu.base.app_manager import AppManager
    from ryu.base.app_manager import RyuApp as App
    from ryu.controller import controller, event, ofp_event
    from ryu.controller.handler import DEAD_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
    from ryu.lib import hub
    from ryu.ofproto import ofproto_v1_3 as ofp
    from ryu.ofproto import ofproto_v1_3_parser as parser
else:
    from os_ken import cfg
    from os_ken.base.app_manager import AppManager
    from os_ken.base.app_manager import OSKenApp as App
    from os_ken.controller import controller, event, ofp_event
    from os_ken.controller.handler import DEAD_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
    from os_ken.lib import hub
    from os_ken.ofproto import ofproto_v1_3 as ofp
    from os_ken.ofproto import ofproto_v1_3_parser as parser

__all__ = [
    "DEAD_DISPATCHER",
    "FRAMEWORK",
    "MAIN_DISPATCHER",
    "App",
    "AppManager",
    "cfg",
    "controller",
    "event",
    "hub",
    "ofp",
    "ofp_event",
    "parser",
    "set_ev_cls",
]
