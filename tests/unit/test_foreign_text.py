"""What a user calls things reaches no other program's configuration, in whatever that program's syntax is."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from rich.console import Console

from shutdownlab import library
from shutdownlab.config.problems import BadInput
from shutdownlab.config.writing import dump
from shutdownlab.inspection.apps import App, Endpoint
from shutdownlab.model.layout import lay_out
from shutdownlab.model.network import Network
from shutdownlab.model.topology import Topology
from shutdownlab.reporting.graph import draw
from shutdownlab.reporting.literal import literal
from shutdownlab.servers.daemon import Daemon
from shutdownlab.servers.server import Premises
from shutdownlab.servers.start import plan
from shutdownlab.servers.tls import CertificateAuthority

MARK = "zqxj"
SYNTAXES = {
    "bird": 'x\ninclude "/etc/passwd";\n}',
    "nginx": 'x"; } } include /etc/passwd; server { #',
    "nginx variables": "x$uri\\;",
    "unbound, nsd": 'x"\n  include: "/etc/passwd"\nserver:',
    "kamailio": 'x\n#!define A 1\nloadmodule "exec.so"\n#!',
    "openvpn": "x\nup /bin/sh\n</ca>",
    "zone file": "x\n$INCLUDE /etc/passwd\n@ A 192.0.2.1 ;",
    "HTML": "</title><script>x</script><!--",
    "JSON": '"}, {"x": "',
}
CHECKS = {
    "bird": ("bird", "-p", "-c", "bird.conf"),
    "nsd": ("nsd-checkconf", "nsd.conf"),
    "kamailio": ("kamailio", "-c", "-f", "kamailio.cfg"),
    "nginx": ("nginx", "-t", "-q", "-e", "stderr", "-p", ".", "-c", "nginx.conf"),
}
SYSTEM = "/usr/sbin:/sbin:/usr/bin:/bin"


def texts(data: Any, annotation: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place of a document that its model has plain text for, given or not."""
    if annotation is str or str in get_args(annotation):
        yield path
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and isinstance(data, dict):
        for name, info in annotation.model_fields.items():
            key = info.alias or name
            yield from texts(data.get(key), info.annotation, (*path, key))
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from texts(value, get_args(annotation)[1], (*path, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from texts(value, get_args(annotation)[0], (*path, index))


def put(data: Any, path: tuple[str | int, ...], text: str) -> Any:
    changed = json.loads(json.dumps(data))
    holder = changed
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = text
    return changed


@pytest.fixture(scope="module")
def free() -> list[tuple[str | int, ...]]:
    """The places of a topology where any text at all is taken."""
    plain = dump(library.topology("two-operators"))
    found = []
    for path in texts(plain, Topology):
        try:
            library.topology(put(plain, path, f"{MARK}\n\"'"))
        except BadInput:
            continue
        found.append(path)
    return found


def hostile(syntax: str, free: list[tuple[str | int, ...]]) -> Network:
    """A country in which everything that may be called anything is called so, an app that is hosted among it."""
    text = f"{MARK} {syntax} {MARK}"
    title = "".join(char for char in text if char.isprintable() or char == "\n")
    data = dump(library.topology("two-operators"))
    for path in free:
        data = put(data, path, title if path[-1] == "title" else text)
    data["transits"]["transit-one"]["serves"].append(text)
    endpoint = Endpoint(names=("own.example",), ports=("https/443", "h3/443", "openvpn/1194"))  # type: ignore[arg-type]
    own = App(title=title, category=text, source=text, endpoints=(endpoint,))
    return lay_out(Topology.model_validate(data), {**library.catalogue(), text: own})


@pytest.fixture(scope="module")
def ca() -> CertificateAuthority:
    return CertificateAuthority()


def configurations(daemons: list[Daemon]) -> Iterator[tuple[str, str]]:
    for daemon in daemons:
        for name, content in daemon.files.items():
            yield f"{daemon.title}: {name}", content if isinstance(content, str) else content.decode("latin-1")


def test_the_texts_of_a_topology_are_found(free: list[tuple[str | int, ...]]) -> None:
    assert {("title",), ("summary",), ("gateway", "title"), ("operators", "northnet", "title")} <= set(free)
    assert ("name",) not in free
    assert ("operators", "northnet", "transit", 0) not in free


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
def test_no_servers_configuration_has_any_of_a_users_texts(
    syntax: str, free: list[tuple[str | int, ...]], ca: CertificateAuthority
) -> None:
    daemons = list(plan(Premises(hostile(syntax, free), ca, Path("/lab"), Path("/run/lab"))))
    for name, text in configurations(daemons):
        if name.endswith(".html"):
            assert syntax not in text or not set(syntax) & set("<>&\"'"), name
        elif name.endswith("sites.json"):
            json.loads(text)
        else:
            assert MARK not in text, name


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
def test_a_servers_own_checker_takes_what_is_written_for_it_wherever_that_is(
    syntax: str, free: list[tuple[str | int, ...]], ca: CertificateAuthority, tmp_path: Path
) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    daemons = list(plan(Premises(hostile(syntax, free), ca, tmp_path / 'a "run"; {', runtime)))
    tried = []
    for name, argv in CHECKS.items():
        program = shutil.which(argv[0], path=SYSTEM)
        daemon = next(daemon for daemon in daemons if daemon.name == name)
        if program is None:
            continue
        daemon.write()
        done = subprocess.run([program, *argv[1:]], cwd=daemon.directory, capture_output=True, text=True, timeout=60)
        # nginx also tries to listen, on addresses that only the laboratory has.
        listens = name == "nginx" and "bind() to" in done.stderr
        assert done.returncode == 0 or listens, f"{argv[0]}: {done.stdout}{done.stderr}"
        tried.append(name)
    if not tried:
        pytest.skip("none of the servers is installed here")


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
def test_a_drawing_is_xml_whatever_it_shows(syntax: str, free: list[tuple[str | int, ...]]) -> None:
    from xml.etree import ElementTree

    assert ElementTree.fromstring(draw(hostile(f"{syntax}\x1b\0", free))).tag.endswith("svg")


@pytest.mark.parametrize("text", ["[/red]", "[bold]", "\\", "[[x]", "[@click=x]y[/]", "a\x1b[2J\nb", "[link=x]"])
def test_text_that_is_not_ours_is_printed_as_it_is_and_orders_the_terminal_nothing(text: str) -> None:
    console = Console(color_system=None, width=200)
    with console.capture() as printed:
        console.print(f"[bold]{literal(text)}[/bold]!")
    assert "\x1b" not in printed.get()
    shown = text.replace("\x1b", "\\x1b").replace("\n", "\\n")
    assert printed.get() == f"{shown}!\n"
