"""The built-in kinds of probes: what a scenario may say of each, and what its agent is asked.

None of its modules imports a network library, so that a scenario is checked quickly; the functions that measure are in
the modules named by `runs`.
"""

from shutdownlab.probes.kinds.apps import App, AppTargets, Target
from shutdownlab.probes.kinds.hosts import Destination, Dns, Echoes, NameQuestion, Ping, Tcp, Tls, Vpn
from shutdownlab.probes.kinds.pages import Download, Http3, Page, Throughput, Web
from shutdownlab.probes.kinds.programs import Command, Execution
from shutdownlab.probes.kinds.telephones import Call, Sms, TelephoneLine, TelephoneLines

__all__ = [
    "App",
    "AppTargets",
    "Call",
    "Command",
    "Destination",
    "Dns",
    "Download",
    "Echoes",
    "Execution",
    "Http3",
    "NameQuestion",
    "Page",
    "Ping",
    "Sms",
    "Target",
    "Tcp",
    "TelephoneLine",
    "TelephoneLines",
    "Throughput",
    "Tls",
    "Vpn",
    "Web",
]
