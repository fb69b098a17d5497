"""Runs a private Tor network, or its bridges on another node. Usage: `tor_network.py`, with `network.json` in the
working directory.

One directory authority, which is also a relay, and two more relays (`TestingTorNetwork`: consensus every ten seconds);
bridges start once the authority's consensus has all three. It imports none of our modules, and exits as soon as any of
its tors does. Once every bridge has bootstrapped it listens on the port `ready`.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LOOK_AGAIN_S = 0.1
_RELAYS = 3
_LEADER = "directory-authority"

_COMMON = """\
TestingTorNetwork 1
DataDirectory {home}
Nickname {name}
Address {address}
AssumeReachable 1
ContactInfo nobody
SafeLogging 0
Log notice stdout
SOCKSPort 0
"""
_RELAY = """\
ExitRelay 1
ExitPolicyRejectPrivate 0
ExitPolicy accept *:*
"""
_AUTHORITY = """\
AuthoritativeDirectory 1
V3AuthoritativeDirectory 1
TestingV3AuthInitialVotingInterval 5
TestingV3AuthInitialVoteDelay 2
TestingV3AuthInitialDistDelay 2
V3AuthVotingInterval 10
V3AuthVoteDelay 2
V3AuthDistDelay 2
TestingDirAuthVoteExit *
TestingDirAuthVoteGuard *
TestingDirAuthVoteHSDir *
"""
_BRIDGE = """\
BridgeRelay 1
PublishServerDescriptor 0
ExitRelay 0
"""


@dataclass(slots=True)
class _Tor:
    """A running tor."""

    home: Path
    process: subprocess.Popen[bytes]

    @property
    def bootstrapped(self) -> bool:
        return b"Bootstrapped 100%" in (self.home / "log").read_bytes()


def main() -> int:
    """Serves until one of the tors ends."""
    plan: dict[str, Any] = json.loads(Path("network.json").read_text())
    network = Path(plan["network"])
    running: list[_Tor] = []
    if plan["leads"]:
        running += _core(network, plan["address"], plan["ports"])
        _wait(running, lambda: _relays_known(network / "authority") >= _RELAYS)
    _wait(running, (network / _LEADER).exists)
    authority = (network / _LEADER).read_text()
    bridges = [_bridge(Path(each["home"]), authority, each) for each in plan["bridges"]]
    running += bridges
    _wait(running, lambda: all(tor.bootstrapped for tor in bridges))
    with socket.create_server((plan["address"], plan["ready"])):
        _wait(running, lambda: False)
    return 1


def _core(network: Path, address: str, ports: dict[str, int]) -> list[_Tor]:
    """Starts the authority and two relays; writes the torrc line with which the others find the authority."""
    home = network / "authority"
    keys = home / "keys"
    keys.mkdir(parents=True, mode=0o700)
    files = {"-i": "authority_identity_key", "-s": "authority_signing_key", "-c": "authority_certificate"}
    argv = ["tor-gencert", "--create-identity-key", "-m", "12", "-a", f"{address}:{ports['directory']}"]
    argv += [word for option, name in files.items() for word in (option, str(keys / name))]
    subprocess.run([*argv, "--passphrase-fd", "0"], input=b"\n", check=True, capture_output=True)
    identity = re.search(r"^fingerprint (\w+)$", (keys / files["-c"]).read_text(), re.MULTILINE)
    assert identity is not None
    text = _COMMON.format(home=home, name="authority", address=address) + _RELAY + _AUTHORITY
    text += f"ORPort {address}:{ports['authority']}\nDirPort {address}:{ports['directory']}\n"
    there = f"orport={ports['authority']} no-v2 v3ident={identity[1]} {address}:{ports['directory']}"
    fingerprint = _fingerprint(home, text + f"DirAuthority authority {there} {'0' * 40}\n")
    line = f"DirAuthority authority {there} {fingerprint}\n"
    tors = [_start(home, text + line)]
    for name in ("relay-one", "relay-two"):
        own = _COMMON.format(home=network / name, name=name.replace("-", ""), address=address) + _RELAY
        tors.append(_start(network / name, f"{own}{line}ORPort {address}:{ports[name]}\n"))
    (network / f"{_LEADER}.new").write_text(line)
    (network / f"{_LEADER}.new").rename(network / _LEADER)
    return tors


def _bridge(home: Path, authority: str, plan: dict[str, Any]) -> _Tor:
    text = _COMMON.format(home=home / "tor", name="bridge", address=plan["address"]) + _BRIDGE + authority
    text += f"ORPort {plan['address']}:{plan['or_port']}\n"
    if plan["transport"] == "obfs4":
        text += "ExtORPort auto\nServerTransportPlugin obfs4 exec /usr/bin/obfs4proxy\n"
        text += f"ServerTransportListenAddr obfs4 {plan['address']}:{plan['port']}\n"
    return _start(home / "tor", text)


def _fingerprint(home: Path, text: str) -> str:
    """Returns the fingerprint of the keys that tor generates for a configuration."""
    (home / "torrc").write_text(text)
    argv = ["tor", "-f", str(home / "torrc"), "--list-fingerprint", "--quiet"]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    return (home / "fingerprint").read_text().split()[1]


def _start(home: Path, text: str) -> _Tor:
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    (home / "torrc").write_text(text)
    with (home / "log").open("wb") as log:
        return _Tor(home, subprocess.Popen(["tor", "-f", str(home / "torrc")], stdout=log, stderr=log))


def _relays_known(home: Path) -> int:
    """Returns the number of relays in the authority's consensus."""
    try:
        text = (home / "cached-microdesc-consensus").read_text()
    except FileNotFoundError:
        return 0
    return len(re.findall(r"^r ", text, re.MULTILINE))


def _wait(running: list[_Tor], until: Any) -> None:
    """Waits until `until()` is true; exits the program if one of its tors ends first."""
    while not until():
        for tor in running:
            if tor.process.poll() is not None:
                end = (tor.home / "log").read_text(errors="replace")[-1000:]
                sys.exit(f"the tor in {tor.home.name} ended with status {tor.process.returncode}: {end}")
        time.sleep(_LOOK_AGAIN_S)


if __name__ == "__main__":
    sys.exit(main())
