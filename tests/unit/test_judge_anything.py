"""Whatever stands in a measurement, it is judged or refused with a message."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ooni_files import Json, answer, connect, control, handshake, measurement, query, request, website

from shutdownlab.ooni.judging import NotJudged, judge_one
from shutdownlab.ooni.rules import BY_NAME

URL = "https://a.example/"
SITE = website(
    URL,
    "0.5.28",
    queries=[query("a.example", answer("93.184.216.34", 15133), answer("2001:db8::1"))],
    connects=[connect("93.184.216.34", 443), connect("2001:db8::1", 443, "network_unreachable", transaction=3)],
    handshakes=[handshake("93.184.216.34:443", "a.example", "connection_reset")],
    requests=[request(URL, code=200, body="<title>Something here</title>", headers={"X-A": "b"})],
    helper=control(
        "93.184.216.34",
        tcp={"93.184.216.34:443": None},
        tls={"93.184.216.34:443": ("a.example", None)},
        title="Something here",
        asns={"93.184.216.34": 15133},
    ),
    says={"blocking": False, "dns_consistency": "consistent"},
)
APPS = [
    measurement(name, "0.11.0", None, SITE["test_keys"] | {"signal_backend_failure": None, "whatsapp_web_failure": ""})
    for name in ("whatsapp", "telegram", "signal", "facebook_messenger")
]

odd_texts = st.sampled_from(
    [
        "",
        "http://[",
        "https://[",
        "a",
        "fe80::1%eth0",
        "depth=" + "9" * 5000,
        "fetch_body=true",
        "\ud800",
        "[::1]:x",
        "\u0661",
    ]
)
odd_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4) | odd_texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [place for key, value in items for place in [(*path, key), *places(value, (*path, key))]]


def bent(data: Json, changes: list[tuple[tuple[Any, ...], Any]]) -> Json:
    data = copy.deepcopy(data)
    for path, value in changes:
        holder: Any = data
        for key in path[:-1]:
            holder = holder[key] if isinstance(holder, dict | list) and key in _keys(holder) else None
        if isinstance(holder, dict | list) and path[-1] in _keys(holder):
            holder[path[-1]] = value
    return data


def _keys(holder: Any) -> Any:
    return holder if isinstance(holder, dict) else range(len(holder))


@pytest.mark.parametrize("rules", [None, *BY_NAME])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_bent_measurement_is_judged_or_refused(rules: str | None, data: st.DataObject) -> None:
    original = data.draw(st.sampled_from([SITE, *APPS]))
    at = st.sampled_from(places(original))
    changed = bent(original, data.draw(st.lists(st.tuples(at, odd_values), min_size=1, max_size=4)))
    try:
        found = judge_one(json.dumps(changed), BY_NAME[rules] if rules else None)
    except NotJudged as why:
        assert why.found and why.expected
    else:
        assert set(found.fields) >= {each.field for each in found.differs}


@settings(max_examples=100, deadline=None)
@given(cut=st.integers(0, len(json.dumps(SITE)) - 1))
def test_a_measurement_cut_anywhere_is_refused(cut: int) -> None:
    with pytest.raises(NotJudged, match=r"found a line that is not JSON \(Input data was truncated\)"):
        judge_one(json.dumps(SITE)[:cut])
