"""Certificates, servers and captures for `real_clients.py`, all inside its own namespaces."""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import trustme

NAMES = (
    "www.example.org", "e1.whatsapp.net", "web.telegram.org", "chat.signal.org", "www.facebook.com", "t.co",
    "www.youtube.com", "en.wikipedia.org", "www.bbc.com", "tengrinews.kz", "xn--e1afmkfd.xn--p1ai", "a.b.c.example.net",
)  # fmt: skip
DEADLINE = 20.0
QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


class Missing(Exception):
    """Raised if a program is not installed."""


def need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            raise Missing(program)


def run(*argv: str, seconds: float = DEADLINE) -> None:
    """Runs a client; only its packets matter, so it may fail (no such page, no login)."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(argv, timeout=seconds, check=False, **QUIET)  # type: ignore[call-overload]


@contextlib.contextmanager
def started(*argv: str, port: int | None = None, kind: int = socket.SOCK_STREAM) -> Iterator[None]:
    """Runs a server while the context is active; the context starts once `port` is bound."""
    process = subprocess.Popen(argv, **QUIET, start_new_session=True)  # type: ignore[call-overload]
    try:
        if port is not None:
            wait_for(f"{argv[0]} on port {port}", lambda: bound(port, kind))
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def bound(port: int, kind: int) -> bool:
    names = ("udp", "udp6") if kind == socket.SOCK_DGRAM else ("tcp", "tcp6")
    wanted = f":{port:04X}"
    return any(
        line.split()[1].endswith(wanted)
        for name in names
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
        if name.startswith("udp") or line.split()[3] == "0A"
    )


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} is not ready after {DEADLINE:.0f} s")
        threading.Event().wait(0.05)


class Lab:
    """A certificate for every name in the folder `work`, and captures in the folder `out`."""

    def __init__(self, out: Path, work: Path) -> None:
        self.out = out
        self.work = work
        authority = trustme.CA(key_type=trustme.KeyType.RSA)
        leaf = authority.issue_cert(*NAMES, "127.0.0.1", common_name=NAMES[0], key_type=trustme.KeyType.RSA)
        self.key, self.cert, self.ca = work / "key.pem", work / "cert.pem", work / "ca.pem"
        leaf.private_key_pem.write_to_path(str(self.key))
        self.cert.write_bytes(b"".join(part.bytes() for part in leaf.cert_chain_pems))
        authority.cert_pem.write_to_path(str(self.ca))

    @contextlib.contextmanager
    def capture(self, name: str) -> Iterator[None]:
        path = self.out / f"{name}.pcap"
        argv = ["tcpdump", "-i", "lo", "-s", "0", "-U", "--immediate-mode", "-Z", "root", "-w", str(path)]
        process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        for line in process.stderr:
            if "listening on" in line:
                break
        try:
            yield
        finally:
            threading.Event().wait(0.3)  # for packets still in the kernel
            process.send_signal(signal.SIGINT)
            process.wait(DEADLINE)
            process.stderr.close()


class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b"hello\n" * 300
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serving(port: int, handler: type[http.server.BaseHTTPRequestHandler], lab: Lab | None = None) -> Iterator[None]:
    """Runs a web server while the context is active; with TLS by the certificate of `lab`, if given."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    if lab is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(lab.cert, lab.key)
        context.set_alpn_protocols(["http/1.1"])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def web(port: int, lab: Lab | None = None) -> contextlib.AbstractContextManager[None]:
    return serving(port, Page, lab)
