"""The operators' telephone service: kamailio as SIP registrar and proxy; voice on one port, SMS on another.

The two ports have separate registrations, so that voice can be off while SMS works, and vice versa. Media flows
directly between subscribers. Any caller may register any number: authentication is outside the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from shutdownlab.config.addresses import Address
from shutdownlab.model.network import Network, Role
from shutdownlab.model.telephony import SMS, VOICE
from shutdownlab.servers.daemon import Daemon, Listening
from shutdownlab.servers.server import Premises, Server

_MODULES = ("tm", "sl", "rr", "pv", "maxfwd", "usrloc", "registrar", "siputils", "textops")
_SHARED_MEGABYTES = 8
_PRIVATE_MEGABYTES = 4

_ROUTE = """
request_route {
  if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
  if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; }
  if (has_totag()) {
    if (loose_route()) { t_relay(); exit; }
    if (is_method("ACK") && t_check_trans()) t_relay();
    if (!is_method("ACK")) sl_send_reply("404", "Not here");
    exit;
  }
  t_check_trans();
  if (is_method("OPTIONS") && $rU == $null) { sl_send_reply("200", "OK"); exit; }
  if ($Rp == SMS_PORT) route(SMS_SERVICE); else route(VOICE_SERVICE);
}

route[VOICE_SERVICE] {
  if (is_method("REGISTER")) { save("voice"); exit; }
  if (!is_method("INVITE")) { sl_send_reply("405", "Method Not Allowed"); exit; }
  record_route();
  if (!lookup("voice")) { sl_send_reply("404", "Not Found"); exit; }
  t_relay();
  exit;
}

route[SMS_SERVICE] {
  if (is_method("REGISTER")) { save("sms"); exit; }
  if (!is_method("MESSAGE")) { sl_send_reply("405", "Method Not Allowed"); exit; }
  if (!lookup("sms")) { sl_send_reply("404", "Not Found"); exit; }
  t_relay();
  exit;
}
"""


class TelephoneServers(Server):
    """The operators' telephone services."""

    order = 30

    def daemons(self, premises: Premises) -> Iterator[Daemon]:
        return daemons(premises.network, premises.directory)


def daemons(network: Network, directory: Path) -> Iterator[Daemon]:
    """Yields a kamailio for every operator."""
    for node in network.by_role(Role.TELEPHONE):
        addresses = node.addresses
        home = directory / f"kamailio-{node.name}"
        memory = ("-m", str(_SHARED_MEGABYTES), "-M", str(_PRIVATE_MEGABYTES))
        # -DD: the first process stays in the foreground, the others are its children. -Y: the directory of its sockets.
        argv = (
            "kamailio",
            "-DD",
            "-E",
            *memory,
            "-f",
            str(home / "kamailio.cfg"),
            "-P",
            str(home / "pid"),
            "-Y",
            str(home),
        )
        sockets = frozenset(Listening("udp", a, port) for a in addresses for port in (VOICE.first, SMS.first))
        yield Daemon("kamailio", node.name, argv, home, {"kamailio.cfg": kamailio_config(addresses)}, sockets)


def kamailio_config(addresses: Iterable[Address]) -> str:
    """Returns the configuration of one operator's service."""
    hosts = [f"[{address}]" if address.version == 6 else str(address) for address in addresses]
    lines = [
        "#!KAMAILIO",
        f"#!define SMS_PORT {SMS.first}",
        "debug=1",
        "log_stderror=yes",
        "children=1",
        "disable_tcp=yes",
        "dns=no",
        "use_dns_cache=no",
        "auto_aliases=no",
        'server_header="Server: telephone service"',
        *(f"listen=udp:{host}:{port}" for host in hosts for port in (VOICE.first, SMS.first)),
        *(f'loadmodule "{module}.so"' for module in _MODULES),
        'modparam("usrloc", "db_mode", 0)',
        'modparam("usrloc", "hash_size", 4)',
        'modparam("tm", "fr_timer", 5000)',
        'modparam("tm", "fr_inv_timer", 30000)',
    ]
    return "\n".join(lines) + "\n" + _ROUTE
