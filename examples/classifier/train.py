"""Trains a classifier for DPI boxes: what censors do who learn what tunnels look like from captures of them.

    python train.py --yes tunnels.pcap --no everything-else.pcap --packets 6 -o tunnel.onnx

Each connection's first packets with payload become 4 numbers each, as the boxes of shutdownlab see them; a logistic
regression learns to tell the two captures apart, and is written in ONNX, for a rule:

    when: {classifier: {model: tunnel.onnx, packets: 6, at_least: 0.9}}

Whatever else writes ONNX does as well (skl2onnx, torch.onnx): the shapes are what counts. Needs numpy.
"""

from __future__ import annotations

import argparse
import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from shutdownlab.inspection.capture import open_capture
from shutdownlab.inspection.classifier import FEATURES, features
from shutdownlab.inspection.first_packets import Trace
from shutdownlab.inspection.links import decode_frame


def first_packets(capture: Path, packets: int) -> list[list[float]]:
    """The numbers of every connection of a capture that has so many packets with payload."""
    traces: dict[tuple[bytes, ...], tuple[bytes, Trace]] = {}
    for now, link, data in open_capture(capture):
        packet = decode_frame(link, data)
        if packet.proto not in (6, 17) or packet.problem or packet.end <= packet.payload:
            continue
        ends = [packet.src + packet.sport.to_bytes(2, "big"), packet.dst + packet.dport.to_bytes(2, "big")]
        client, trace = traces.setdefault((*sorted(ends), bytes([packet.proto])), (ends[0], Trace(packets)))
        trace.take(ends[0] == client, packet.data, packet.end - packet.payload, 0, now)
    return [features(trace.packets) for _, trace in traces.values() if len(trace.packets) == packets]


def train(yes: Iterable[list[float]], no: Iterable[list[float]], steps: int = 3000) -> tuple[np.ndarray, float]:
    """The weights and the bias of a logistic regression, by gradient descent; more of one kind counts no more."""
    kinds = [np.asarray(list(kind), dtype=float) for kind in (yes, no)]
    shown, wanted = np.concatenate(kinds), np.repeat([1.0, 0.0], [len(kind) for kind in kinds])
    counts = np.repeat([0.5 / len(kind) for kind in kinds], [len(kind) for kind in kinds])
    middle, spread = shown.mean(axis=0), np.maximum(shown.std(axis=0), 1e-6)
    scaled, weights, bias = (shown - middle) / spread, np.zeros(shown.shape[1]), 0.0
    for _ in range(steps):
        off = (1 / (1 + np.exp(-(scaled @ weights + bias))) - wanted) * counts
        weights -= scaled.T @ off + 1e-4 * weights
        bias -= off.sum()
    return weights / spread, float(bias - (weights * middle / spread).sum())


def onnx(weights: np.ndarray, bias: float) -> bytes:
    """The regression as an ONNX model: a matrix product and a sigmoid (onnx.proto, IR version 8, operators 13)."""
    count = len(weights)
    graph = _field(1, _text(1, "x") + _text(1, "w") + _text(1, "b") + _text(2, "z") + _text(4, "Gemm"))
    graph += _field(1, _text(1, "z") + _text(2, "probability") + _text(4, "Sigmoid"))
    graph += _text(2, "classifier")
    graph += _field(5, _tensor("w", (count, 1), weights)) + _field(5, _tensor("b", (1,), [bias]))
    graph += _field(11, _value("x", (1, count))) + _field(12, _value("probability", (1, 1)))
    return _number(1, 8) + _text(2, "shutdownlab") + _field(7, graph) + _field(8, _text(1, "") + _number(2, 13))


def _tensor(name: str, shape: tuple[int, ...], values: Iterable[float]) -> bytes:
    raw = b"".join(struct.pack("<f", value) for value in values)
    return b"".join(_number(1, size) for size in shape) + _number(2, 1) + _text(8, name) + _field(9, raw)


def _value(name: str, shape: tuple[int, ...]) -> bytes:
    sizes = b"".join(_field(1, _number(1, size)) for size in shape)
    return _text(1, name) + _field(2, _field(1, _number(1, 1) + _field(2, sizes)))


def _varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + _varint(number >> 7)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _field(field, text.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains a classifier for DPI boxes from captures.")
    parser.add_argument("--yes", type=Path, nargs="+", required=True, help="captures of what is to be found")
    parser.add_argument("--no", type=Path, nargs="+", required=True, help="captures of everything else")
    parser.add_argument("--packets", type=int, default=6, help="how many packets of a connection it is shown")
    parser.add_argument("-o", dest="model", type=Path, required=True, help="the model, in ONNX")
    given = parser.parse_args()
    kinds = [[each for file in files for each in first_packets(file, given.packets)] for files in (given.yes, given.no)]
    for kind, name in zip(kinds, ("--yes", "--no"), strict=True):
        if not kind:
            parser.error(f"no connection of {name} has {given.packets} packets with payload")
    weights, bias = train(*kinds)
    given.model.write_bytes(onnx(weights, bias))
    said = [[float(np.dot(weights, each)) + bias > 0 for each in kind] for kind in kinds]
    right = sum(said[0]) + len(said[1]) - sum(said[1])
    share = right / sum(map(len, kinds))
    print(f"{given.model}: {len(weights) // len(FEATURES)} packets a connection, {share:.1%} of them told apart")


if __name__ == "__main__":
    main()
