"""Shutdowns that ship, of Belarus, Egypt, Iran, Russia and Syria.

What is documented of each holds, because its policies and faults bring it about: no longer once one is taken out.
"""

from __future__ import annotations

from documented import Fact

FACTS = [
    # Each provider's routes go by themselves; telephones have a block of their own.
    Fact("egypt-2011", "social", "noor/cairo/ordinary", "twitter.com", "social"),
    Fact("egypt-2011", "telecom-egypt", "telecom-egypt/alexandria/ordinary", "www.google.com", "telecom-egypt"),
    Fact("egypt-2011", "vodafone", "vodafone/cairo/ordinary", "ping", "vodafone"),
    Fact("egypt-2011", "link", "link", "routes", "link"),
    Fact("egypt-2011", "etisalat", "etisalat/cairo/ordinary", "www.wikipedia.org", "etisalat"),
    Fact("egypt-2011", "telephones-off", "mobinil/alexandria/ordinary", "call", "mobile-voice"),
    Fact("egypt-2011", "calls-back", "etisalat/cairo/ordinary", "sms", "mobile-sms"),
    Fact("egypt-2011", "return", "noor/cairo/ordinary", "www.wikipedia.org", "noor"),
    Fact("egypt-2011", "noor-returns", "universities", "routes", "universities"),
    # On exam mornings, and only then.
    Fact("syria-exams-2019", "exam-1", "mtn/damascus/ordinary", "www.bbc.com", "exam"),
    Fact("syria-exams-2019", "exam-3", "syrian-telecom/aleppo/ordinary", "public-dns", "exam"),
    Fact("syria-exams-2019", "exam-5", "syriatel", "routes", "exam"),
    # Mobile goes dark in the evening, apps and protocols for good, a town on one operator's lines alone.
    Fact("iran-2022", "sanandaj", "tci/kurdistan/ordinary", "bmi.ir", "sanandaj"),
    Fact("iran-2022", "encrypted-dns", "tci/tehran/ordinary", "doh-name", "doh-names"),
    Fact("iran-2022", "encrypted-dns", "tci/tehran/ordinary", "doh", "doh-hellos"),
    Fact("iran-2022", "curfew-1", "mci/khuzestan/ordinary", "www.bbc.com", "curfew"),
    Fact("iran-2022", "curfew-13", "rightel", "routes", "rightel-routes"),
    Fact("iran-2022", "stores-and-quic", "tci/tehran/ordinary", "youtube-http3", "quic"),
    Fact("iran-2022", "stores-and-quic", "irancell/tehran/ordinary", "wikipedia-ipv6", "irancell-ipv6"),
    Fact("iran-2022", "khuzestan", "tci/khuzestan/ordinary", "www.bbc.com", "khuzestan-off"),
    # Two means beside each other: routes withdrawn, and answers dropped with routes that stay.
    Fact("iran-2019", "mobile", "mci/kurdistan/ordinary", "www.google.com", "mobile"),
    Fact("iran-2019", "mobile", "irancell", "routes", "mobile"),
    Fact("iran-2019", "shatel", "shatel/tehran/ordinary", "ping", "shatel"),
    Fact("iran-2019", "parsonline-itc", "itc/tehran/ordinary", "public-dns", "parsonline-itc"),
    Fact("iran-2019", "first-lines", "tci/kurdistan/ordinary", "www.google.com", "tci"),
    Fact("iran-2019", "floor", "tci", "routes", "tci-routes"),
    # QUIC, IPv6, all; then who may where by which name.
    Fact("iran-january-2026", "quic", "shatel/tehran/ordinary", "youtube-http3", "quic"),
    Fact("iran-january-2026", "ipv6", "mci", "routes-ipv6", "ipv6-routes"),
    Fact("iran-january-2026", "ipv6", "tci/tehran/ordinary", "bbc-ipv6", "ipv6-routes"),
    Fact("iran-january-2026", "nine-tenths", "irancell/tehran/ordinary", "ping", "mobile"),
    Fact("iran-january-2026", "zero", "mci/tehran/ordinary", "call", "telephones"),
    Fact("iran-january-2026", "zero", "tci/tehran/ordinary", "bmi.ir", "national-network"),
    Fact("iran-january-2026", "zero-again", "tci/tehran/ordinary", "www.bbc.com", "all"),
    Fact("iran-january-2026", "filtered-return", "mci/tehran/ordinary", "safesearch", "layer-address"),
    Fact("iran-january-2026", "filtered-return", "irancell/tehran/ordinary", "github.com", "layer-name"),
    Fact("iran-january-2026", "filtered-return", "itc/tehran/government", "www.bbc.com", "layer-address.allow"),
    # Null routes: everybody's packets but those of single addresses.
    Fact("iran-january-2026", "null-routes", "mci/tehran/ordinary", "www.bbc.com", "null-routes"),
    Fact("iran-january-2026", "null-routes", "shatel/tehran/ordinary", "ping", "null-routes"),
    Fact("iran-january-2026", "null-routes", "tci/tehran/allowed", "www.bbc.com", "null-routes.null_route.spare"),
    Fact("iran-january-2026", "tehran-first", "mci/khuzestan/ordinary", "www.bbc.com", "outside-tehran"),
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
    Fact("iran-june-2025", "pings", "tci/tehran/ordinary", "five-pings", "few-pings"),
    Fact("iran-june-2025", "restored", "mci/tehran/ordinary", "bbc-ipv6", "no-ipv6"),
    # Names are slow by what they contain, and where there is a box.
    Fact("russia-twitter-2021", "substring", "mts/moscow/ordinary", "www.reddit.com", "mobile"),
    Fact("russia-twitter-2021", "substring", "tele2/moscow/ordinary", "abs.twimg.com", "mobile"),
    Fact("russia-twitter-2021", "substring", "rostelecom/moscow/behind-boxes", "www.rt.com", "fixed"),
    Fact("russia-twitter-2021", "substring", "beeline/moscow/ordinary", "kremlin.ru", "state-sites"),
    Fact("russia-twitter-2021", "exact", "megafon/moscow/ordinary", "t.co", "mobile-exact"),
    # TLS is reset whatever it carries; who is left in the evening has TCP.
    Fact("belarus-august-2020", "public-dns", "life/minsk/ordinary", "public-dns", "public-dns"),
    Fact("belarus-august-2020", "social-networks", "a1/minsk/ordinary", "www.facebook.com", "social-networks"),
    Fact("belarus-august-2020", "tls", "beltelecom/elsewhere/ordinary", "mail.proton.me", "tls-at-scale"),
    Fact("belarus-august-2020", "cut-1", "a1/minsk/ordinary", "bridge", "others-off"),
    Fact("belarus-august-2020", "cut-1", "beltelecom/minsk/ordinary", "vpn", "udp-lost"),
    Fact("belarus-august-2020", "night-2", "mts/elsewhere/ordinary", "bridge", "others-silent"),
    Fact("belarus-august-2020", "seventy-sites", "mts/minsk/ordinary", "svaboda-http", "seventy-sites"),
]
