"""Classifiers as rule conditions: trained ONNX models that score a connection by its first packets.

This models censors that use machine learning, as in Wails et al., "On Precisely Detecting Censorship Circumvention in
Real-World Networks", NDSS 2024. Models run in `onnxruntime` (`pip install 'shutdownlab[onnx]'`), on the CPU in one
thread, so that the same packets always get the same score.
"""

from __future__ import annotations

import base64
import binascii
import math
import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from shutdownlab.config.document import Expected
from shutdownlab.inspection.first_packets import SeenPacket

FEATURES: Final = ("from the client 1, from the server -1", "payload bytes", "seconds since the one before", "entropy")
"""A model's inputs per packet, in this order; the entropy is in bits per byte, as in rules."""
MAX_BYTES: Final = 8 << 20
"""The largest model, in bytes: it must fit into a message to a DPI box."""
_SCHEME: Final = "data:application/octet-stream;base64,"
_FEW = 1e-6
"""How far outside 0 to 1 rounding may put a probability."""


def as_url(content: bytes) -> str:
    """Returns a model's bytes as a data URL (RFC 2397), the form that rules hold."""
    return _SCHEME + base64.b64encode(content).decode("ascii")


def content_of(url: str) -> bytes:
    """Returns a model's bytes from its data URL; raises `Expected`."""
    if url.startswith(_SCHEME):
        try:
            return base64.b64decode(url.removeprefix(_SCHEME), validate=True)
        except binascii.Error:
            pass
    hint = "only rules in a file can name other files"
    raise Expected(f"a model's bytes as {_SCHEME}…", hint, found="what is none")


def features(packets: Sequence[SeenPacket]) -> list[float]:
    """Returns a model's input for `packets`: the `FEATURES` of each, concatenated."""
    shown: list[float] = []
    for packet in packets:
        shown += (1.0 if packet.from_client else -1.0, float(packet.size), packet.gap, packet.entropy)
    return shown


class Classifier:
    """A model that takes a connection's first `packets` packets and returns the probability of one class."""

    def __init__(self, content: bytes, packets: int, column: int | None) -> None:
        """`column`: the class, counted from 0; None: the last. Raises `Expected` with the rule's key if unusable."""
        self._session = _session(content)
        self._packets = packets
        self._column = -1 if column is None else column
        self._input, self._shape = self._checked_input()
        self._output = self._checked_output()
        self._try_out(column)

    def score(self, packets: Sequence[SeenPacket]) -> float:
        """Returns the probability of the class, 0 to 1. `packets` must be at least as many as the model takes."""
        return self._run(features(packets[: self._packets]))

    def _run(self, shown: list[float]) -> float:
        import numpy

        given = numpy.asarray(shown, dtype=numpy.float32).reshape(self._shape)
        (found,) = self._session.run([self._output], {self._input: given})
        return float(found.reshape(-1)[self._column])

    def _checked_input(self) -> tuple[str, tuple[int, ...]]:
        taken = self._session.get_inputs()
        flat, deep = (1, self._packets * len(FEATURES)), (1, self._packets, len(FEATURES))
        expected = f"one input of floats, {list(flat)} or {list(deep)}, for `packets: {self._packets}`"
        if len(taken) != 1:
            raise Expected(expected, found=f"a model with {len(taken)} inputs", key="model")
        only = taken[0]
        for shape in (flat, deep):
            fits = len(only.shape) == len(shape) and all(
                not isinstance(size, int) or size == wanted for size, wanted in zip(only.shape, shape, strict=True)
            )
            if fits and only.type == "tensor(float)":
                return only.name, shape
        hint = f"of each packet {len(FEATURES)} numbers: {'; '.join(FEATURES)}"
        found = f"a model that takes {only.type.removeprefix('tensor(').removesuffix(')')}s of {list(only.shape)}"
        raise Expected(expected, hint, found=found, key="model")

    def _checked_output(self) -> str:
        for output in self._session.get_outputs():
            if output.type == "tensor(float)":
                name: str = output.name
                return name
        kinds = ", ".join(output.type for output in self._session.get_outputs())
        hint = "skl2onnx: options={'zipmap': False}"
        raise Expected("an output of floats, one a class", hint, found=f"a model with outputs {kinds}", key="model")

    def _try_out(self, column: int | None) -> None:
        """Runs the model on zeros and on a typical packet; raises `Expected` unless it returns probabilities."""
        import numpy

        for shown in ([0.0] * (self._packets * len(FEATURES)), [1.0, 1400.0, 0.01, 7.9] * self._packets):
            given = numpy.asarray(shown, dtype=numpy.float32).reshape(self._shape)
            try:
                (found,) = self._session.run([self._output], {self._input: given})
            except Exception as error:
                raise Expected(
                    "a model that runs", _first_line(error), found="one that does not", key="model"
                ) from None
            scores = [float(score) for score in found.reshape(-1)]
            if column is not None and column >= len(scores):
                classes = f"a class from 0 to {len(scores) - 1}, of the model's {len(scores)}"
                raise Expected(classes, found=str(column), key="class")
            if not all(math.isfinite(score) and -_FEW <= score <= 1 + _FEW for score in scores):
                hint = "let it end with a Sigmoid or a Softmax"
                found_here = f"a model that answers {', '.join(f'{score:g}' for score in scores[:4])}"
                raise Expected("probabilities, 0 to 1", hint, found=found_here, key="model")


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _session(content: bytes) -> Any:
    """Loads a model into onnxruntime; raises `Expected` if it is not ONNX or onnxruntime is not installed."""
    # From 1.29 on, onnxruntime sends telemetry and stores a machine identifier unless these are set before its import:
    # its pull requests 27379 and 29843 name one variable each.
    os.environ |= {"ORT_DISABLE_TELEMETRY": "1", "ORT_TELEMETRY_DISABLED": "1"}
    try:
        import onnxruntime
    except ImportError:
        hint = "pip install 'shutdownlab[onnx]'"
        raise Expected("onnxruntime, which runs classifiers", hint, found="none on this machine", key="model") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # boxes are forked; also makes sums reproducible
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own exceptions have no common class
        raise Expected("a model in ONNX", _first_line(error), found="what is none", key="model") from None


@lru_cache(maxsize=16)
def classifier(url: str, packets: int, column: int | None) -> Classifier:
    """Returns the classifier for a rule's model (cached). Raises `Expected` with the rule's key if unusable."""
    return Classifier(content_of(url), packets, column)
