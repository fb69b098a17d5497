"""What a browser would warn of, out of what curl itself says of a certificate."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from shutdownlab.servers.tls import CertificateAuthority
from shutdownlab.web.somebody import warning_of

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def seen(tmp_path: Path, host: str, *, trusted: bool) -> tuple[int, str]:
    """How curl ends, and what it says, of a page of `host` from a server whose certificate is for one.example."""
    authority = CertificateAuthority(["example"])
    (tmp_path / "ca.pem").write_bytes((authority if trusted else CertificateAuthority(["example"])).pem)
    issued = authority.issue(["one.example"])
    (tmp_path / "server.pem").write_bytes(issued.key + issued.chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            taken, _ = listening.accept()
            with taken, suppress(OSError), context.wrap_socket(taken, server_side=True) as client:
                client.recv(4096)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        server = threading.Thread(target=serve)
        server.start()
        port = listening.getsockname()[1]
        argv = ["curl", "-sS", "-m", "20", "--noproxy", "*", "--cacert", str(tmp_path / "ca.pem")]
        argv += ["--resolve", f"{host}:{port}:127.0.0.1", f"https://{host}:{port}/"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        server.join()
    return done.returncode, done.stderr


def test_the_certificate_of_another_site_is_not_called_untrusted(tmp_path: Path) -> None:
    assert warning_of(*seen(tmp_path, "two.example", trusted=True)).endswith("the certificate belongs to another site.")


def test_a_certificate_of_an_unknown_authority_is_called_untrusted(tmp_path: Path) -> None:
    said = warning_of(*seen(tmp_path, "one.example", trusted=False))
    assert said.endswith("issued by an authority that this browser does not trust.")


def test_a_good_certificate_gets_no_warning(tmp_path: Path) -> None:
    code, said = seen(tmp_path, "one.example", trusted=True)
    assert (code, warning_of(code, said)) == (0, "")
