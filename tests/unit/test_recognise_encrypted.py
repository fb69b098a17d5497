"""The fully-encrypted rule at its exact bounds, and entropy."""

from __future__ import annotations

import random

import pytest

from shutdownlab.inspection.recognisers.encrypted import entropy, fully_encrypted
from shutdownlab.inspection.recognition import recognise_tcp


def noise(length: int, seed: int = 1) -> bytes:
    """Random bytes that open with an unprintable one and are no protocol by accident."""
    return b"\xa5" + random.Random(seed).randbytes(length - 1)


def test_random_bytes_are_blocked() -> None:
    assert all(fully_encrypted(noise(200, seed)) for seed in range(50))
    found = recognise_tcp(noise(200), b"", 443)
    assert (found.protocol, found.more) == ("fet", False)
    assert (found.entropy or 0) > 6.5


@pytest.mark.parametrize(("ones", "blocked"), [(340, False), (341, True), (459, True), (460, False)])
def test_bits_per_byte_at_the_bounds(ones: int, blocked: bool) -> None:
    """100 bytes with exactly `ones` bits set: 3.40 and 4.60 are exempt, what lies between is not."""
    low, extra = divmod(ones, 100)
    values = {3: 0x07, 4: 0x0F, 5: 0x1F}
    payload = bytes([values[low + 1]] * extra + [values[low]] * (100 - extra))
    assert int.from_bytes(payload, "big").bit_count() == ones
    assert fully_encrypted(payload) is blocked


def test_first_six_printable_bytes_exempt() -> None:
    assert fully_encrypted(b"ABCDE" + b"\xa5" + noise(100))
    assert not fully_encrypted(b"ABCDEF" + noise(100))


def test_more_than_half_printable_exempts() -> None:
    pairs = b"\xa5Z" * 50
    assert fully_encrypted(pairs)
    assert not fully_encrypted(pairs + b"Z")


def test_more_than_twenty_contiguous_printable_bytes_exempt() -> None:
    filler = b"\xa5\xc3" * 40
    assert fully_encrypted(filler + b"Z" * 20 + filler)
    assert not fully_encrypted(filler + b"Z" * 21 + filler)


@pytest.mark.parametrize(
    "head", [b"\x16\x03\x00", b"\x16\x03\x09", b"\x17\x03\x03", b"GET ", b"PUT ", b"POST", b"HEAD"]
)
def test_tls_and_http_beginnings_exempt(head: bytes) -> None:
    assert not fully_encrypted(head + noise(100))


@pytest.mark.parametrize("head", [b"\x15\x03\x03", b"\x16\x03\x0a", b"\x16\x02\x01", b"GETX"])
def test_near_misses_do_not(head: bytes) -> None:
    assert fully_encrypted(head + noise(300))


def test_nothing_is_not_encrypted() -> None:
    assert not fully_encrypted(b"")


def test_obfs4_sizes_are_noted() -> None:
    assert recognise_tcp(noise(900), noise(400, 2), 9443).variant == "obfs4"
    assert recognise_tcp(noise(60), noise(400, 2), 9443).variant is None


def test_entropy_of_known_distributions() -> None:
    assert entropy(b"") == 0
    assert entropy(b"a" * 100) == 0
    assert entropy(bytes(range(256))) == pytest.approx(8)
    assert entropy(b"ab" * 10) == pytest.approx(1)
