"""How services are found to be up: sockets that listen, and what bird answers."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shutdownlab.servers import birdc
from shutdownlab.servers.daemon import WRITTEN_S, Daemon, listening
from shutdownlab.servers.web import make_downloads

END = "0000 \n"
PROTOCOLS = """\
2002-Name       Proto      Table      State  Since         Info
1002-device1    Device     ---        up     11:37:37.770
 provider_t0_4  BGP        ---        up     11:37:37.770  Established
 provider_t0_6  BGP        ---        start  11:37:37.770  Active        Socket: Connection refused
"""
ROUTES = """\
1007-Table master4:
 100.64.0.0/16        blackhole [originate4 11:36:56.262] * (200)
1007-8.8.8.0/24           unicast [provider_t0_4 11:37:37.770 from 198.18.0.11] * (100) [AS64601i]
 \tvia 198.18.0.101 on intl
 9.9.9.0/24           unicast [provider_t0_4 11:37:37.770] ! (100) [AS64601i]
 \tvia 198.18.0.101 on intl
"""
PATH = """\
1007-Table master4:
 8.8.8.0/24           unicast [provider_t0_4 11:37:37.770] * (100) [AS64601i]
1012-\tBGP.origin: IGP
 \tBGP.as_path: 64501 64601
"""


@pytest.fixture
def bird(tmp_path: Path) -> Iterator[Path]:
    """A control socket that answers as bird does."""
    answers = {
        "show protocols": PROTOCOLS + END,
        "show route table master4 primary": ROUTES + END,
        "show route for 8.8.8.8 primary all": PATH + END,
        "show route for 5.5.5.5 primary all": "8001 Network not found\n",
        "show route for 6.6.6.6 primary all": END,
    }
    path = tmp_path / "control"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    client.sendall(b"0001 BIRD 2.0.12 ready.\n")
                    command = client.recv(1000).decode().strip()
                    client.sendall(answers.get(command, "9001 syntax error\n").encode())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield path
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_only_established_sessions_are_up(bird: Path) -> None:
    assert birdc.sessions_up(bird) == {"provider_t0_4"}


def test_a_route_that_the_kernel_refused_is_not_known(bird: Path) -> None:
    assert birdc.kernel_routes(bird, 4) == {"100.64.0.0/16": "originate4", "8.8.8.0/24": "provider_t0_4"}


def test_the_as_path_of_a_route_is_read(bird: Path) -> None:
    assert birdc.as_path(bird, "8.8.8.8") == (64501, 64601)


@pytest.mark.parametrize("missing", ["5.5.5.5", "6.6.6.6"])
def test_a_missing_route_and_a_refused_command_are_distinguished(bird: Path, missing: str) -> None:
    with pytest.raises(LookupError, match="no route to"):
        birdc.as_path(bird, missing)
    with pytest.raises(birdc.BirdRefused, match="syntax error"):
        birdc.ask(bird, "nonsense")


@pytest.mark.parametrize(
    ("family", "kind", "address"),
    [
        (socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1"),
        (socket.AF_INET, socket.SOCK_DGRAM, "127.0.0.1"),
        (socket.AF_INET6, socket.SOCK_STREAM, "::1"),
        (socket.AF_INET6, socket.SOCK_DGRAM, "::1"),
    ],
)
def test_a_socket_counts_once_it_listens(family: socket.AddressFamily, kind: socket.SocketKind, address: str) -> None:
    with socket.socket(family, kind) as made:
        made.bind((address, 0))
        port = made.getsockname()[1]
        if kind is socket.SOCK_STREAM:
            assert port not in {found.port for found in listening(os.getpid()) if found.protocol == "tcp"}
            made.listen()
        protocol = "tcp" if kind is socket.SOCK_STREAM else "udp"
        assert (protocol, address, port) in {(f.protocol, str(f.address), f.port) for f in listening(os.getpid())}


def test_a_process_that_has_gone_listens_to_nothing() -> None:
    assert listening(2**22 + 1) == frozenset()


def test_keys_are_written_for_their_owner_alone(tmp_path: Path) -> None:
    daemon = Daemon("nginx", "host", ("nginx",), tmp_path / "nginx", {"keys/site.key": b"secret"})
    daemon.write()
    key = tmp_path / "nginx" / "keys" / "site.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_what_servers_tell_of_their_files_ages_is_the_same_in_every_run(tmp_path: Path) -> None:
    Daemon("nginx", "host", ("nginx",), tmp_path / "nginx", {"sites/index.html": "hello"}).write()
    make_downloads(tmp_path)
    files = (tmp_path / "nginx" / "sites" / "index.html", tmp_path / "bytes" / "1000000")
    assert {path.stat().st_mtime for path in files} == {WRITTEN_S}


def test_downloads_take_no_room(tmp_path: Path) -> None:
    make_downloads(tmp_path)
    largest = (tmp_path / "bytes" / "100000000").stat()
    assert (largest.st_size, largest.st_blocks) == (100_000_000, 0)
