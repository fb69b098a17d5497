"""Applies a Geneva strategy to packets. Usage: `geneva_engine.py QUEUE MARK STRATEGY`.

It takes packets from a netfilter queue (linux/netfilter/nfnetlink_queue.h), modifies them with Scapy, and sends the
results with the mark `MARK`, so that they are not queued again. It prints `ready` once it is bound to the queue.
"""

from __future__ import annotations

import random
import socket
import struct
import sys
from collections.abc import Iterator

from scapy.layers.inet import IP, TCP
from scapy.packet import Raw

from shutdownlab.tools.geneva_strategy import Action, ActionTree, parse_strategy

_NETLINK_NETFILTER = 12
_QUEUE = 3 << 8
_PACKET, _VERDICT, _CONFIG, _ERROR = _QUEUE, _QUEUE | 1, _QUEUE | 2, 2
_REQUEST, _ACK = 1, 4
_BIND, _COPY_PACKET = 1, 2
_ATTR_COMMAND, _ATTR_PARAMETERS = 1, 2
_ATTR_HEADER, _ATTR_VERDICT, _ATTR_PAYLOAD = 1, 2, 10
_DROP, _ACCEPT = 0, 1
_MOST = 65_535
_LAYERS = {"IP": IP, "TCP": TCP}


class _NetfilterQueue:
    """One netfilter queue."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
        self._sock.bind((0, 0))
        self._configure(_attribute(_ATTR_COMMAND, struct.pack("!BxH", _BIND, socket.AF_INET)))
        self._configure(_attribute(_ATTR_PARAMETERS, struct.pack("!IB", _MOST, _COPY_PACKET)))

    def _configure(self, attribute: bytes) -> None:
        self._send(_CONFIG, attribute, _REQUEST | _ACK)
        kind, body = next(_messages(self._sock.recv(_MOST)))
        error = struct.unpack_from("=i", body)[0] if kind == _ERROR else 0
        if error:
            raise OSError(-error, "the netfilter queue cannot be had")

    def _send(self, kind: int, attributes: bytes, flags: int = _REQUEST) -> None:
        body = struct.pack("!BBH", socket.AF_UNSPEC, 0, self._number) + attributes
        self._sock.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 0, 0) + body)

    def packets(self) -> Iterator[tuple[int, bytes]]:
        """Yields each queued packet as it arrives, with its number."""
        while True:
            for kind, body in _messages(self._sock.recv(2 * _MOST)):
                if kind == _PACKET:
                    found = dict(_attributes(body[4:]))
                    yield struct.unpack_from("!I", found[_ATTR_HEADER])[0], found[_ATTR_PAYLOAD]

    def decide(self, number: int, verdict: int) -> None:
        self._send(_VERDICT, _attribute(_ATTR_VERDICT, struct.pack("!II", verdict, number)))


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        size, kind = struct.unpack_from("=HH", data)
        yield kind & 0x3FFF, data[4:size]
        data = data[(size + 3) & ~3 :]


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 16:
        size, kind = struct.unpack_from("=IH", data)
        yield kind, data[16:size]
        data = data[(size + 3) & ~3 :]


def carried_out(action: Action, packet: IP) -> list[IP]:
    """Returns the packets to send, in order, that an action makes of a packet."""
    match action.name:
        case "drop":
            return []
        case "duplicate":
            return [*carried_out(action.then[0], packet.copy()), *carried_out(action.then[1], packet.copy())]
        case "tamper":
            return carried_out(action.then[0], _tampered(packet, *action.parameters))
        case "fragment":
            return _segmented(action, packet)
        case _:
            return [packet]


def _tampered(packet: IP, protocol: str, name: str, mode: str, value: str = "") -> IP:
    layer = packet[_LAYERS[protocol]]
    if name == "load":
        old = bytes(layer.payload)
        layer.remove_payload()
        layer.add_payload(Raw(value.encode() if mode == "replace" else random.randbytes(len(old) or 8)))
    elif name == "flags":
        layer.flags = value if mode == "replace" else random.randrange(1, 256)
    else:
        bits = next(each for each in layer.fields_desc if each.name == name).sz * 8
        setattr(layer, name, int(value or 0) if mode == "replace" else random.randrange(2 ** int(bits)))
    return packet


def _segmented(action: Action, packet: IP) -> list[IP]:
    _, offset, in_order = action.parameters
    load = bytes(packet[TCP].payload)
    at = len(load) // 2 if offset == "-1" else int(offset)
    if not 0 < at < len(load):
        return carried_out(action.then[0], packet)
    halves = [packet.copy(), packet.copy()]
    for half, part in zip(halves, (load[:at], load[at:]), strict=True):
        half[TCP].remove_payload()
        half[TCP].add_payload(Raw(part))
    halves[1][TCP].seq = (packet[TCP].seq + at) % 2**32
    first, second = (carried_out(then, half) for then, half in zip(action.then, halves, strict=True))
    return [*first, *second] if in_order.lower() == "true" else [*second, *first]


def matches(tree: ActionTree, packet: IP) -> bool:
    """Returns whether a tree applies to a packet."""
    layer = packet[_LAYERS[tree.protocol]]
    value = bytes(layer.payload).decode("latin-1") if tree.field == "load" else getattr(layer, tree.field)
    return str(value) == tree.value


def built(packet: IP) -> bytes:
    """Returns a packet's octets, with lengths recomputed and, unless tampered with, the TCP checksum."""
    del packet[IP].len
    del packet[IP].chksum
    return bytes(packet)


def parsed(data: bytes) -> IP:
    """Parses a packet from the queue; its TCP checksum is recomputed unless an action sets it."""
    packet = IP(data)
    if TCP in packet:
        del packet[TCP].chksum
    return packet


def main(queue_number: str, mark: str, text: str) -> None:
    """Applies the strategy until the process is killed."""
    trees = parse_strategy(text)
    queue = _NetfilterQueue(int(queue_number))
    out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    out.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, int(mark))
    print("ready", flush=True)
    for number, data in queue.packets():
        packet = parsed(data)
        tree = next((each for each in trees if TCP in packet and matches(each, packet)), None)
        queue.decide(number, _ACCEPT if tree is None else _DROP)
        for each in carried_out(tree.action, packet) if tree is not None else ():
            out.sendto(built(each), (each.dst, 0))


if __name__ == "__main__":
    main(*sys.argv[1:])
