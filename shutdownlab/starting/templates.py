"""Commented templates for a scenario, a policy of DPI boxes and a profile of DPI boxes. Pure."""

from __future__ import annotations

from typing import Final

from shutdownlab.config.writing import scalar

_SCENARIO: Final = """\
# yaml-language-server: $schema=SCHEMA/scenario.schema.json
# A shutdown to start from: what is ASSUMED is made up. `shutdownlab verify FILE` says in a second what a run would
# find, `shutdownlab explain FILE --at night-1 --from OPERATOR/REGION --to web` why; docs/reference has every key.
format: 1
name: {name}
title: {name}
topology: {topology}  # a country that ships (`shutdownlab list`), or the path of a file beside this one

sources:  # every policy and expectation names one of these
  ASSUMED: no source yet

policies:  # what an authority can order; phases start and stop them
  app:
    title: An app is found by DPI and blocked
    block: {{apps: [{app}]}}  # or sites, addresses, ports, protocols
    by: dpi  # or address, or dns
    where: {{subscribers: [ordinary]}}  # or operators, regions, access, groups; left out: all
    source: ASSUMED
  blackout:
    title: Everything off
    block: everything
    source: ASSUMED

probes:  # what is measured from every group of subscribers, in every phase
  app: {{test: app, app: {app}}}
  web: {{test: web, url: "https://{site}/"}}

expectations:  # of those that cover a measurement the last one counts
  open: [{{outcome: ok, source: ASSUMED}}]

repeats:  # what recurs; the program makes the phases night-1, day-1, night-2 …
  night:
    every: {{from: "01:00", to: "09:00", first: 2030-05-03, last: 2030-05-04}}  # zone: Asia/Almaty, days: [mon, tue]
    title: Night {{number}} of {{of}}
    start: [blackout]
    expect:
      - {{outcome: blocked, source: ASSUMED}}{above}
    source: ASSUMED
    after: {{phase: day, title: On again}}

timeline:
  - phase: baseline  # nothing is blocked: a run first proves that everything works
    at: 2030-05-01T08:00Z
    title: An ordinary day
    expect: [open]
  - phase: app-blocked
    at: 2030-05-01T12:00Z
    title: The app is blocked
    start: [app]
    expect:
      - open
      - {{who: {{subscribers: [ordinary]}}, probes: [app], outcome: blocked, source: ASSUMED}}{above}
  - phase: restored
    at: 2030-05-06T12:00Z
    title: Everything is back
    stop: [app]
    expect: [open]
ends: 2030-05-07T08:00Z
"""

_POLICY: Final = """\
# yaml-language-server: $schema=SCHEMA/policy.schema.json
# What a DPI box does, rule by rule: the first that matches a connection counts. `shutdownlab inspect FILE.pcap
# --policy FILE` tries it on a capture; a scenario's policy takes the rules by `inspect: FILE`. docs/reference has all.
format: 1
name: {name}
profile: perfect  # the make of box: `shutdownlab profiles` lists those that have been measured
rules:
  - name: names-are-reset  # TLS, QUIC, HTTP and DNS: whatever carries a name
    when: {{name_suffix: [facebook.com, twitter.com]}}  # and everything below these
    verdict: {{action: reset, to: client}}  # or drop, throttle, page, freeze, intercept
  - name: an-app-is-slowed
    when: {{app: youtube}}  # `shutdownlab apps` lists what there is
    verdict: {{action: throttle, rate: 256kbit}}
"""

_PROFILE: Final = """\
# yaml-language-server: $schema=SCHEMA/profile.schema.json
# A make of DPI box: how it follows TCP, which packets it takes for valid, how it blocks. Compare it with those that
# have been measured (`shutdownlab profiles`); a scenario takes it by `profile: FILE`. docs/reference has every key.
format: 1
name: {name}
title: {name}
sources: [no source yet]
placement: in-path  # or on-path: sees copies, and can only inject
tcp:
  reassembly: full  # or none: a ClientHello in two segments passes
budget: {{packets: 10}}  # how long it looks at a connection; 0: for ever
block:  # what it does where a rule does not say otherwise, by protocol
  default: {{action: drop}}
  tls: {{action: reset, to: both}}
"""

_ABOVE: Final = """
      - {who: {access: [satellite]}, outcome: ok, source: ASSUMED}  # their gateway is abroad"""


def scenario_text(name: str, topology: str, app: str, site: str, *, by_satellite: bool) -> str:
    """Returns a scenario. app: an app of the catalogue that the country has. site: a host that it can reach.

    by_satellite: whether some subscribers have satellite access, which no order reaches.
    """
    above = _ABOVE if by_satellite else ""
    return _SCENARIO.format(name=scalar(name), topology=scalar(topology), app=app, site=site, above=above)


def policy_text(name: str) -> str:
    """Returns a policy of DPI boxes."""
    return _POLICY.format(name=scalar(name))


def profile_text(name: str) -> str:
    """Returns a profile of DPI boxes."""
    return _PROFILE.format(name=scalar(name))
