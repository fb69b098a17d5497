"""Captures traffic of real clients with real servers, in a separate network namespace.

    sudo python benchmarks/real_clients.py DIRECTORY

Writes one pcap per protocol: curl, openssl, dig, aioquic, ssh, wireguard-go, openvpn, tor, turnutils, sipp, aria2, and
Telethon if it is installed. Programs that the machine lacks are named and left out. Nothing leaves the namespace, which
has only a loopback interface; every name resolves to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.server
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import serve
from aioquic.quic.configuration import QuicConfiguration
from client_lab import NAMES, Lab, Missing, need, run, serving, started, web


def plain_http(lab: Lab) -> None:
    need("curl")
    with web(80), web(8080), lab.capture("http"):
        for name in NAMES:
            run("curl", "-s", "--resolve", f"{name}:80:127.0.0.1", f"http://{name}/path?q={name}")
            run("curl", "-s", "--resolve", f"{name}:8080:127.0.0.1", "-d", "a=b", f"http://{name}:8080/form")
        run("curl", "-s", "-x", "http://127.0.0.1:8080", "http://www.bbc.com/proxied")
        run("curl", "-s", "--http1.0", "http://127.0.0.1/")


def tls(lab: Lab) -> None:
    need("curl", "openssl")
    with web(443, lab), web(8443, lab), lab.capture("tls"):
        for name in NAMES:
            for port, extra in ((443, ()), (8443, ("--tls-max", "1.2")), (443, ("--http1.1", "--no-alpn"))):
                address = f"{name}:{port}:127.0.0.1"
                run("curl", "-sk", *extra, "--resolve", address, f"https://{name}:{port}/")
            run("openssl", "s_client", "-connect", "127.0.0.1:443", "-servername", name)
            run("openssl", "s_client", "-connect", "127.0.0.1:443", "-servername", name, "-tls1_2", "-alpn", "h2")
        run("openssl", "s_client", "-connect", "127.0.0.1:443", "-noservername")
        run("openssl", "s_client", "-connect", "127.0.0.1:443", "-noservername", "-tls1_2")


def dns(lab: Lab) -> None:
    need("unbound", "dig")
    config = lab.work / "unbound.conf"
    zones = "".join(f'  local-zone: "{n}." redirect\n  local-data: "{n}. 60 IN A 192.0.2.1"\n' for n in NAMES)
    config.write_text(
        "server:\n  interface: 127.0.0.1@53\n  interface: 127.0.0.1@853\n  interface: 127.0.0.1@443\n"
        f'  tls-port: 853\n  https-port: 443\n  tls-service-key: "{lab.key}"\n  tls-service-pem: "{lab.cert}"\n'
        f'  username: ""\n  chroot: ""\n  directory: "{lab.work}"\n  pidfile: ""\n  use-syslog: no\n'
        f"  do-daemonize: no\n{zones}"
    )
    with started("unbound", "-d", "-c", str(config), port=53, kind=socket.SOCK_DGRAM):
        dig = ("dig", "@127.0.0.1", "+tries=1", "+timeout=2")
        with lab.capture("dns"):
            for name in NAMES:
                for kind in ("A", "AAAA", "HTTPS", "TXT", "MX"):
                    run(*dig, name, kind)
                run(*dig, "+noedns", name)
                run(*dig, "+tcp", name)
            run(*dig, "-x", "192.0.2.7")
            run(*dig, "пример.рф")
        with lab.capture("dot-doh"):
            for name in NAMES[:4]:
                run(*dig, "+tls", name)
                run(*dig, "+https", f"+tls-hostname={name}", name)
                run(*dig, "+https", "+tls-hostname=dns.google", name)


def quic(lab: Lab) -> None:
    async def main() -> None:
        configuration = QuicConfiguration(is_client=False, alpn_protocols=["h3", "doq"])
        configuration.load_cert_chain(lab.cert, lab.key)
        configuration.supported_versions = [0x00000001, 0x6B3343CF]
        server = await serve("127.0.0.1", 443, configuration=configuration, create_protocol=QuicConnectionProtocol)
        for name in NAMES:
            for version in (0x00000001, 0x6B3343CF):
                client = QuicConfiguration(is_client=True, alpn_protocols=["h3"], server_name=name)
                client.verify_mode = ssl.CERT_NONE
                client.original_version = version
                client.supported_versions = [version, 0x00000001]
                async with connect("127.0.0.1", 443, configuration=client) as connection:
                    await connection.ping()
        server.close()

    with lab.capture("quic"):
        asyncio.run(main())


def secure_shell(lab: Lab) -> None:
    need("ssh", "ssh-keygen")
    daemon = Path("/usr/sbin/sshd")
    if not daemon.exists():
        raise Missing("sshd")
    key = lab.work / "host"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    Path("/run/sshd").mkdir(exist_ok=True)
    argv = (str(daemon), "-D", "-f", "/dev/null", "-h", str(key), "-o", "UsePAM=no")
    with (
        started(*argv, "-p", "22", port=22),
        started(*argv, "-p", "2222", port=2222),
        lab.capture("ssh"),
    ):
        for port in ("22", "2222") * 4:
            options = ("-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null")
            run("ssh", *options, "-p", port, "nobody@127.0.0.1", "true")


def wireguard(lab: Lab) -> None:
    need("wireguard-go", "wg", "ip")
    keys = []
    for side in (0, 1):
        private = subprocess.run(["wg", "genkey"], capture_output=True, check=True).stdout
        public = subprocess.run(["wg", "pubkey"], input=private, capture_output=True, check=True).stdout
        (lab.work / f"wg{side}").write_bytes(private)
        keys.append(public.decode().strip())
    with lab.capture("wireguard"):
        for number, port in enumerate((51820, 443, 2408)):
            for side in (0, 1):
                name = f"wg{number}{side}"
                run("wireguard-go", name)
                own, peer = (port, 20000 + number) if side == 0 else (20000 + number, port)
                # Kernel routes keep the lab's addresses on loopback; only packets to .9 take the tunnel.
                allowed = f"10.9.{number}.{9 if side else 8}/32"
                run("wg", "set", name, "listen-port", str(own), "private-key", str(lab.work / f"wg{side}"))
                peering = ("peer", keys[1 - side], "allowed-ips", allowed, "endpoint", f"127.0.0.1:{peer}")
                run("wg", "set", name, *peering)
                run("ip", "address", "add", f"10.9.{number}.{1 + side}/32", "dev", name)
                run("ip", "link", "set", name, "up")
            # From the side with the high port, so that the well-known one is the target.
            run("ip", "route", "add", f"10.9.{number}.9/32", "dev", f"wg{number}1")
            run("ping", "-c", "2", "-W", "1", f"10.9.{number}.9")
            for side in (0, 1):
                run("ip", "link", "del", f"wg{number}{side}")


def openvpn(lab: Lab) -> None:
    need("openvpn")
    secret = lab.work / "ta.key"
    run("openvpn", "--genkey", "secret", str(secret))
    common = ["openvpn", "--dev", "null", "--ca", str(lab.ca), "--cert", str(lab.cert), "--key", str(lab.key)]
    common += ["--verb", "0", "--ping", "1"]
    with lab.capture("openvpn"):
        for number, guard in enumerate(((), ("--tls-auth", str(secret)), ("--tls-crypt", str(secret)))):
            for proto, port in (("udp", 1194 + number), ("udp", 443 + number), ("tcp", 1194 + number)):
                server = ("tcp-server", "tcp-client") if proto == "tcp" else ("udp", "udp")
                kind = socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM
                argv = [*common, "--tls-server", "--dh", "none", "--proto", server[0], "--port", str(port), *guard]
                with started(*argv, port=port, kind=kind):
                    client = [*common, "--tls-client", "--proto", server[1], "--nobind", *guard]
                    run(*client, "--remote", "127.0.0.1", str(port), seconds=4)


def tor(lab: Lab) -> None:
    need("tor")
    relay, client = lab.work / "relay", lab.work / "client"
    common = ("--DisableNetwork", "0", "--Log", "err stderr", "--SafeLogging", "0")
    argv: tuple[str, ...] = (
        "tor",
        *common,
        "--DataDirectory",
        str(relay),
        "--SocksPort",
        "0",
        "--ORPort",
        "127.0.0.1:9001",
    )
    argv += ("--BridgeRelay", "1", "--PublishServerDescriptor", "0", "--AssumeReachable", "1", "--ExtORPort", "0")
    argv += ("--Nickname", "lab", "--ContactInfo", "none", "--Address", "127.0.0.1")
    with started(*argv, port=9001), lab.capture("tor"):
        for number in range(3):
            argv = ("tor", *common, "--DataDirectory", f"{client}{number}", "--SocksPort", "0", "--UseBridges", "1")
            run(*argv, "--Bridge", "127.0.0.1:9001", seconds=8)


def stun(lab: Lab) -> None:
    need("turnserver", "turnutils_stunclient", "turnutils_uclient")
    argv: tuple[str, ...] = (
        "turnserver",
        "-n",
        "-L",
        "127.0.0.1",
        "-a",
        "-u",
        "lab:lab",
        "-r",
        "lab",
        "--no-tls",
        "--no-cli",
    )
    argv += (
        "--allow-loopback-peers",
        "--pidfile",
        str(lab.work / "turn.pid"),
        "--log-file",
        str(lab.work / "turn.log"),
    )
    with started(*argv, port=3478, kind=socket.SOCK_DGRAM), lab.capture("stun"):
        for _ in range(5):
            run("turnutils_stunclient", "127.0.0.1")
        login = ("-u", "lab", "-w", "lab", "-n", "2", "-m", "1", "-e", "127.0.0.1", "-X")
        run("turnutils_uclient", *login, "127.0.0.1", seconds=5)
        run("turnutils_uclient", "-t", *login, "127.0.0.1", seconds=5)


def dtls(lab: Lab) -> None:
    need("openssl")
    argv = ("openssl", "s_server", "-dtls", "-accept", "4433", "-cert", str(lab.cert), "-key", str(lab.key), "-quiet")
    with lab.capture("dtls"):
        for name in NAMES[:6]:
            with started(*argv, port=4433, kind=socket.SOCK_DGRAM):
                run("openssl", "s_client", "-dtls", "-connect", "127.0.0.1:4433", "-servername", name, seconds=2)


def sip(lab: Lab) -> None:
    need("sipp")
    with lab.capture("sip"):
        for transport, kind in (("u1", socket.SOCK_DGRAM), ("t1", socket.SOCK_STREAM)):
            server = ("sipp", "-sn", "uas", "-i", "127.0.0.1", "-p", "5060", "-t", transport, "-nostdin")
            with started(*server, port=5060, kind=kind):
                client = ("sipp", "-sn", "uac", "-i", "127.0.0.1", "-m", "3", "-t", transport, "-nostdin")
                run(*client, "127.0.0.1:5060", seconds=8)


def obfs4(lab: Lab) -> None:
    need("tor", "obfs4proxy")
    relay = lab.work / "bridge"
    common = ("--Log", "err stderr", "--SafeLogging", "0")
    argv: tuple[str, ...] = ("tor", *common, "--DataDirectory", str(relay), "--SocksPort", "0", "--ExtORPort", "auto")
    argv += ("--ORPort", "127.0.0.1:9002", "--BridgeRelay", "1", "--PublishServerDescriptor", "0")
    argv += ("--AssumeReachable", "1", "--Address", "127.0.0.1", "--ContactInfo", "none", "--Nickname", "lab")
    argv += ("--ServerTransportPlugin", "obfs4 exec /usr/bin/obfs4proxy")
    argv += ("--ServerTransportListenAddr", "obfs4 127.0.0.1:9443")
    with started(*argv, port=9443), lab.capture("obfs4"):
        line = (relay / "pt_state" / "obfs4_bridgeline.txt").read_text().splitlines()[-1]
        certificate = line[line.index("cert=") :]
        fingerprint = (relay / "fingerprint").read_text().split()[1]
        for number in range(3):
            client: tuple[str, ...] = ("tor", *common, "--DataDirectory", str(lab.work / f"obfs4-{number}"))
            client += (
                "--SocksPort",
                "0",
                "--UseBridges",
                "1",
                "--Bridge",
                f"obfs4 127.0.0.1:9443 {fingerprint} {certificate}",
            )
            run(*client, "--ClientTransportPlugin", "obfs4 exec /usr/bin/obfs4proxy", seconds=8)


def bencoded(value: object) -> bytes:
    if isinstance(value, int):
        return f"i{value}e".encode()
    if isinstance(value, dict):
        return b"d" + b"".join(bencoded(key) + bencoded(value[key]) for key in sorted(value)) + b"e"
    data = value if isinstance(value, bytes) else str(value).encode()
    return f"{len(data)}:".encode() + data


class Tracker(http.server.BaseHTTPRequestHandler):
    """A BitTorrent tracker that announces the seeder to every peer."""

    def do_GET(self) -> None:
        peers = socket.inet_aton("127.0.0.1") + (6881).to_bytes(2, "big")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(bencoded({"interval": 60, "peers": peers}))

    def log_message(self, *_: object) -> None:
        pass


def bittorrent(lab: Lab) -> None:
    need("aria2c")
    data = os.urandom(1 << 20)
    seeds, leeches = lab.work / "seeds", lab.work / "leeches"
    seeds.mkdir()
    (seeds / "file").write_bytes(data)
    size = 1 << 17
    pieces = b"".join(hashlib.sha1(data[at : at + size]).digest() for at in range(0, len(data), size))
    info = {"name": "file", "piece length": size, "length": len(data), "pieces": pieces}
    torrent = lab.work / "file.torrent"
    torrent.write_bytes(bencoded({"announce": "http://127.0.0.1:6969/announce", "info": info}))
    common: tuple[str, ...] = (
        "aria2c",
        "-q",
        "--bt-seed-unverified",
        "--bt-enable-lpd=false",
        "--enable-peer-exchange=false",
    )
    common = (*common, "--dht-entry-point=127.0.0.1:6882")
    seeder = (*common, "-d", str(seeds), "--seed-ratio=0", "--listen-port=6881", "--dht-listen-port=6882")
    dht = (f"--dht-file-path={lab.work}/dht1", f"--dht-file-path6={lab.work}/dht1-6")
    with serving(6969, Tracker), started(*seeder, *dht, str(torrent), port=6881), lab.capture("bittorrent"):
        for number in range(2):
            leecher = (*common, "-d", f"{leeches}{number}", "--seed-time=0", f"--listen-port={6890 + number}")
            dht = (f"--dht-listen-port={6900 + number}", f"--dht-file-path={lab.work}/dht2{number}")
            run(*leecher, *dht, str(torrent), seconds=8)


def telegram(lab: Lab) -> None:
    """Sends Telethon's first message in every transport to a port that never answers."""
    try:
        from telethon import TelegramClient  # type: ignore[import-not-found,import-untyped,unused-ignore]
        from telethon.network import connection  # type: ignore[import-not-found,import-untyped,unused-ignore]
        from telethon.sessions import StringSession  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        raise Missing("telethon") from None

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        await asyncio.sleep(0.5)
        writer.close()

    async def main() -> None:
        ports = (443, 80)
        servers = [await asyncio.start_server(listen, "127.0.0.1", port) for port in ports]
        for kind in ("Full", "Abridged", "Intermediate", "Obfuscated"):
            for port in ports:
                session = StringSession()
                session.set_dc(2, "127.0.0.1", port)
                how = getattr(connection, f"ConnectionTcp{kind}")
                client = TelegramClient(session, 1, "0" * 32, connection=how, connection_retries=0, timeout=1)
                with contextlib.suppress(Exception):  # there is no answer
                    await asyncio.wait_for(client.connect(), 1)
        for server in servers:
            server.close()

    with lab.capture("telegram"):
        asyncio.run(main())


PROTOCOLS = (
    plain_http, tls, dns, quic, secure_shell, wireguard, openvpn, tor, obfs4, stun, dtls, sip, bittorrent, telegram,
)  # fmt: skip


def main() -> int:
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    out = Path(sys.argv[1]).absolute()
    if os.environ.get("REAL_CLIENTS_INSIDE") != "1":
        need("unshare", "tcpdump")
        out.mkdir(parents=True, exist_ok=True)
        argv = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        argv += ["" if os.geteuid() == 0 else "--map-root-user"]
        inside = dict(os.environ, REAL_CLIENTS_INSIDE="1")
        return subprocess.run([a for a in argv if a] + [sys.executable, *sys.argv], env=inside, check=False).returncode
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    run("ip", "link", "set", "lo", "up")
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(out, Path(folder))
        for protocol in PROTOCOLS:
            start = time.monotonic()
            try:
                protocol(lab)
                print(f"{protocol.__name__}: {time.monotonic() - start:.1f} s")
            except Missing as missing:
                print(f"{protocol.__name__}: left out, {missing} is not installed")
            except (TimeoutError, OSError, ConnectionError) as error:
                print(f"{protocol.__name__}: failed, {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
