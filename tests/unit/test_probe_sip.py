"""What a subscriber's telephone writes, and what it makes of what it reads."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shutdownlab.probes import calls
from shutdownlab.probes import media as audio
from shutdownlab.probes import phone as telephone
from shutdownlab.probes.failure import StepFailed, is_own
from shutdownlab.probes.media import PACKETS, MediaStream
from shutdownlab.probes.phone import OWN_FAULT, Phone
from shutdownlab.probes.session import ProbeSession
from shutdownlab.probes.sip import (
    Identity,
    MalformedSip,
    SipMessage,
    bracketed,
    media_of,
    parse,
    request,
    response,
    session_description,
    uri_of,
    user_of,
)

ME = Identity("7700", "192.0.2.57", "198.51.100.2", 5060)


def test_a_request_reads_back_as_it_was_written() -> None:
    written = request(
        "INVITE", "sip:1@192.0.2.57", ME, "<sip:1@192.0.2.57>", call_id="c", sequence=7, tag="t",
        routes=["<sip:192.0.2.57;lr>"], extra=[("Subject", "a, b: c")], body=b"\0body",
    )  # fmt: skip
    read = parse(written.wire())
    assert (read.method, read.uri, read.body, read.transaction) == (
        "INVITE", "sip:1@192.0.2.57", b"\0body", ("c", "7 INVITE"),
    )  # fmt: skip
    assert read.get("subject") == "a, b: c"
    assert read.get("contact") == "<sip:7700@198.51.100.2:5060>"
    assert read.get("from") == "<sip:7700@192.0.2.57>;tag=t"


def test_a_response_keeps_the_way_back_and_completes_the_dialog() -> None:
    invite = parse(
        b"INVITE sip:7700@198.51.100.2 SIP/2.0\r\nRecord-Route: <sip:p1;lr>, <sip:p2;lr>\r\nv: SIP/2.0/UDP p1\r\n"
        b"Via: SIP/2.0/UDP caller\r\nf: <sip:1@x>;tag=a\r\nt: <sip:7700@x>\r\ni: call\r\nCSeq: 1 INVITE\r\n\r\n"
    )
    answer = parse(response(invite, 200, "OK", tag="mine").wire())
    assert (answer.code, answer.reason, answer.transaction) == (200, "OK", ("call", "1 INVITE"))
    assert answer.all("via") == ["SIP/2.0/UDP p1", "SIP/2.0/UDP caller"]
    assert answer.all("record-route") == ["<sip:p1;lr>", "<sip:p2;lr>"]
    assert answer.get("to") == "<sip:7700@x>;tag=mine"


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_a_session_description_tells_where_the_sound_goes(address: str) -> None:
    assert media_of(session_description(address, 16384)) == (address, 16384)


@pytest.mark.parametrize(
    ("value", "uri", "user"),
    [
        ('"A" <sip:7700@x;a=b>;tag=z', "sip:7700@x;a=b", "7700"),
        ("sip:7700@x;tag=z", "sip:7700@x", "7700"),
        ("<sip:[2001:db8::1]:5062;lr>", "sip:[2001:db8::1]:5062;lr", ""),
    ],
)
def test_an_address_is_found_in_a_header(value: str, uri: str, user: str) -> None:
    assert uri_of(value) == uri
    assert "@" not in uri or user_of(uri) == user


def test_addresses_of_version_6_stand_in_brackets() -> None:
    assert (bracketed("2001:db8::1"), bracketed("192.0.2.1")) == ("[2001:db8::1]", "192.0.2.1")


@given(st.binary(max_size=300))
def test_any_octets_are_a_message_or_malformed(data: bytes) -> None:
    for octets in (data, b"SIP/2.0 200 OK\r\n" + data + b"\r\n\r\n", b"BYE sip:a SIP/2.0\r\n" + data + b"\r\n\r\n"):
        try:
            message = parse(octets)
        except MalformedSip:
            continue
        assert message.method or message.code >= 0
        try:
            media_of(message.body)
        except MalformedSip:
            continue


def loopback(run: Callable[[Phone, socket.socket], Awaitable[None]], port: int) -> None:
    async def body() -> None:
        phone = Phone(port, socket.AF_INET)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", 0))
            other.setblocking(False)
            other.connect(("127.0.0.1", port))
            try:
                await asyncio.wait_for(run(phone, other), 10)
            finally:
                phone.close()

    asyncio.run(body())


def caller_of(other: socket.socket) -> Identity:
    address, port = other.getsockname()
    return Identity("1", "127.0.0.1", address, port)


def test_an_unanswered_request_is_sent_again() -> None:
    async def run(phone: Phone, registrar: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        me = Identity("7700", "127.0.0.1", "127.0.0.1", phone.port)
        message = request("OPTIONS", "sip:x", me, "<sip:x>", call_id="c", sequence=1, tag="t")
        asked = asyncio.create_task(phone.ask(message, registrar.getsockname(), 0.6))
        first = await loop.sock_recv(registrar, 2048)
        assert await loop.sock_recv(registrar, 2048) == first
        registrar.send(response(parse(first), 100, "Trying").wire())
        registrar.send(response(parse(first), 200, "OK").wire())
        assert (await asked).code == 200

    loopback(run, 25060)


def test_a_request_that_nobody_answers_times_out() -> None:
    async def run(phone: Phone, registrar: socket.socket) -> None:
        me = Identity("7700", "127.0.0.1", "127.0.0.1", phone.port)
        message = request("OPTIONS", "sip:x", me, "<sip:x>", call_id="c", sequence=1, tag="t")
        with pytest.raises(TimeoutError):
            await phone.ask(message, registrar.getsockname(), 0.1)

    loopback(run, 25061)


def test_a_telephone_rings_answers_speaks_and_counts() -> None:
    async def run(phone: Phone, caller: socket.socket) -> None:
        loop, me = asyncio.get_running_loop(), caller_of(caller)
        with MediaStream("127.0.0.1") as media:
            to = f"sip:7700@127.0.0.1:{phone.port}"
            body = session_description("127.0.0.1", media.port)
            invite = request("INVITE", to, me, f"<{to}>", call_id="c", sequence=1, tag="t", body=body)
            caller.send(invite.wire())
            ringing = parse(await loop.sock_recv(caller, 2048))
            answer = parse(await loop.sock_recv(caller, 2048))
            assert (ringing.code, answer.code) == (180, 200)
            assert uri_of(answer.get("contact")) == to
            caller.send(invite.wire())
            assert parse(await loop.sock_recv(caller, 2048)) == answer  # the same call, not a second one
            ack = request("ACK", to, me, answer.get("to"), call_id="c", sequence=1, tag="t")
            caller.send(ack.wire())
            media.start(*media_of(answer.body))
            await media.exchanged()
            bye = request("BYE", to, me, answer.get("to"), call_id="c", sequence=2, tag="t")
            caller.send(bye.wire())
            while (goodbye := parse(await loop.sock_recv(caller, 2048))).get("cseq") != "2 BYE":
                pass
        assert (media.received, goodbye.code) == (PACKETS, 200)
        assert goodbye.get("p-rtp-stat") == f"PS={PACKETS},PR={PACKETS}"

    loopback(run, 25062)


def test_a_telephone_whose_own_machine_lets_a_call_fail_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or its caller would be blocked by nobody: it has heard a number that is busy, or no audio."""

    def no_file(_: str) -> MediaStream:
        raise OSError(errno.EMFILE, "Too many open files")

    async def run(phone: Phone, caller: socket.socket) -> None:
        loop, me = asyncio.get_running_loop(), caller_of(caller)
        to = f"sip:7700@127.0.0.1:{phone.port}"
        body = session_description("127.0.0.1", 9)
        invite = request("INVITE", to, me, f"<{to}>", call_id="c", sequence=1, tag="t", body=body)
        caller.send(invite.wire())
        await loop.sock_recv(caller, 2048)
        answer = parse(await loop.sock_recv(caller, 2048))
        assert (answer.code, answer.get(OWN_FAULT)) == (500, "unknown_failure: the prober itself: too many open files")

        async def answered() -> SipMessage:
            return answer

        trace = SimpleNamespace(now=lambda: 0.0)
        with pytest.raises(StepFailed) as failed:
            session = cast(ProbeSession, SimpleNamespace(trace=trace))
            await calls._step(session, "sip_invite", answered(), {"answers": []})
        assert is_own(failed.value.failure)

    monkeypatch.setattr(telephone, "MediaStream", no_file)
    loopback(run, 25066)


