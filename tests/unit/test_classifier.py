"""A classifier as a rule: trained on captures by the example, written in ONNX, run by a box on other captures."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tunnel_captures import capture
from typer.testing import CliRunner
from wire import Connection, engine

from shutdownlab.cli import app
from shutdownlab.config.problems import BadInput
from shutdownlab.inspection.classifier import FEATURES, Classifier
from shutdownlab.inspection.policy import load_policy
from shutdownlab.protocol.messages import BoxPolicy, decode, encode

ROOT = Path(__file__).parents[2]
TRAIN, SHIPPED = ROOT / "examples/classifier/train.py", ROOT / "docs/reference/examples/tunnel.onnx"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained by the example on forty connections of each kind."""
    place = tmp_path_factory.mktemp("trained")
    kinds = [capture(place / f"{tunnels}.pcap", tunnels=tunnels, flows=40, seed=1) for tunnels in (True, False)]
    model = place / "tunnel.onnx"
    argv = [sys.executable, TRAIN, "--yes", kinds[0], "--no", kinds[1], "--packets", "6", "-o", model]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert said == f"{model}: 6 packets a connection, 100.0% of them told apart\n"
    return model


@pytest.fixture(scope="module")
def example() -> Any:
    spec = importlib.util.spec_from_file_location("train", TRAIN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rules(model: str, **more: object) -> str:
    asked = {"model": model, "packets": 6, **more}
    return f"rules:\n  - name: tunnels\n    when:\n      classifier: {json.dumps(asked)}\n    verdict: drop\n"


def inspected(place: Path, policy: str, *, tunnels: bool) -> list[str]:
    """The verdicts of `shutdownlab inspect` on a capture that the model has not seen."""
    (place / "policy.yaml").write_text(policy)
    capture(place / "new.pcap", tunnels=tunnels, flows=25, seed=2)
    argv = ["inspect", str(place / "new.pcap"), "--policy", str(place / "policy.yaml"), "--format", "jsonl"]
    done = CliRunner().invoke(app, argv)
    assert done.exit_code == 0, done.output
    return [json.loads(line)["verdict"] for line in done.stdout.splitlines()]


def test_a_box_blocks_what_the_model_takes_for_what_it_was_trained_on(trained: Path, tmp_path: Path) -> None:
    assert inspected(tmp_path, rules(str(trained)), tunnels=True) == ["drop"] * 25
    assert inspected(tmp_path, rules(str(trained)), tunnels=False) == ["pass"] * 25


def test_the_probability_asked_for_and_other_conditions_count(trained: Path, tmp_path: Path) -> None:
    assert inspected(tmp_path, rules(str(trained), at_least=1), tunnels=True) == ["pass"] * 25
    elsewhere = rules(str(trained)).replace("      classifier:", "      port: tcp/443\n      classifier:")
    assert inspected(tmp_path, elsewhere, tunnels=True) == ["pass"] * 25


def test_the_packet_that_completes_what_the_model_is_shown_gives_the_connection_away(trained: Path) -> None:
    (rule,) = load_policy(rules(str(trained)), "rules.yaml").rules
    connection = Connection(engine("perfect", rule), dport=8080)
    connection.open()
    noise = bytes((at * 89 + at * at * 7) % 256 for at in range(2000))
    said = []
    for client, size in ((True, 520), (False, 150), (True, 80), (False, 500), (True, 80), (False, 500), (True, 80)):
        connection.now += 0.04
        said.append((connection.data if client else connection.answer)(noise[:size]).forward)
    assert said == [True] * 5 + [False] * 2


def test_a_rule_with_its_model_travels_to_a_box(trained: Path) -> None:
    policy = load_policy(rules(str(trained), **{"class": 0}), "rules.yaml")
    message = BoxPolicy(1, "perfect", policy.rules)
    assert decode(encode(message)) == message


def test_the_model_of_the_examples_is_what_the_training_gives(trained: Path) -> None:
    ours, theirs = (Classifier(path.read_bytes(), 6, None) for path in (trained, SHIPPED))
    for shown in ([1.0, 500.0, 0.0, 7.5] * 6, [1.0, 300.0, 0.05, 3.8, -1.0, 1350.0, 0.05, 4.0] * 3):
        assert ours._run(shown) == pytest.approx(theirs._run(shown), abs=1e-3)


def test_a_model_may_take_its_packets_as_rows_and_have_several_classes(example: Any) -> None:
    """Shape [1, 6, 4] in; of two classes the first is the probability of not being one."""
    plain = example.onnx([0.0] * 24, 0.0)
    assert Classifier(plain, 6, 0)._run([1.0] * 24) == 0.5
    rows = three_dimensional(example)
    assert Classifier(rows, 6, 1)._run([0.0] * 24) == pytest.approx(1 / (1 + 2.718281828))


def three_dimensional(example: Any) -> bytes:
    """A model of rows: flattened, multiplied to two scores, which a softmax makes probabilities."""
    field, text, number, value = example._field, example._text, example._number, example._value
    graph = field(1, text(1, "x") + text(2, "flat") + text(4, "Flatten"))
    graph += field(1, text(1, "flat") + text(1, "w") + text(1, "b") + text(2, "z") + text(4, "Gemm"))
    graph += field(1, text(1, "z") + text(2, "probabilities") + text(4, "Softmax")) + text(2, "rows")
    graph += field(5, example._tensor("w", (24, 2), [0.0] * 48)) + field(5, example._tensor("b", (2,), [1.0, 0.0]))
    graph += field(11, value("x", (1, 6, 4))) + field(12, value("probabilities", (1, 2)))
    return number(1, 8) + field(7, graph) + field(8, text(1, "") + number(2, 13))


def refused(place: Path, content: bytes | None, **more: object) -> str:
    if content is not None:
        (place / "model.onnx").write_bytes(content)
    with pytest.raises(BadInput) as caught:
        load_policy(rules("model.onnx", **more), str(place / "rules.yaml"))
    return str(caught.value)


def test_a_file_that_is_not_a_model_is_refused_with_its_line_and_what_to_do(tmp_path: Path, example: Any) -> None:
    narrow, logits = example.onnx([0.0] * 10, 0.0), example.onnx([5.0] * 24, 3.0).replace(b"Sigmoid", b"Flatten")
    whole = example.onnx([0.0] * 24, 0.0)
    for content, more, told in (
        (None, {}, r"found 'model.onnx', which does not exist; expected the path of a model in ONNX"),
        (b"no model", {}, r"found what is none; expected a model in ONNX\n +hint: .*[Pp]rotobuf"),
        (narrow, {}, r"takes floats of \[1, 10\]; expected one input of floats, \[1, 24\] or \[1, 6, 4\]"),
        (logits, {}, r"a model that answers 3; expected probabilities, 0 to 1\n +hint: let it end with a Sigm"),
        (whole, {"class": 3}, r"classifier.class: found 3; expected a class from 0 to 0, of the model's 1"),
        (whole, {"packets": 33}, r"classifier.packets: found 33; expected at most 32"),
        (whole, {"at_least": 50}, r"classifier.at_least: found 50; expected at most 1"),
        (whole, {"threshold": 0.9}, r"unknown key 'threshold'"),
    ):  # fmt: skip
        message = refused(tmp_path, content, **more)
        assert re.search(told, message), message
        assert f"{tmp_path}/rules.yaml:4: rules[0].when.classifier" in message


def test_without_the_package_that_runs_models_it_says_what_to_install(
    tmp_path: Path, example: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    message = refused(tmp_path, example.onnx([0.25] * 24, 0.5))
    assert "found none on this machine; expected onnxruntime, which runs classifiers" in message
    assert "hint: pip install 'shutdownlab[onnx]'" in message


def test_what_runs_models_keeps_and_sends_nothing_of_its_own(tmp_path: Path) -> None:
    """onnxruntime has a telemetry; where it is on, there is an identifier of the machine in a file by the end."""
    (tmp_path / "rules.yaml").write_text(rules(str(SHIPPED)))
    code = (
        "import sys; from shutdownlab.inspection.policy import load_policy; load_policy(open('rules.yaml').read(), 'r')"
    )
    env = {**{key: value for key, value in os.environ.items() if "ORT_" not in key and "XDG" not in key}}
    argv = [sys.executable, "-c", code]
    done = subprocess.run(
        argv, cwd=tmp_path, env=env | {"HOME": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")
    assert [path.name for path in tmp_path.iterdir()] == ["rules.yaml"]


def test_nothing_of_it_is_loaded_for_rules_without_a_classifier() -> None:
    code = "import sys, shutdownlab.inspection.engine; print({'numpy', 'onnxruntime'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_four_numbers_of_each_packet_are_documented_in_their_order() -> None:
    assert len(FEATURES) == 4
