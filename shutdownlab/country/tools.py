"""Makes Open vSwitch's and BIRD's own commands find the daemons of a running country, which use other sockets.

A switch is named as in the topology, whichever Open vSwitch instance has it; `birdc` on a router connects to that
router's daemon.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from shutdownlab.network.net import EmulatedNetwork
from shutdownlab.network.ovs import LabSwitch
from shutdownlab.servers.start import SYSTEM_PROGRAMS, Services

_OFCTL = "ovs-ofctl"
_OVS = (_OFCTL, "ovs-appctl", "ovs-vsctl", "ovs-dpctl", "ovsdb-client")
_BIRD_CONTROL = "SHUTDOWNLAB_BIRD"

_FIND = """\
#!/bin/sh
# {program} for the Open vSwitch instance of the switch that is named.
found= version= asked=
for word; do
  shift
  case $word in
  -O*|--protocols*) asked=y ;;
{cases}
  esac
  set -- "$@" "$word"
done
"""
_SPEAK = """\
if [ "$version" ] && [ ! "$asked" ]; then set -- -O "$version" "$@"; fi
"""
"""ovs-ofctl defaults to OpenFlow 1.0, which these switches do not speak."""
_EACH = """\
if [ "$found$OVS_RUNDIR" ]; then exec {program} "$@"; fi
for instance in {instances}; do
  echo "# $(basename "$instance")"
  OVS_RUNDIR=$instance OVS_DBDIR=$instance {program} "$@"
done
"""
_BIRDC = """\
#!/bin/sh
if [ -z "${variable}" ]; then
  echo "birdc: which router's? For example: {example} birdc show protocols" >&2
  exit 1
fi
exec {program} -s "${variable}" "$@"
"""


def add_tools(net: EmulatedNetwork, services: Services, folder: Path) -> None:
    """Writes the commands into `folder` and puts it first on this process's PATH."""
    folder.mkdir()
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), SYSTEM_PROGRAMS])
    routers = []
    for daemon in services.daemons:
        if daemon.name == "bird" and daemon.control is not None:
            net.get(daemon.node).variables[_BIRD_CONTROL] = str(daemon.control)
            routers.append(daemon.node)
    switches = [switch for switch in net.switches if isinstance(switch, LabSwitch)]
    for program in _OVS:
        if found := shutil.which(program, path=path):
            _write(folder / program, _for_switches(found, switches))
    if routers and (found := shutil.which("birdc", path=path)):
        text = _BIRDC.format(variable=_BIRD_CONTROL, program=shlex.quote(found), example=routers[0])
        _write(folder / "birdc", text)
    os.environ["PATH"] = os.pathsep.join([str(folder), path])


def _for_switches(program: str, switches: list[LabSwitch]) -> str:
    instances = list(dict.fromkeys(switch.environment()["OVS_RUNDIR"] for switch in switches))
    text = _FIND.format(program=Path(program).name, cases="\n".join(_cases(switches)))
    speak = _SPEAK if Path(program).name == _OFCTL else ""
    return text + speak + _EACH.format(program=shlex.quote(program), instances=shlex.join(instances))


def _cases(switches: list[LabSwitch]) -> Iterator[str]:
    for switch in switches:
        place = shlex.quote(switch.environment()["OVS_RUNDIR"])
        yield (
            f"  {shlex.quote(switch.name)}) found=y word={shlex.quote(switch.bridge)}; "
            f"version={shlex.quote(switch.protocols or '')}; export OVS_RUNDIR={place} OVS_DBDIR={place} ;;"
        )


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
