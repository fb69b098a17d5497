"""The sandbox keeps everything in, and leaves nothing when it ends, however it ends."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import outside
import pytest

from shutdownlab.system.kernel import MachineCannot
from shutdownlab.system.sandbox import EXIT_CRASHED, run_in_sandbox

USERS = pytest.mark.parametrize("user", ["same", "ordinary"])


@contextmanager
def waiting_lab(user: str, run_dir: Path, target: str = "lab_until_told") -> Iterator[subprocess.Popen[str]]:
    """A lab in another process, up and waiting for a signal."""
    ready = run_dir / "ready"
    argv, env = outside.command(user, f"sandboxed:{target}", {"ready": str(ready)}, run_dir)
    process = subprocess.Popen(argv, env=env, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        outside.wait_until(lambda: ready.exists() or process.poll() is not None, "the lab is up")
        assert ready.exists(), process.stdout and process.stdout.read()
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def machine_state() -> tuple[list[str], list[str]]:
    """The machine's interfaces and mounts."""
    mounts = [
        line.split(" - ")[0].split(maxsplit=3)[3] for line in Path("/proc/self/mountinfo").read_text().splitlines()
    ]
    return sorted(name for _, name in socket.if_nameindex()), sorted(mounts)


@USERS
@pytest.mark.parametrize("killed", ["python", "lab-gate", "lab-init", "lab-worker"])
def test_killing_any_process_of_the_chain_leaves_nothing(user: str, killed: str, tmp_path: Path) -> None:
    before = machine_state()
    with waiting_lab(user, tmp_path) as lab:
        everyone = outside.descendants(lab.pid)
        chain = {outside.names(pid): pid for pid in reversed(everyone)}
        assert {"lab-gate", "lab-init", "lab-worker", "ovsdb-server", "ovs-vswitchd", "sleep"} <= set(chain)
        victim = lab.pid if killed == "python" else chain[killed]
        spaces = outside.namespaces(everyone)
        assert len(spaces) > 8, "the lab has namespaces of its own"
        os.kill(victim, signal.SIGKILL)
        outside.wait_until(
            lambda: not outside.in_namespaces(spaces), f"nothing of the lab runs after kill -9 of {killed}"
        )
        lab.wait(10)
    assert machine_state() == before
    assert [path.name for path in tmp_path.iterdir()] == ["ready"]


@USERS
def test_losing_a_daemon_does_not_keep_the_lab_from_ending_clean(user: str, tmp_path: Path) -> None:
    with waiting_lab(user, tmp_path) as lab:
        everyone = outside.descendants(lab.pid)
        spaces = outside.namespaces(everyone)
        for pid in everyone:
            if outside.names(pid) in ("ovs-vswitchd", "ovsdb-server"):
                os.kill(pid, signal.SIGKILL)
        lab.send_signal(signal.SIGTERM)
        output, _ = lab.communicate(timeout=60)
        assert lab.returncode == 128 + signal.SIGTERM, output
        assert not outside.in_namespaces(spaces)


@USERS
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_lets_the_lab_close_in_good_order(user: str, number: signal.Signals, tmp_path: Path) -> None:
    with waiting_lab(user, tmp_path) as lab:
        spaces = outside.namespaces(outside.descendants(lab.pid))
        lab.send_signal(number)
        output, _ = lab.communicate(timeout=60)
        assert "closed in good order" in output
        assert "Traceback" not in output
        assert lab.returncode == 128 + number
        assert not outside.in_namespaces(spaces)


def test_a_second_signal_ends_a_lab_that_does_not_close(tmp_path: Path) -> None:
    with waiting_lab("same", tmp_path, "deaf") as lab:
        spaces = outside.namespaces(outside.descendants(lab.pid))
        lab.send_signal(signal.SIGINT)
        outside.wait_until((tmp_path / "first").exists, "the first signal is seen")
        assert lab.poll() is None
        lab.send_signal(signal.SIGINT)
        lab.wait(10)
        assert lab.returncode == 128 + signal.SIGINT
        assert not outside.in_namespaces(spaces)


