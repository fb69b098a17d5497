"""A proxy that delays queries to an operator's resolver while its answers are to be late.

nftables on the resolver's node redirects the clients' queries to it. It passes the client's address on by the PROXY
protocol, version 2 (haproxy.org, proxy-protocol.txt), so that the resolver still chooses the answer by client. dnsdist
is no alternative: it delays answers over UDP only. Queries that are not delayed are forwarded at once, even while
others of the same client are held.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, cast

import dns.exception
import dns.message

from shutdownlab.config.addresses import Address, IpPrefix
from shutdownlab.config.domains import with_all_above
from shutdownlab.protocol.messages import Applied, Counters, Hold, decode, encode
from shutdownlab.servers.dns import HANDED_ON
from shutdownlab.system.child_process import Child, Forked, fork

_PORT: Final = 5353
_RESOLVER: Final = ("127.0.0.1", HANDED_ON)
_TABLE: Final = "late"
_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_PROXY: Final = 0x21
_FAMILIES: Final = {4: 0x10, 6: 0x20}
_STREAM, _DATAGRAM = 1, 2
_ANSWER_S: Final = 30.0
"""Seconds after which the proxy gives up waiting for the resolver's answer."""

_Client = tuple[str, int]


def process_name(node: str) -> str:
    """Returns the process name of the proxy on `node`."""
    return f"late-{node}"


def ruleset(addresses: Iterable[Address], clients: Iterable[IpPrefix]) -> str:
    """Returns input for `nft -f` that redirects queries from `clients` to the resolver's `addresses` to the proxy.

    It replaces an earlier ruleset, and only deletes that if there are no rules.
    """
    rules = [
        f"    {ip} saddr {client} {ip} daddr {to} {proto} dport 53 dnat {ip} to {host}:{_PORT}"
        for to in addresses
        for ip, host in [("ip", to) if to.version == 4 else ("ip6", f"[{to}]")]
        for client in clients
        if client.version == to.version
        for proto in ("udp", "tcp")
    ]
    renewed = [f"table inet {_TABLE}", f"delete table inet {_TABLE}"]
    if not rules:
        return "\n".join(renewed) + "\n"
    chain = ["  chain questions {", "    type nat hook prerouting priority dstnat; policy accept;", *rules, "  }"]
    return "\n".join([*renewed, f"table inet {_TABLE} {{", *chain, "}"]) + "\n"


def proxied(client: _Client, to: Address, kind: int) -> bytes:
    """Returns the PROXY protocol header that names the client; `kind`: 1 for a stream, 2 for a datagram."""
    source = ipaddress.ip_address(client[0])
    addresses = source.packed + to.packed + struct.pack("!HH", client[1], 53)
    return _SIGNATURE + struct.pack("!BBH", _PROXY, _FAMILIES[source.version] | kind, len(addresses)) + addresses


class Held:
    """The delays by client prefix and domain, and counters of queries. No I/O."""

    def __init__(self) -> None:
        self._names: dict[IpPrefix, Mapping[str, float]] = {}
        self.questions = 0
        """All queries received."""
        self.held = 0
        """Queries that were delayed."""

    def become(self, names: Mapping[str, Mapping[str, float]]) -> None:
        """Replaces the delays: seconds by client prefix and domain, as in `Hold.names`."""
        self._names = {ipaddress.ip_network(client): domains for client, domains in names.items()}

    def seconds(self, client: str, question: bytes) -> float:
        """Counts a query (a DNS message, RFC 1035, 4) and returns its delay in seconds; 0 if it cannot be parsed."""
        self.questions += 1
        address = ipaddress.ip_address(client)
        domains = next((held for prefix, held in self._names.items() if address in prefix), {})
        try:
            asked = [
                each.name.to_text(omit_final_dot=True).lower() for each in dns.message.from_wire(question).question
            ]
        except dns.exception.DNSException:
            return 0.0
        found = (domains[name] for host in asked for name in with_all_above(host) if name in domains)
        seconds = next(found, 0.0)
        self.held += seconds > 0
        return seconds


