"""Scenarios, topologies and the files they name, bent in every way that the models know of. Repeatable from a seed."""

from __future__ import annotations

import json
import random
import types
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from fuzz_mutator import Mutator
from pydantic import BaseModel

from shutdownlab import library
from shutdownlab.inspection.apps import Catalogue
from shutdownlab.inspection.policy import InspectionPolicy
from shutdownlab.inspection.profile import Profile
from shutdownlab.model.observation import Observation
from shutdownlab.model.probe import Probe
from shutdownlab.model.registered import Registered, kinds_of
from shutdownlab.model.scenario import Scenario
from shutdownlab.model.topology import Topology

Place = tuple[str | int, ...]
GOLDEN = Path(__file__).parent.parent / "golden"

WORDS = (
    *("20ms", "90s", "12min", "6h", "150kbit", "30mbit", "0.5", "1", "443", "tcp/443", "udp/1-65535", "https/443"),
    *("100.64.0.0/16", "2001:db8::/32", "192.0.2.1", "10.9.0.0/16", "2022-01-05T10:30Z", "08:00-20:00", "+06:00"),
    *("kaspi.kz", "www.example.org", "https://kaspi.kz/", "tls://8.8.8.8", "whatsapp", "telegram", "northnet", "coast"),
    *("capital", "ordinary", "government", "blackout", "transit-one", "two-operators", "ok", "blocked", "all"),
    *("everything", "drop", "reset", "dpi", "tls", "quic", "web", "tcp", "bgp", "perfect", "other", "./own.yaml"),
)
"""What is right somewhere."""

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 65536, 2**31, 2**63, 10**39, 0.1, -0.0, [], {}, [[]], [{}], {"": ""}, [None], ""),
    *(" ", "\n", "a\nb", "\0", "\x1b[2J", "é", "\u2028", "😀", "x" * 300, "9" * 400 + "mbit", "9" * 400 + "s", "inf"),
    *(
        "nan",
        "-1s",
        "0kbit",
        "1e400",
        "\u0663",
        "\u0663s",
        "\u0661\u0660.\u0660.\u0660.\u0660/\u0668",
        "0001-01-01T00:00+14:00",
        "9999-12-31T23:59-14:00",
    ),
    *("2022-W01", "24:00-25:00", "fe80::1%eth0", "1.1.1.1%\n", "127.0.0.0/8", "224.0.0.0/4", "::/0", "0.0.0.0/0"),
    *("::1", "ff00::/8", "1.2.3.4/99", "tcp/0", "tcp/9-1", "http://[", "http://x:99999/", "http://x:x/", "http://é/"),
    *("http://a b/", "http://u@x/", "http://", "https://x:0/", "//x", "[/red]", "[bold]", "\\", '";}\ninclude "x";'),
    *("a(?=b)", "(" * 500, "a{1000}{1000}", "[", "\\", "../../../dev/zero", "/dev/zero", "/proc/self/mem", "."),
    *("/", "./own.yaml", "x/" * 200, "a" * 64 + ".kz", ".", "..", "-", "--help", "*", "~", "_", "xn--", "xn--a.kz"),
)
RAW = (
    *("9" * 5000, "-" + "9" * 4299, "!!float 1.2.3", "!!int x", "!!bool x", "!!null x", "!!timestamp x", "1e999"),
    *(".inf", "-.inf", ".nan", "off", "yes", "~", "0x10", "0o17", "1_000", "2022-01-05", "10:30", '"\\u12"', '"\\xg"'),
    *(
        "!!binary aGk=",
        "!x y",
        "!!set {a}",
        "!!omap [a: 1]",
        "&a [*a]",
        "*nowhere",
        "'",
        '"',
        "|",
        "%",
        "@",
        "`",
        "{[}",
    ),
    *("1.2.3", "1.", ".", "+", "-", "0.5e3", "9" * 39 + ".5", "1e-999", "<<", "? a", "\t", "- - -", "---", "..."),
)
"""As they stand in the file, without quotes."""