def test_ctrl_c_at_the_terminal_is_one_interrupt(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    argv, env = outside.command("same", "sandboxed:lab_until_told", {"ready": str(ready)}, tmp_path)
    master, slave = pty.openpty()
    process = subprocess.Popen(["setsid", "--ctty", *argv], env=env, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    try:
        outside.wait_until(lambda: ready.exists() or process.poll() is not None, "the lab is up")
        os.write(master, b"\x03")
        assert process.wait(60) == 130
        output = os.read(master, 65536).decode()
    finally:
        process.kill()
        process.wait()
        os.close(master)
    assert "closed in good order" in output
    assert "Traceback" not in output


def test_the_terminal_passes_through(tmp_path: Path) -> None:
    argv, env = outside.command("same", "sandboxed:echo_input", {}, tmp_path)
    master, slave = pty.openpty()
    process = subprocess.Popen(["setsid", "--ctty", *argv], env=env, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    os.write(master, b"hello\n")
    assert process.wait(60) == 0
    output = os.read(master, 65536).decode()
    os.close(master)
    assert "terminal: True, typed: hello" in output


def test_ctrl_c_at_a_prompt_ends_the_command_and_not_the_lab(tmp_path: Path) -> None:
    argv, env = outside.command("same", "sandboxed:prompt", {}, tmp_path)
    master, slave = pty.openpty()
    process = subprocess.Popen(["setsid", "--ctty", *argv], env=env, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    heard = bytearray()

    def say(words: bytes, *until: bytes) -> None:
        """Type, and wait for each of these in turn. What is typed before a prompt is back would be lost."""
        del heard[:]
        os.write(master, words)

        def answered() -> bool:
            if select.select([master], [], [], 0)[0]:
                heard.extend(os.read(master, 65536))
            return re.search(b".*".join(map(re.escape, until)), heard, re.DOTALL) is not None

        outside.wait_until(answered, f"{until!r} after {words!r}; heard: {heard.decode(errors='replace')}")

    mininet, shell = b"mininet> ", b"shell> "
    try:
        say(b"", mininet)
        for _ in range(2):
            say(b"h1 ping 10.9.0.2\n", b"icmp_seq=2")
            say(b"\x03", mininet)
        say(b"h1 echo once mo''re\n", b"once more", mininet)
        say(b"exit\n", shell)
        say(b"ping 10.9.0.2\n", b"icmp_seq=2")
        say(b"\x03", b"packets transmitted", shell)
        say(b"sh -c 'echo aw''ake; exec sleep 1000'\n", b"awake")  # its echo alone would come before it runs
        say(b"\x1a", b"Stopped", shell)
        # bash's wait leaves out a job that it believes to be stopped, and its exit then does not exit
        say(b"kill -CONT %1; kill %1; wait; echo go''ne\n", b"gone", shell)
        os.write(master, b"exit 7\n")
        assert process.wait(60) == 7
    finally:
        process.kill()
        process.wait()
        os.close(master)


@USERS
def test_no_packet_of_a_lab_reaches_an_interface_of_the_machine(user: str, tmp_path: Path) -> None:
    result = tmp_path / "result"
    python, env = outside.machine_of_its_own(user, tmp_path)
    argv = [*python, "-c", "import sandboxed, sys; sandboxed.count_traffic(sys.argv[1])", str(result)]
    done = subprocess.run(argv, env=env, cwd="/", capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(result.read_text())
    assert any(line.strip().startswith("eth0:") for line in seen["before"]["counters"])
    assert seen["after"] == seen["before"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may listen on the machine's interfaces")
def test_nothing_with_a_lab_s_addresses_is_heard_on_the_real_interfaces(tmp_path: Path) -> None:
    sockets_before = open_sockets()
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)) as ear:
        ear.setblocking(False)
        assert run_in_sandbox("sandboxed:make_traffic", {}, run_dir=tmp_path) == 0
        heard = []
        while True:
            try:
                heard.append(ear.recv(65536))
            except BlockingIOError:
                break
    ours = [packet for packet in heard if b"\x0a\x09\x00" in packet[:40] or b"\xfd\x09\x00\x00" in packet[:40]]
    assert not ours
    assert open_sockets() - sockets_before <= {("packet", 0)}


def open_sockets() -> set[tuple[str, int]]:
    """The raw and packet sockets of the machine, by kind and user: what a lab could speak on the wire with."""
    found = set()
    for kind in ("raw", "raw6"):
        found |= {(kind, int(line.split()[7])) for line in Path("/proc/net", kind).read_text().splitlines()[1:]}
    return found


@USERS
def test_two_labs_with_the_same_names_run_side_by_side(user: str, tmp_path: Path) -> None:
    places = [tmp_path / "one", tmp_path / "other"]
    for place in places:
        place.mkdir()
    with waiting_lab(user, places[0]) as one, waiting_lab("same", places[1]) as other:
        for lab in (one, other):
            lab.send_signal(signal.SIGTERM)
        outputs = [lab.communicate(timeout=60)[0] for lab in (one, other)]
    assert all("closed in good order" in output for output in outputs), outputs


@USERS
def test_files_can_be_left_in_the_run_directory_only(user: str, tmp_path: Path) -> None:
    result = tmp_path / "result"
    elsewhere = [
        "/tmp",
        "/run",
        "/var/tmp",
        "/var/log",
        "/dev/shm",
        "/etc",
        "/usr",
        "/var/lib",
        "/root",
        str(Path.home()),
    ]
    name = f"left-{os.getpid()}"
    payload = {
        "directories": [*elsewhere, str(tmp_path)],
        "settings": ["/proc/sys/fs/file-max", "/proc/sys/kernel/panic", "/proc/sys/vm/swappiness"],
        "name": name,
        "result": str(result),
    }
    argv, env = outside.command(user, "sandboxed:write_everywhere", payload, tmp_path)
    done = subprocess.run(argv, env=env, cwd="/", capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    # os.path: False where this user may not look
    assert not [directory for directory in elsewhere if os.path.exists(f"{directory}/{name}")]  # noqa: PTH110
    assert (tmp_path / name).read_text() == "left behind"
    assert set(payload["settings"]) <= set(json.loads(result.read_text()))


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user could not write there anyhow")
def test_the_root_directory_stays_read_only_though_it_is_asked_for(tmp_path: Path) -> None:
    result = tmp_path / "result"
    payload = {"directories": ["/etc", "/usr"], "settings": [], "name": f"left-{os.getpid()}", "result": str(result)}
    assert run_in_sandbox("sandboxed:write_everywhere", payload, run_dir=tmp_path, writable=[Path("/")]) == 0
    assert json.loads(result.read_text()) == ["/etc", "/usr"]


def test_a_program_inside_sees_little_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("http_proxy", "HTTPS_PROXY", "DBUS_SESSION_BUS_ADDRESS"):
        monkeypatch.setenv(variable, "x")
    result = tmp_path / "result"
    assert run_in_sandbox("sandboxed:environment", {"result": str(result)}, run_dir=tmp_path) == 0
    seen = json.loads(result.read_text())
    assert not {"http_proxy", "HTTPS_PROXY", "DBUS_SESSION_BUS_ADDRESS"} & set(seen["variables"])
    assert seen["interfaces"] == ["lo"]
    assert max(seen["processes"]) < 10
    assert set(seen["run"]) <= {"etc", "netns", "tun"}


def test_the_function_s_result_is_the_sandbox_s() -> None:
    assert run_in_sandbox("sandboxed:fail", {"kind": "none"}) == 42


def test_an_exception_inside_is_shown_and_ends_with_70(tmp_path: Path) -> None:
    complaint = tmp_path / "complaint"
    with complaint.open("wb") as stderr:
        assert run_in_sandbox("sandboxed:fail", {"kind": "raise"}, stderr=stderr) == EXIT_CRASHED
    assert "RuntimeError: on purpose" in complaint.read_text()


def test_a_killed_function_ends_with_its_signal() -> None:
    assert run_in_sandbox("sandboxed:fail", {"kind": "kill"}) == 128 + signal.SIGKILL


def test_a_lack_of_the_machine_is_reported_outside_the_sandbox() -> None:
    with pytest.raises(MachineCannot, match=r"cannot fly: it has no wings\. How to fix it: grow some") as told:
        run_in_sandbox("sandboxed:fail", {"kind": "machine"})
    assert told.value.mend == "grow some"


def test_a_machine_without_tun_is_told_how_to_get_it(tmp_path: Path) -> None:
    argv, env = outside.command("same", "sandboxed:fail", {"kind": "none"}, tmp_path)
    become_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    hidden = ["unshare", *become_root, "--mount", "sh", "-c", 'mount -t tmpfs tmpfs /dev/net && exec "$@"', "sh", *argv]
    done = subprocess.run(hidden, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert "MachineCannot: this machine cannot open /dev/net/tun: it does not exist" in done.stderr
    assert "sudo modprobe tun" in done.stderr


def test_a_sandbox_can_be_run_from_a_thread() -> None:
    code = (
        "import threading; from shutdownlab.system.sandbox import run_in_sandbox; got = []\n"
        "t = threading.Thread(target=lambda: got.append(run_in_sandbox('sandboxed:fail', {'kind': 'none'})))\n"
        "t.start(); t.join(); print(got)"
    )
    env = {**os.environ, "PYTHONPATH": f"{outside.HERE}{os.pathsep}{outside.ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "[42]", done.stderr


def test_a_folder_of_the_package_s_name_in_the_working_directory_is_not_taken_for_the_package(tmp_path: Path) -> None:
    (tmp_path / "shutdownlab").mkdir()
    (tmp_path / "shutdownlab" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    code = (
        "import sys; from shutdownlab.system.sandbox import run_in_sandbox; sys.path.insert(0, '')\n"
        "print(run_in_sandbox('sandboxed:fail', {'kind': 'none'}))"
    )
    env = {**os.environ, "PYTHONPATH": f"{outside.HERE}{os.pathsep}{outside.ROOT}"}
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("42\n", "")


@pytest.mark.parametrize(
    "start", [("-c", "from shutdownlab.cli import main; main()"), ("-m", "shutdownlab")], ids=["import", "python -m"]
)
def test_python_in_the_folder_above_a_checkout_finds_the_package(start: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "shutdownlab").symlink_to(outside.ROOT)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, *start, "doctor"]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.endswith("Everything that is needed is here.\n"), done.stdout + done.stderr
