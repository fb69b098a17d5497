"""Runs a scenario in its own sandbox: the entry point of `sl.run` and of the command line."""

from __future__ import annotations

import math
import signal
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shutdownlab import library
from shutdownlab.config.beside import at_home
from shutdownlab.control.ryu import RyuPython, ryu_python
from shutdownlab.country.attach_socket import offered
from shutdownlab.country.limits import check_room
from shutdownlab.library import Shutdown
from shutdownlab.model import lookup
from shutdownlab.model.programs import allowed
from shutdownlab.results.cells import cells_of
from shutdownlab.results.directory import mark_ended
from shutdownlab.results.events import Ending, Listener, PhaseMeasured
from shutdownlab.results.exit_codes import EXIT_BROKEN
from shutdownlab.results.holding import hold
from shutdownlab.results.manifest import FORMAT, Openflow
from shutdownlab.results.place import RUNS, new_directory, usable
from shutdownlab.results.run import Run
from shutdownlab.results.selection import SELECTION, Selection
from shutdownlab.runner.breaks import EXIT_REBUILD, MOST_ATTEMPTS
from shutdownlab.runner.event_stream import EventReader
from shutdownlab.system.child_process import ending
from shutdownlab.system.limits import Room
from shutdownlab.system.sandbox import run_in_sandbox
from shutdownlab.verifier.sampling import share_of

if TYPE_CHECKING:  # what builds a country is for the sandbox's own process: here it would be a second of a processor
    from shutdownlab.network.datapath import Wish

SAMPLE: Final = 0.05
"""The default share of unchanged cells that is measured with `changed_since`."""


class RunFailed(Exception):
    """A run that did not finish: the country did not come up, something in it broke, or shutdownlab has a bug.

    `run`: its partial results; see its `status`, `faults` and logs. `exit_code`: the command's exit code. `how`: how it
    was killed, or "".
    """

    def __init__(self, run: Run, exit_code: int, how: str = "") -> None:
        super().__init__(f"the run in {run.path} {how or 'ended: ' + run.status}")
        self.run = run
        self.exit_code = exit_code
        self.how = how


def run(
    scenario: Shutdown | str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    *,
    until: str | None = None,
    choose: Mapping[str, str] | None = None,
    real_time: float | None = None,
    pcap: bool = False,
    keys: bool = False,
    observe: bool = False,
    sample: float | None = None,
    seed: int = 0,
    datapath: Wish = "auto",
    openflow: Openflow = "os-ken",
    ryu_python: str | Path | None = None,
    trust: bool = False,
    force: bool = False,
    keep_open: bool = False,
    changed_since: str | Path | None = None,
    on_event: Listener | None = None,
) -> Run:
    """Runs a scenario: builds the country, walks the timeline, measures every phase, checks the expectations.

    scenario: any argument of `load`, or its return value.
    out: a new directory for the results; None: `runs/NAME-TIME`.
    until: stop after this phase.
    choose: the option to follow, by account (a question on which sources conflict); others have their defaults.
    real_time: play by the clock, this many times as fast as the events were; None: jump from phase to phase.
    pcap: record the packets that every switch receives.
    keys: with `pcap`, also record TLS secrets of the lab's clients, in the captures and as NSS key logs beside them.
    observe: also observe the country from abroad, and keep the readings (`readings.csv`, `observations`).
    sample: of phases that repeat earlier cells, the share in which these are measured again, 0 to 1. In the others they
        are held, as rows and manifest state. None: everything is measured.
    seed: seed of everything random.
    datapath: Open vSwitch's datapath, "auto", "kernel" or "userspace".
    openflow: the framework that controllers run under, "os-ken" or "ryu".
    ryu_python: the Python that has Ryu; None: that of the environment which `scripts/environment ryu` makes beside this
        one.
    trust: start the programs that the scenario brings along (servers, controllers, commands) inside the sandbox;
        without it, a scenario that brings any is refused.
    force: replace a run that is in `out`; a directory with anything else in it is still refused.
    keep_open: after the run, hand this process's terminal over to the command line of `lab`, in the country as the last
        phase left it, and return when that ends.
    changed_since: measure only cells whose outcome differs, by the model, from this: a scenario (also REVISION:PATH or
        a REVISION of git) or the directory of a run. Phases without such cells are skipped, and results that are not
        measured have the certainty `held`. `sample` is then the share of the other cells of the measured phases that is
        measured too, drawn by the seed (None: 0.05).
    on_event: called with each event (see `shutdownlab.results.events`) as it happens, one at a time, in a thread of its
        own; an exception from it ends the run and is raised here.

    Returns the `Run`, whether or not expectations were met: see its `unmet`. Raises `BadInput` (nothing was run),
    `MachineCannot` (this machine lacks something), `RunFailed` (it did not finish; its measurements are kept), and
    KeyboardInterrupt. Thread-safe; several runs may be in progress at once.
    """
    shutdown = scenario if isinstance(scenario, Shutdown) else library.load(scenario)
    choices = lookup.choices_of(shutdown.scenario, choose or {}, "choose")
    if until is not None:
        lookup.phase_named(shutdown.scenario, until, "until")
    if real_time is not None and not 0 < real_time < math.inf:
        lookup.refuse("real_time", f"{real_time:g}", "a number above 0, such as 60 for a minute a second")
    if keys and not pcap:
        lookup.refuse("keys", "keys without pcap", "pcap as well: the secrets are added to the captures")
    if out == "":  # as a Path, the current directory
        lookup.refuse("out", "an empty name", "a directory that can be written, or None for a new one")
    share_of(sample, "sample")
    keep = allowed(shutdown.programs, trust=trust)
    selection, selected = _selected(shutdown, choices, until, changed_since, sample, seed)
    ryu = ryu_python_of(openflow, ryu_python)
    _check_room(shutdown, Path(out) if out is not None else RUNS)
    directory = usable(Path(out), force=force) if out is not None else new_directory(shutdown.scenario)
    payload = {
        "shutdown": shutdown,
        "choices": choices,
        "directory": directory.resolve(),
        "real_time": real_time,
        "until": until,
        "pcap": pcap,
        "keys": keys,
        "observe": observe,
        "sample": sample,
        "seed": seed,
        "datapath": datapath,
        "ryu": ryu,
        **selected,
    }
    if selection is not None:
        (directory / SELECTION).write_text(selection.model_dump_json(indent=2) + "\n")
    if not keep_open:
        return _run_of(directory, _in_sandbox(payload, directory, keep, on_event))
    with offered(shutdown.scenario.name) as found:
        payload |= {"keep": True, "offered": found}
        return _run_of(directory, _in_sandbox(payload, directory, keep, on_event))


