"""A subscriber's view: its addresses and resolver, its packets' path, and web pages as its browser would show them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from subprocess import TimeoutExpired
from typing import Any, Final
from urllib.parse import quote

from shutdownlab.config.idn import to_ascii
from shutdownlab.config.wording import quoted
from shutdownlab.country.lab import Lab
from shutdownlab.model.lookup import refuse, vantage_point

_MOST_HOPS: Final = 14
_WAIT_S: Final = 1
_FETCH_S: Final = 8
_LOOKING_UP: Final = {"RES_OPTIONS": "timeout:2 attempts:2"}
"""For curl (resolv.conf(5)): a viewer should not wait half a minute for a name that does not resolve."""
_LOOKUP_S: Final = 25
"""Added to curl's own time limit, which it exceeds during an unanswered lookup: it waits for its resolver's thread."""
_MOST_PAGE: Final = 200_000
_NAME: Final = re.compile(r"(?!-)[A-Za-z0-9.:_-]{1,253}")
_URL: Final = re.compile(r"https?://[\x21-\x7e]{1,2000}")
_HOP: Final = re.compile(r"^From ([0-9a-f.:]+)[: ].*(?:Time to live|Hop limit)", re.MULTILINE | re.IGNORECASE)
_ECHO: Final = re.compile(r"bytes from .*?([0-9a-f.:]+)\)?: .*time=([0-9.]+)")
_MARK: Final = "\n--shutdownlab--"
_BAD_CERTIFICATE: Final = frozenset({51, 60})
"""curl's exit codes for a bad certificate; since 7.62 it is 60 for any defect."""
_WARNINGS: Final = {
    "alternative certificate subject name|does not match target host": "the certificate belongs to another site.",
    "certificate has expired": "the certificate has expired.",
    "certificate is not yet valid": "the certificate is not valid yet.",
    "": "the certificate was issued by an authority that this browser does not trust.",
}
"""By regular expression for curl's message; the first that matches counts, and the last matches anything."""


def subscriber(lab: Lab, vantage: str) -> dict[str, Any]:
    """Describes the subscriber at a vantage point; raises `BadInput` if there is no such vantage point."""
    network = lab.plan.loaded.network
    place = vantage_point(network.topology, vantage, "vantage")
    node = lab.node(str(place.id))
    resolver = network.resolver_of(place)
    return {
        "vantage": str(place.id),
        "node": node.name,
        "title": node.title,
        "operator": network.topology.operators[place.id.operator].title,
        "access": place.access,
        "class": place.class_,
        "millions": float(f"{place.weight:.3g}"),
        "addresses": [str(address) for address in node.addresses],
        "resolver": {"node": resolver.name, "address": str(resolver.address(4))},
    }