def test_audio_that_this_machine_could_not_send_is_told_and_an_unreachable_end_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Refusing(socket.socket):
        error = OSError(errno.ENOBUFS, "No buffer space available")

        def sendto(self, *_: object) -> int:
            raise self.error

    async def run() -> None:
        for number, own in ((errno.ENOBUFS, True), (errno.EPERM, True), (errno.ECONNREFUSED, False)):
            Refusing.error = OSError(number, os.strerror(number))
            with MediaStream("127.0.0.1") as media:
                media.start("127.0.0.1", 9)
                await media._all_sent.wait()
            assert (media.unsent is Refusing.error) is own

    monkeypatch.setattr(audio, "socket", SimpleNamespace(**vars(socket) | {"socket": Refusing}))
    asyncio.run(run())


def test_a_telephone_keeps_the_messages_it_acknowledged() -> None:
    async def run(phone: Phone, sender: socket.socket) -> None:
        me = caller_of(sender)
        message = request("MESSAGE", "sip:7700@x", me, "<sip:7700@x>", call_id="c", sequence=1, tag="t", body=b"hi")
        sender.send(message.wire())
        answer = parse(await asyncio.get_running_loop().sock_recv(sender, 2048))
        assert (answer.code, phone.inbox) == (200, ["hi"])

    loopback(run, 25063)