def resume(
    path: str | Path,
    *,
    scenario: Shutdown | Mapping[str, Any] | None = None,
    trust: bool = False,
    on_event: Listener | None = None,
) -> Run:
    """Continues a run that was interrupted, killed or broken, after its last complete phase, with the same results.

    path: the run's directory. scenario: the same as before, if a program created it; otherwise it is loaded again by
    the name or path in the manifest. trust, on_event: as for `run`; the events of the phases that are already measured
    come first.

    Returns and raises as `run` does. `BadInput`: it has finished or is still running, or the scenario has changed.
    """
    directory = Path(path)
    before = Run.open(directory)
    manifest = before.manifest
    if before.status == "verified":  # resumed, the model's results would pass for measured ones
        hint = f"with packets it is `shutdownlab run {manifest.get('source') or 'SCENARIO'}`"
        lookup.refuse(str(path), "what `verify` wrote", "a run that was interrupted, killed or broke off", hint)
    if before.status in {"finished", "running"} or manifest.get("format") != FORMAT:
        found = f"a run that is {before.status}" if manifest.get("format") == FORMAT else "a run of version 0.1"
        lookup.refuse(str(path), found, "one that was interrupted, killed or broke off", "start another with `run`")
    if scenario is None and not manifest.get("source"):
        lookup.refuse(
            str(path), "a run of a scenario made by a program", "that scenario again: resume(path, scenario=…)"
        )
    given = manifest["source"] if scenario is None else scenario
    shutdown = given if isinstance(given, Shutdown) else library.load(given, set=manifest.get("settings"))
    if shutdown.digest != manifest.get("digest"):
        hint = "or its topology, apps, profiles or lists have changed; start another run with `run`"
        lookup.refuse(str(path), "a scenario that has changed since", "the scenario that the run began with", hint)
    ryu = manifest.get("ryu_python")
    payload = {
        "shutdown": shutdown,
        "directory": directory.resolve(),
        "keys": manifest.get("keys", False),
        "observe": manifest.get("observe", False),
        "sample": manifest.get("sample"),
        **{name: manifest[name] for name in ("choices", "real_time", "until", "pcap", "seed", "datapath")},
        "ryu": ryu_python_of(manifest.get("openflow", "os-ken"), at_home(ryu) if ryu else None),
        "resume": True,
        **_selected_before(directory, shutdown, manifest),
    }
    keep = allowed(shutdown.programs, trust=trust)
    _check_room(shutdown, directory)
    if on_event is not None:
        for event in before.events():
            if isinstance(event, PhaseMeasured) and event.phase not in manifest["rows"]:
                break  # the manifest does not count the phase as measured
            if not isinstance(event, Ending):
                on_event(event)
    return _run_of(directory, _in_sandbox(payload, directory, keep, on_event))