def traced(lab: Lab, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Traces the path of a subscriber's packets to `target`: one echo per distance (`ping -t`), all at once."""
    node, typed = _node(lab, asked), str(asked.get("target", ""))
    target = _on_the_wire(typed.strip())
    if not _NAME.fullmatch(target):
        refuse("target", quoted(typed), "a name or an address, such as 8.8.8.8")
    names = {str(address): other.name for other in lab.nodes.values() for address in other.addresses}

    def echo(distance: int) -> tuple[str, str, bool]:
        argv = ["ping", "-n", "-c", "1", "-W", str(_WAIT_S), "-t", str(distance), target]
        try:
            done = lab.exec(node, argv, timeout=_FETCH_S)
        except TimeoutExpired:  # the machine is busy: ping itself times out long before
            return "", "", False
        if answer := _ECHO.search(done.stdout):
            return answer[1], f"{float(answer[2]):.1f} ms", True
        if hop := _HOP.search(done.stdout):
            return hop[1], "", False
        return "", (done.stderr.strip().splitlines() or [""])[-1], False

    with ThreadPoolExecutor(_MOST_HOPS) as pool:
        found = list(pool.map(echo, range(1, _MOST_HOPS + 1)))
    return {"hops": list(_shown(found, names))}


def _shown(found: list[tuple[str, str, bool]], names: Mapping[str, str]) -> Iterator[list[str]]:
    """Yields [distance, address, node, observation] for each hop up to the last that answers."""
    last = max((place for place, (address, _, _) in enumerate(found) if address), default=-1)
    for place, (address, seen, there) in enumerate(found):
        if place > last:
            if place == 0 or not found[last][2]:
                yield [str(place + 1), "", "", seen or "no answer, here or beyond"]
            return
        yield [str(place + 1), address, names.get(address, ""), seen or ("" if address else "no answer")]
        if there:
            return


def fetched(lab: Lab, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Fetches a page as the subscriber by curl. `asked`: `url`, as typed; `anyway`: even if the certificate is not
    trusted."""
    node, url = _node(lab, asked), page_address(str(asked.get("url", "")))
    argv = ["curl", "-sS", "-m", str(_FETCH_S), "--max-filesize", str(_MOST_PAGE), "--proto", "=http,https"]
    argv += [
        "--globoff",
        "-L",
        "--max-redirs",
        "5",
        "--proto-redir",
        "=http,https",
        "-w",
        f"%{{stderr}}{_MARK}%{{json}}",
    ]
    argv += ["-k"] if asked.get("anyway") is True else []
    done = lab.exec(node, [*argv, "--", url], timeout=_FETCH_S + _LOOKUP_S, env=_LOOKING_UP, text=False)
    progress, _, info = done.stderr.decode(errors="replace").partition(_MARK)
    seen: Mapping[str, Any] = json.loads(info) if info.startswith("{") else {}
    code = done.returncode
    return {
        "url": str(seen.get("url_effective") or url),
        "address": str(seen.get("remote_ip") or ""),
        "status": int(seen.get("response_code") or 0),
        "seconds": round(float(seen.get("time_total") or 0), 2),
        "failed": "" if code == 0 else (progress.strip().splitlines() or [f"curl ended with {code}"])[0],
        "warning": warning_of(code, progress),
        "certificate": _certificate(lab, node, url) if code in _BAD_CERTIFICATE else [],
        "trusted": code not in _BAD_CERTIFICATE and asked.get("anyway") is not True,
        "page": done.stdout[:_MOST_PAGE].decode(errors="replace"),
    }


def page_address(typed: str) -> str:
    """Returns the URL that a browser makes of what is typed into its address bar: HTTPS where no scheme is given, names
    as sent on the wire, the rest percent-encoded. Raises `BadInput` if it is no page's."""
    text = typed.strip()
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "https", text
    end = next((place for place, letter in enumerate(rest) if letter in "/?#"), len(rest))
    user, at, host = rest[:end].rpartition("@")
    name, colon, port = host.partition(":") if not host.startswith("[") else (host, "", "")
    after = quote(rest[end:], safe="".join(map(chr, range(0x21, 0x7F))))
    url = f"{scheme.lower()}://{user}{at}{_on_the_wire(name)}{colon}{port}{after}"
    if not name or not _URL.fullmatch(url):
        refuse("url", quoted(typed), "an address of a page, such as https://www.bbc.com/")
    return url


def _on_the_wire(name: str) -> str:
    """Returns a name with its labels in ASCII; as it is if no client could send it."""
    if name.isascii():
        return name
    with suppress(UnicodeError):
        return to_ascii(name)
    return name


def warning_of(code: int, progress: str) -> str:
    """Returns a browser's certificate warning for curl's exit code and message; "" if the certificate is fine."""
    if code not in _BAD_CERTIFICATE:
        return ""
    why = next(why for pattern, why in _WARNINGS.items() if re.search(pattern, progress))
    return f"Your connection is not private: {why}"


def _certificate(lab: Lab, node: str, url: str) -> list[str]:
    """Returns subject, issuer and dates of the certificate that the subscriber receives, as lines of curl's output."""
    done = lab.exec(
        node, ["curl", "-svkI", "-m", str(_FETCH_S), "-o", "/dev/null", "--", url], timeout=_FETCH_S + _LOOKUP_S
    )
    wanted = ("subject:", "issuer:", "expire date:", "start date:")
    lines = (line.lstrip("* ").strip() for line in done.stderr.splitlines())
    return [line for line in lines if line.lower().startswith(wanted)]


def _node(lab: Lab, asked: Mapping[str, Any]) -> str:
    """Returns the subscriber's node; raises `BadInput`."""
    topology = lab.plan.loaded.topology
    return str(vantage_point(topology, str(asked.get("vantage", "")), "vantage").id)