class Documents:
    """Makes files. `scenario()`, `topology()`, … are what they should be, more or less."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.mutator = Mutator(seed)
        self.bases: dict[type[BaseModel], list[Any]] = {
            Scenario: [_shipped("scenarios", "first-shutdown"), _golden("valid-scenario.yaml")],
            Topology: [
                _shipped("topologies", "two-operators"),
                _golden("valid-topology.yaml"),
                _golden("own/country-of-three-kinds.yaml"),
            ],
            InspectionPolicy: [_golden("valid-policy.yaml")],
        }
        self.large = [_shipped("scenarios", "kazakhstan-2022"), _shipped("topologies", "kazakhstan")]

    def files(self) -> dict[str, bytes]:
        """A scenario or topology, `main.yaml`, and now and then one that it names."""
        rng = self.rng
        made: dict[str, bytes] = {}
        kind: type[BaseModel] = rng.choice((Scenario, Scenario, Topology))
        main = self.document(kind)
        if isinstance(main, dict) and rng.random() < 0.2:
            other: type[BaseModel] = rng.choice((Catalogue, Profile, InspectionPolicy, Topology))
            made["own.yaml"] = self.text(self.document(other))
            key = {Catalogue: "apps", Profile: "profile", Topology: "topology"}.get(other)
            if key:
                main[key] = ["./own.yaml"] if key == "apps" else "./own.yaml"
            elif isinstance(main.get("policies"), dict):
                main["policies"]["inspected"] = {"title": "by file", "inspect": "./own.yaml", "source": "nobody"}
        made["main.yaml"] = self.text(main)
        return made

    def text(self, data: Any) -> bytes:
        """JSON, which is YAML, with some scalars as no JSON has them; some of it damaged."""
        text = json.dumps(data, indent=1, ensure_ascii=False).encode("utf-8", "replace")
        for number, raw in enumerate(RAW):
            text = text.replace(f'"@{number}@"'.encode(), raw.encode())
        return self.mutator.mutate(text) if self.rng.random() < 0.1 else text

    def document(self, kind: type[BaseModel]) -> Any:
        """A document of a kind: one that is right with some changes, or one made up."""
        rng = self.rng
        bases = self.bases.get(kind)
        if not bases or rng.random() < 0.2:
            made = self.value(kind, 0)
            return {"format": 1, **made} if isinstance(made, dict) else made
        base = rng.choice(self.large) if rng.random() < 0.01 and kind in (Scenario, Topology) else rng.choice(bases)
        data = json.loads(base)
        for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
            self.change(data, kind)
        return data

    def change(self, data: Any, kind: type[BaseModel]) -> None:
        """One change somewhere: another value of the same type or of none, one less, one twice, one too many, many."""
        rng = self.rng
        places = list(_places(data, kind))
        path, annotation = rng.choice(places)
        holder = data
        for step in path[:-1]:
            holder = holder[step]
        last = path[-1]
        match rng.randrange(10):
            case 0:
                del holder[last]
            case 1 if isinstance(holder, list):
                holder.insert(int(last), holder[int(last)])
            case 1:
                holder[f"{last}-2"] = holder[last]
            case 2 if isinstance(holder, dict):
                holder[rng.choice((*map(str, ODD), *WORDS))] = holder[last]
            case 3 if rng.random() < 0.05:
                many = rng.choice((1000, 5000))
                if isinstance(holder, list):
                    holder += [holder[int(last)]] * many
                elif not isinstance(holder[last], dict | list):
                    holder |= {f"{last}-{number}": holder[last] for number in range(many)}
            case 4:
                holder[last] = rng.choice(list(_places(data, kind)))[1] and self.scalar()
            case 5 | 6:
                holder[last] = self.odd()
            case _:
                holder[last] = self.value(annotation, 2)

    def odd(self) -> Any:
        return f"@{self.rng.randrange(len(RAW))}@" if self.rng.random() < 0.3 else self.rng.choice(ODD)

    def scalar(self) -> Any:
        return self.rng.choice(WORDS) if self.rng.random() < 0.8 else self.odd()

    def value(self, annotation: Any, depth: int) -> Any:
        """What a field of this type may have."""
        rng = self.rng
        if rng.random() < 0.03 or depth > 8:
            return self.odd()
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            return self.value(arguments[0], depth)
        if origin is Literal:
            return rng.choice(arguments)
        if origin in (Union, types.UnionType):
            return self.value(rng.choice(arguments), depth)
        if origin in (tuple, list, frozenset):
            return [self.value(arguments[0], depth + 1) for _ in range(rng.choice((0, 1, 1, 2, 3)))]
        if origin is dict:
            return {str(self.scalar()): self.value(arguments[1], depth + 1) for _ in range(rng.choice((0, 1, 2)))}
        if not isinstance(annotation, type):
            return self.scalar()
        if issubclass(annotation, BaseModel):
            return self._record(annotation, depth)
        if issubclass(annotation, Enum):
            return rng.choice([str(member.value) for member in annotation])
        if annotation is bool:
            return rng.random() < 0.5
        if annotation in (int, float) and rng.random() < 0.7:
            return rng.choice((0, 1, 2, 100, 0.5, 64512, 65535))
        return self.scalar()

    def _record(self, kind: type[BaseModel], depth: int) -> dict[str, Any]:
        rng = self.rng
        made: dict[str, Any] = {}
        if kind in (Probe, Observation):
            assert issubclass(kind, Registered)
            name = rng.choice(list(kinds_of(kind)))
            made[kind.named_by], kind = name, kinds_of(kind)[name]
        for name, info in kind.model_fields.items():
            key = info.alias or name
            if key not in made and rng.random() < (0.95 if info.is_required() else 0.25):
                made[key] = self.value(info.annotation, depth + 1)
        return made


def _places(data: Any, annotation: Any, path: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every place in a document with the type of what should be there (None: no model says)."""
    if path:
        yield path, annotation
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _places(value, _inner(annotation, data, key), (*path, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _places(value, _inner(annotation, data, index), (*path, index))


def _inner(annotation: Any, data: Any, key: str | int) -> Any:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _inner(arguments[0], data, key)
    if origin in (Union, types.UnionType):
        return next((found for part in arguments if (found := _inner(part, data, key)) is not None), None)
    if origin is dict:
        return arguments[1]
    if origin in (tuple, list, frozenset) and isinstance(data, list):
        return arguments[0]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and isinstance(data, dict):
        kind = annotation.variant(data) if issubclass(annotation, Registered) else annotation
        return next((i.annotation for name, i in kind.model_fields.items() if key in (name, i.alias)), None)
    return None


def _shipped(kind: library.Kind, name: str) -> str:
    return _plain(dict(library.shipped(kind))[name].read_bytes())


def _golden(name: str) -> str:
    return _plain((GOLDEN / name).read_bytes())


class _Texts(yaml.SafeLoader):
    """Reads times as text, as the project does."""


_Texts.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if "timestamp" not in tag]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _plain(text: bytes) -> str:
    return json.dumps(yaml.load(text, Loader=_Texts))