def _selected(
    shutdown: Shutdown,
    choices: Mapping[str, str],
    until: str | None,
    since: str | Path | None,
    sample: float | None,
    seed: int,
) -> tuple[Selection | None, dict[str, Any]]:
    """Returns the cells to measure, and the run's options for it with the others' results; (None, {}) for all cells."""
    if since is None:
        return None, {}
    from shutdownlab import comparison

    share = SAMPLE if sample is None else sample
    phases = _phases_to(shutdown, until)
    selection, held = comparison.changed_since(since, shutdown, choices, phases, sample=share, seed=seed)
    return selection, {"changed_since": str(since), "sample": share, "held": held}


def _selected_before(directory: Path, shutdown: Shutdown, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Returns these options for a resumed run, by the selection that it began with; raises `BadInput`."""
    if not manifest.get("changed_since"):
        return {}
    from shutdownlab import comparison
    from shutdownlab.verifier.verify import verify

    try:
        selection = Selection.model_validate_json((directory / SELECTION).read_bytes())
    except (OSError, ValueError) as error:
        found = "cannot be read" if isinstance(error, OSError) else "is not what the run wrote"
        lookup.refuse(
            str(directory), f"{SELECTION}, which {found}", "the file as it was", "start another run with `run`"
        )
    phases = _phases_to(shutdown, manifest["until"])
    verified = verify(shutdown, choose=manifest["choices"])
    return {"changed_since": selection.changed_since, "held": comparison.held_of(selection, verified, phases)}


def _phases_to(shutdown: Shutdown, until: str | None) -> list[str]:
    names = [phase.phase for phase in shutdown.scenario.timeline]
    return names[: names.index(until) + 1] if until else names


def _check_room(shutdown: Shutdown, directory: Path) -> None:
    """Raises `BadInput` if this process's limits are too low for the run, or the disk has no room for its record."""
    cells = sum(1 for phase in shutdown.scenario.timeline for _ in cells_of(shutdown, phase))
    check_room(shutdown.network, Room.here(directory), cells)


def ryu_python_of(openflow: Openflow, given: str | Path | None) -> RyuPython | None:
    """Returns the Python that runs controllers under Ryu; None if they run under os-ken, in this one."""
    if openflow == "ryu":
        return ryu_python(given)
    if given is not None:
        lookup.refuse("ryu_python", f"{given} without openflow ryu", "both or neither")
    return None


def _run_of(directory: Path, status: int) -> Run:
    """Returns the run after its sandbox exited with `status`; raises `RunFailed` or KeyboardInterrupt."""
    if status in {128 + signal.SIGINT, 128 + signal.SIGTERM, 128 + signal.SIGHUP}:
        raise KeyboardInterrupt
    finished = Run.open(directory)
    if finished.status == "killed":
        unrecorded = status == EXIT_BROKEN  # it reported its end, but could not record it
        mark_ended(directory, "broken" if unrecorded else "killed")
        how = "" if unrecorded else ending(-(status - 128) if status > 128 else status)
        raise RunFailed(Run.open(directory), EXIT_BROKEN, how)
    if finished.status != "finished":
        raise RunFailed(finished, status)
    return finished


def _in_sandbox(payload: dict[str, Any], directory: Path, keep: tuple[Path, ...], on_event: Listener | None) -> int:
    """Runs in as many countries as necessary, each in its own sandbox; returns the last one's exit status."""
    with ExitStack() as stack:
        fds: tuple[int, ...] = ()
        ear = None
        if on_event is not None:
            near, far = (stack.enter_context(end) for end in socket.socketpair())
            payload["events_fd"] = far.fileno()
            fds = (far.fileno(),)
            ear = EventReader(near, on_event)
            ear.start()
        holding = hold(directory)
        try:
            status = _in_countries(payload, directory, keep, fds)
        finally:
            holding.close()
            if ear is not None:
                far.close()
                ear.join()
        if ear is not None and ear.raised is not None:
            raise ear.raised
        return status


def _in_countries(payload: dict[str, Any], directory: Path, keep: tuple[Path, ...], fds: tuple[int, ...]) -> int:
    attempts, measured = 0, -1
    if payload["ryu"] is not None:
        keep += payload["ryu"].keep
    writable = []
    if payload.get("keep"):  # as in a lab
        writable.append(Path.cwd())
        fds += (payload["offered"].descriptor,) if payload["offered"].descriptor >= 0 else ()
    while True:
        status = run_in_sandbox(
            "shutdownlab.runner.run:inside", payload, run_dir=directory, keep=keep, writable=writable, pass_fds=fds
        )
        if status != EXIT_REBUILD:
            return status
        manifest = Run.open(directory).manifest
        now = len(manifest.get("rows", {}))
        attempts = 1 if now > measured else attempts + 1
        measured = now
        given_up = tuple(manifest.get("faults", ())[-1:]) if attempts >= MOST_ATTEMPTS else ()
        payload |= {"resume": True, "given_up": given_up}
