"""Shutdowns that ship, of Belarus, Egypt, Iran, Russia and Syria.

What is documented of each holds, because its policies and faults bring it about: no longer once one is taken out.
"""

from __future__ import annotations

import pytest
from documented import Fact, cell, versions, without

import shutdownlab as sl

FACTS = [
    # Mobile goes dark in the evening, apps and protocols for good, a town on one operator's lines alone.
    Fact("iran-2022", "sanandaj", "tci/kurdistan/ordinary", "bmi.ir", "sanandaj"),
    Fact("iran-2022", "encrypted-dns", "shatel/tehran/ordinary", "doh-name", "doh-names"),
    Fact("iran-2022", "encrypted-dns", "shatel/tehran/ordinary", "doh", "doh-hellos"),
    Fact("iran-2022", "curfew-1", "mci/khuzestan/ordinary", "www.bbc.com", "curfew"),
    Fact("iran-2022", "stores-and-quic", "tci/tehran/ordinary", "youtube-http3", "quic"),
    Fact("iran-2022", "stores-and-quic", "irancell/tehran/ordinary", "wikipedia-ipv6", "irancell-ipv6"),
    Fact("iran-2022", "khuzestan", "tci/khuzestan/ordinary", "www.bbc.com", "khuzestan-off"),
    # Packets end at the border, two addresses do not; the filter lies, shows a page, resets.
    Fact("iran-june-2025", "baseline", "irancell/tehran/ordinary", "facebook-dns", "dns-lies"),
    Fact("iran-june-2025", "baseline", "tci/tehran/ordinary", "facebook-http", "http-page"),
    Fact("iran-june-2025", "baseline", "mci/tehran/ordinary", "facebook-tls", "tls-reset"),
    Fact("iran-june-2025", "degraded", "mci/tehran/ordinary", "throughput", "degraded"),
    Fact("iran-june-2025", "drill", "tci/kurdistan/ordinary", "www.bbc.com", "drill-national"),
    Fact("iran-june-2025", "drill", "mci/khuzestan/ordinary", "www.bbc.com", "drill-regional", ("drill", "regions")),
    Fact("iran-june-2025", "blackout", "tci/tehran/ordinary", "www.wikipedia.org", "blackout"),
    Fact("iran-june-2025", "blackout", "tci/tehran/ordinary", "api.github.com", "blackout.except"),
    Fact("iran-june-2025", "restored", "mci/tehran/ordinary", "http3", "no-quic"),
    Fact("iran-june-2025", "restored", "mci/tehran/ordinary", "bbc-ipv6", "no-ipv6"),
    # Names are slow by what they contain, and where there is a box.
    Fact("russia-twitter-2021", "substring", "mts/moscow/ordinary", "www.reddit.com", "mobile"),
    Fact("russia-twitter-2021", "substring", "tele2/moscow/ordinary", "abs.twimg.com", "mobile"),
    Fact("russia-twitter-2021", "substring", "rostelecom/moscow/behind-boxes", "www.rt.com", "fixed"),
    Fact("russia-twitter-2021", "substring", "beeline/moscow/ordinary", "kremlin.ru", "state-sites"),
    Fact("russia-twitter-2021", "exact", "megafon/moscow/ordinary", "t.co", "mobile-exact"),
    # TLS is reset whatever it carries; who is left in the evening has TCP.
    Fact("belarus-2020", "public-dns", "life/minsk/ordinary", "public-dns", "public-dns"),
    Fact("belarus-2020", "social-networks", "a1/minsk/ordinary", "www.facebook.com", "social-networks"),
    Fact("belarus-2020", "tls", "beltelecom/elsewhere/ordinary", "mail.proton.me", "tls-at-scale"),
    Fact("belarus-2020", "cut-1", "a1/minsk/ordinary", "bridge", "others-off"),
    Fact("belarus-2020", "cut-1", "beltelecom/minsk/ordinary", "vpn", "udp-lost"),
    Fact("belarus-2020", "night-2", "mts/elsewhere/ordinary", "bridge", "others-silent"),
    Fact("belarus-2020", "seventy-sites", "mts/minsk/ordinary", "svaboda-http", "seventy-sites"),
]
SCENARIOS = sorted({fact.scenario for fact in FACTS})


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_whatever_sources_say_of_a_shutdown_holds_under_every_account(scenario: str) -> None:
    for choice in versions(scenario):
        verified = sl.verify(scenario, choose=choice, strict=True)
        assert (verified.unmet, verified.undecided) == ([], []), choice
        assert all(result.expected for result in verified)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_at_least_three_facts_of_each_shutdown_are_put_to_the_test(scenario: str) -> None:
    assert len({(fact.phase, fact.by) for fact in FACTS if fact.scenario == scenario}) >= 3


@pytest.mark.parametrize("fact", FACTS, ids=str)
def test_a_fact_no_longer_holds_once_what_brings_it_about_is_taken_out(fact: Fact) -> None:
    choice = dict([fact.choose]) if fact.choose else {}
    before = cell(sl.verify(fact.scenario, choose=choice, at=fact.phase), fact)
    after = sl.verify(without(fact.scenario, fact.by), choose=choice, at=fact.phase)
    assert before.outcome == before.expected
    assert cell(after, fact) in after.unmet
