"""Domain fronting: a CDN's edge selects the site by the Host header, which is encrypted on the path."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import h11

from shutdownlab.model.tool import ToolUse
from shutdownlab.probes.browser import request_headers, target_of
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.dns import lookup
from shutdownlab.probes.failure import StepFailed
from shutdownlab.probes.session import ProbeSession
from shutdownlab.probes.stream import handshake, open_first
from shutdownlab.probes.throughput import DownloadMeter, concluded, download
from shutdownlab.servers.daemon import Daemon
from shutdownlab.tools.serving import Outpost, ToolServer

_MOST_OCTETS = 256 * 1024
_LEAST_OCTETS = 64 * 1024


def hidden(front: str) -> str:
    """Returns the name of the site hidden behind a front."""
    return f"hidden.{front}"


def edge(outpost: Outpost, content: str) -> Daemon:
    """Returns a CDN's edge: nginx, with a certificate for the front only, a page for it, and a hidden site.

    content: nginx directives for the hidden site.
    """
    front, address = outpost.hosted.site_name, outpost.address
    at = f"[{address}]:{outpost.port}" if address.version == 6 else f"{address}:{outpost.port}"
    certificate = outpost.premises.ca.issue((front,))
    lines = [
        "daemon off;", "master_process off;", "user root root;", "pid pid;", "error_log stderr warn;",
        "events { worker_connections 4096; }",
        "http {",
        *(f"  {each}_temp_path {each};" for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")),
        "  access_log off; server_names_hash_bucket_size 128; client_max_body_size 1m;",
        "  ssl_certificate certificate.pem; ssl_certificate_key key.pem;",
        f"  server {{ listen {at} ssl default_server; server_name {front}; return 200 'A front page\\n'; }}",
        f"  server {{ listen {at} ssl; server_name {hidden(front)}; location / {{ {content} }} }}",
        "}",
    ]  # fmt: skip
    home = outpost.home / "edge"
    files: dict[str, str | bytes] = {
        "nginx.conf": "\n".join(lines) + "\n",
        "certificate.pem": certificate.chain,
        "key.pem": certificate.key,
    }
    argv = ("nginx", "-p", str(home), "-e", "stderr", "-c", str(home / "nginx.conf"))
    return Daemon("edge", outpost.node, argv, home, files, outpost.listening("tcp"))


class FrontingServers(ToolServer):
    """CDN edges with a hidden site that offers downloads, as every emulated site does."""

    kind = "fronting"

    def serve(self, outpost: Outpost) -> Iterator[Daemon]:
        yield edge(outpost, f'root "{outpost.premises.runtime}";')


async def fronting_test(session: ProbeSession, ask: ToolUse) -> Conclusion:
    """Fetches the path of `url` from the hidden site behind the front. Raises `StepFailed`."""
    parts, loop = urlsplit(ask.url), session.loop
    record: dict[str, object] = {"tool": ask.tool, "name": session.request.name, "stage": "connect"}
    session.trace.extra["x_tool"] = record
    began, first = loop.time(), 0.0
    addresses = (await lookup(session, ask.host)).addresses
    with await open_first(session, addresses, ask.port) as tcp:
        stream = await handshake(tcp, ask.host, ("http/1.1",))
        record["stage"] = "fetch"
        meter = DownloadMeter(1.0)

        def count(octets: int) -> None:
            nonlocal first
            first = first or loop.time()
            meter.count(octets)

        stream.on_octets = count
        wanted = parts._replace(scheme="https", netloc=hidden(ask.host))
        head = h11.Request(method="GET", target=target_of(wanted), headers=request_headers(wanted))
        ended = await download(stream, head, meter, _MOST_OCTETS)
    if ended and meter.octets < _LEAST_OCTETS:
        raise StepFailed("http_request_failed", "http_round_trip")
    kbits, connected = meter.octets * 8 / 1000 / max(meter.elapsed, 1e-3), round((first - began) * 1000, 1)
    record |= {"stage": "done", "connect_ms": connected, "received_bytes": meter.octets}
    record["kbits_per_second"] = round(kbits, 1)
    return concluded(meter, ask.throttled_below, connected, "ms")


__all__ = ["FrontingServers", "edge", "fronting_test", "hidden"]