class Doorkeeper:
    """Receives queries at a resolver's addresses, and forwards each to it after its delay."""

    def __init__(self, addresses: Iterable[Address]) -> None:
        self.held = Held()
        self._addresses = tuple(addresses)

    async def open(self) -> None:
        """Starts to listen; raises `OSError`."""
        loop = asyncio.get_running_loop()
        for address in self._addresses:
            await loop.create_datagram_endpoint(partial(_Datagrams, self, address), local_addr=(str(address), _PORT))
            await asyncio.start_server(partial(self._serve, address), str(address), _PORT)

    async def hold(self, client: _Client, question: bytes) -> None:
        """Waits until a query is to be forwarded."""
        await asyncio.sleep(self.held.seconds(client[0], question))

    async def _serve(self, to: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves a client's TCP connection (RFC 7766): queries behind a delayed one do not wait for it."""
        client = writer.get_extra_info("peername")[:2]
        try:
            async with asyncio.TaskGroup() as held:
                with suppress(OSError, EOFError):
                    while True:
                        size = await reader.readexactly(2)
                        question = await reader.readexactly(int.from_bytes(size))
                        held.create_task(self._ask(client, to, question, writer))
        finally:
            writer.close()

    async def _ask(self, client: _Client, to: Address, question: bytes, writer: asyncio.StreamWriter) -> None:
        await self.hold(client, question)
        with suppress(OSError, EOFError):
            async with asyncio.timeout(_ANSWER_S):
                answers, questions = await asyncio.open_connection(*_RESOLVER)
                try:
                    questions.write(proxied(client, to, _STREAM) + len(question).to_bytes(2) + question)
                    size = await answers.readexactly(2)
                    writer.write(size + await answers.readexactly(int.from_bytes(size)))
                finally:
                    questions.close()


class _Datagrams(asyncio.DatagramProtocol):
    """One address of the resolver, for queries over UDP."""

    def __init__(self, doorkeeper: Doorkeeper, to: Address) -> None:
        self._doorkeeper, self._to = doorkeeper, to
        self._transport: asyncio.DatagramTransport | None = None
        self._at_work: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        task = asyncio.ensure_future(self._ask(addr, data))
        self._at_work.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._at_work.discard(task)
        if not task.cancelled():
            task.result()

    async def _ask(self, addr: tuple[Any, ...], question: bytes) -> None:
        loop, client = asyncio.get_running_loop(), (str(addr[0]), int(addr[1]))
        await self._doorkeeper.hold(client, question)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
            sock.connect(_RESOLVER)
            with suppress(OSError):
                sock.send(proxied(client, self._to, _DATAGRAM) + question)
                async with asyncio.timeout(_ANSWER_S):
                    answer = await loop.sock_recv(sock, 65535)
                assert self._transport is not None, "it has brought the question"
                self._transport.sendto(answer, addr)


def start_doorkeeper(node: str, addresses: Sequence[Address], enter: Callable[[], None]) -> Forked:
    """Forks the proxy in front of the resolver on `node`. Call `wait_ready` on the result, and `stop` for its
    `Counters`.

    enter: moves the process into the node. It applies a `Hold` and replies `Applied`; to any other message it replies
    with its `Counters`.
    """

    async def serve(child: Child) -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        failed: list[Exception] = []

        def fail(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            failed.append(context.get("exception") or RuntimeError(context["message"]))
            ended.set()

        loop.set_exception_handler(fail)  # it ends: a query it fails to forward must never look blocked
        doorkeeper = Doorkeeper(addresses)
        held = doorkeeper.held

        def counters() -> bytes:
            return encode(Counters(child.name, {"questions": held.questions, "held": held.held}))

        def answer() -> None:
            for line in child.receive():
                message = decode(line)
                if isinstance(message, Hold):
                    held.become(message.names)
                    child.send(encode(Applied(message.serial)))
                else:
                    child.send(counters())
            if child.lines.ended is not None:
                ended.set()

        await doorkeeper.open()
        loop.add_reader(child.stop_fd, ended.set)
        loop.add_reader(child.lines.fileno(), answer)
        child.ready()
        await ended.wait()
        child.send(counters())
        if failed:
            raise failed[0]

    return fork(process_name(node), lambda child: asyncio.run(serve(child)), enter)
