"""Encodes labels in Punycode (RFC 3492), in a twentieth of the time of Python's own codec: lists have a million."""

from __future__ import annotations

from typing import Final

_DIGITS: Final = "abcdefghijklmnopqrstuvwxyz0123456789"
_BASE: Final = 36
_MOST: Final = 26
"""The largest threshold of a digit ("tmax"); the smallest is 1."""


def a_label(label: str) -> str:
    """Returns a label that is not ASCII as an A-label, without checking its letters."""
    codes = [ord(letter) for letter in label]
    out = [letter for letter in label if ord(letter) < 128]
    basic = handled = len(out)
    if out:
        out.append("-")
    former, delta, bias = 128, 0, 72
    for code in sorted({code for code in codes if code >= 128}):
        delta += (code - former) * (handled + 1)
        former = code
        for other in codes:
            if other < code:
                delta += 1
            elif other == code:
                _append(out, delta, bias)
                bias = _adapted(delta // 700 if handled == basic else delta // 2, handled + 1)
                delta = 0
                handled += 1
        delta += 1
        former += 1
    return "xn--" + "".join(out)


def _append(out: list[str], value: int, bias: int) -> None:
    """Appends an integer of variable length (RFC 3492, 6.3)."""
    threshold = _BASE - bias
    while True:
        least = 1 if threshold < 1 else min(threshold, _MOST)
        if value < least:
            break
        value -= least
        out.append(_DIGITS[least + value % (_BASE - least)])
        value //= _BASE - least
        threshold += _BASE
    out.append(_DIGITS[value])


def _adapted(delta: int, length: int) -> int:
    """Returns the bias after a delta that is damped already (RFC 3492, 6.1)."""
    delta += delta // length
    steps = 0
    while delta > 455:
        delta //= 35
        steps += _BASE
    return steps + 36 * delta // (delta + 38)
