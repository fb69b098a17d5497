"""A short run of the fuzzer; `python tests/fuzz/fuzz_inspection.py --packets 10000000` is the long one."""

from __future__ import annotations

import os

import pytest
from fuzz_inspection import Failure, Fuzzer, fuzz


def test_thirty_thousand_mutated_packets_raise_nothing_and_stall_nothing() -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")  # shown if it fails
    report = fuzz(30_000, seed)
    assert report["packets"] >= 30_000


def test_the_fuzzer_notices_a_parser_that_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_data: bytes) -> None:
        raise IndexError("on purpose")

    monkeypatch.setattr("fuzz_inspection.parse_pieces", broken)
    fuzzer = Fuzzer(1)
    with pytest.raises(Failure, match="on purpose"):
        for _ in range(1000):
            fuzzer.step()
