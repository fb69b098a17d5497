"""The HTTP/3 client of the model says what the real one says."""

from __future__ import annotations

import subprocess
import sys

import pytest
from aioquic.h3.connection import H3_ALPN
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

from shutdownlab.inspection.recognisers.quic import QuicInitials
from shutdownlab.inspection.recognisers.quic_protection import V1, ClientInitials
from shutdownlab.inspection.recognisers.result import Recognition
from shutdownlab.verifier.speech import quic_initial

NAMES = ("a.kz", "www.example.com", "sehr.lang." * 12 + "example", "192.0.2.7", "2001:db8::7")


def of_aioquic(name: str) -> list[bytes]:
    client = QuicConnection(configuration=QuicConfiguration(alpn_protocols=H3_ALPN, server_name=name))
    client.connect(("192.0.2.1", 443), now=0.0)
    return [data for data, _ in client.datagrams_to_send(now=0.0)]


def recognised(datagrams: list[bytes]) -> Recognition:
    initials = QuicInitials()
    for datagram in datagrams[:-1]:
        initials.feed(datagram, True)
    return initials.feed(datagrams[-1], True)


def opened(datagram: bytes) -> tuple[bytes, bytes]:
    """What stands in clear before the packet's number, and what is within."""
    length = int.from_bytes(datagram[24:26], "big") & 0x3FFF
    plain = ClientInitials(V1, datagram[6:14]).open(datagram[: 26 + length], 26)
    assert plain is not None
    assert not any(datagram[26 + length :])
    return datagram[1:26], plain


def blank(data: bytes, *random: tuple[int, int]) -> bytes:
    """The same without octets that are random."""
    found = bytearray(data)
    for start, end in random:
        found[start:end] = bytes(end - start)
    return bytes(found)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_real_clients_first_flight_but_for_what_is_random(name: str) -> None:
    real, modelled = of_aioquic(name), list(quic_initial(name))
    assert [len(each) for each in modelled] == [len(each) for each in real]
    header, plain = opened(modelled[0])
    real_header, real_plain = opened(real[0])
    ids = (5, 13), (14, 22)
    assert blank(header, *ids) == blank(real_header, *ids)
    shares = plain.index(bytes.fromhex("0033010c"))
    # The client's random number; four keys, of which two begin with how they are written; its connection ID.
    random = [(10, 42), *((shares + a, shares + b) for a, b in ((11, 75), (80, 176), (180, 212), (216, 272)))]
    own = plain.index(b"\x0f\x08", len(plain) - 30) + 2
    random.append((own, own + 8))
    assert blank(plain, *random) == blank(real_plain, *random)


@pytest.mark.parametrize("name", NAMES)
def test_a_box_makes_the_same_of_both(name: str) -> None:
    real, modelled = recognised(of_aioquic(name)), recognised(list(quic_initial(name)))
    for field in ("protocol", "host", "alpn", "ja4", "versions", "more", "ech", "length"):
        assert getattr(modelled, field) == getattr(real, field)
    assert modelled.ja4


def test_the_model_loads_no_quic_library() -> None:
    code = "import sys, shutdownlab as sl\nsl.verify('first-shutdown').groups\nprint('aioquic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
