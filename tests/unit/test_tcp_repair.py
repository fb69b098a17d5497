"""What the ends of a connection offered each other in their handshake."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shutdownlab.system.tcp_repair import Offer, read_offer

LINUX = bytes.fromhex("020405b40402080a000000010000000001030307")


@pytest.mark.parametrize(
    ("options", "offer"),
    [
        (LINUX, Offer(1460, 7, True, True)),
        (b"", Offer(536, None, False, False)),
        (bytes.fromhex("0204ffff"), Offer(65535)),
        (bytes.fromhex("030320"), Offer(scale=14)),
        (bytes.fromhex("0101000204ffff"), Offer()),
    ],
    ids=["Linux", "none", "MSS", "a scale above 14", "nothing after the end"],
)
def test_options_are_read_as_the_kernel_reads_them(options: bytes, offer: Offer) -> None:
    assert read_offer(options) == offer


@given(st.binary(max_size=40))
def test_options_that_make_no_sense_do_no_harm(options: bytes) -> None:
    read_offer(options)


@given(st.integers(0, len(LINUX)))
def test_options_cut_short_give_what_was_whole(length: int) -> None:
    whole = read_offer(LINUX)
    cut = read_offer(LINUX[:length])
    assert cut.mss in (whole.mss, Offer().mss)
    assert cut.scale in (whole.scale, None)
