"""Shutdowns that ship, of Afghanistan, Bangladesh, Cuba, Kashmir, Kazakhstan, Myanmar, Tanzania, Uganda and Uzbekistan.

What is documented of each holds, because its policies and faults bring it about: no longer once one is taken out.
"""

from __future__ import annotations

from documented import Fact

FACTS = [
    # One region is off, mobile first, then fixed lines, and a card is no use there.
    Fact("karakalpakstan-2022", "mobile-off", "beeline/karakalpakstan/ordinary", "telegram", "mobile-off"),
    Fact("karakalpakstan-2022", "off-again", "ucell/karakalpakstan/ordinary", "uzcard.uz", "mobile-off"),
    Fact("karakalpakstan-2022", "all-off", "uztelecom/karakalpakstan/ordinary-fixed", "www.wikipedia.org", "fixed-off"),
    Fact(
        "karakalpakstan-2022",
        "all-off",
        "uztelecom/karakalpakstan/ordinary-fixed",
        "speed",
        "fixed-crawls",
        ("rest", "a-crawl"),
    ),
    # All is off with its routes up; seven apps stay away.
    Fact("tanzania-2025", "dark", "vodacom/elsewhere/ordinary", "www.wikipedia.org", "dark"),
    Fact("tanzania-2025", "dark-again", "ttcl/elsewhere/ordinary", "ping", "dark"),
    Fact("tanzania-2025", "apps-blocked", "yas/dar-es-salaam/ordinary", "x", "apps"),
    # Off for minutes, then apps by name, which Messenger's test does not meet; a VPN is no app.
    Fact("cuba-2021", "all-off", "etecsa/havana/ordinary-fixed", "twitter", "all-off"),
    Fact("cuba-2021", "outage-2", "etecsa/elsewhere/ordinary", "whatsapp", "mobile-outage"),
    Fact("cuba-2021", "apps", "etecsa/havana/ordinary", "www.facebook.com", "apps"),
    Fact("cuba-2021", "apps", "etecsa/elsewhere/ordinary-fixed", "telegram-1", "telegram"),
    Fact("cuba-2021", "apps", "etecsa/havana/ordinary", "vpn", "vpn-blocked", ("vpn", "blocked")),
    # A written order: the public is off, institutions reach what a list names, who cannot filter is off altogether.
    Fact("uganda-2026", "suspended", "mtn/elsewhere/ordinary", "www.wikipedia.org", "no-public-internet"),
    Fact("uganda-2026", "suspended", "airtel/kampala/ordinary", "ura.go.ug", "no-public-internet"),
    Fact("uganda-2026", "suspended", "utel/kampala/hospital", "www.wikipedia.org", "exclusion-list"),
    Fact("uganda-2026", "suspended", "utel/kampala/bank", "ura.go.ug", "exclusion-list.except"),
    Fact("uganda-2026", "suspended", "provider/kampala/hospital", "www.ec.or.ug", "cannot-filter"),
    Fact("uganda-2026", "restored", "mtn/kampala/ordinary", "telegram", "apps"),
    Fact("uganda-2026", "baseline", "mtn/kampala/ordinary", "www.facebook.com", "facebook"),
    # Given back by district, by contract and service by service.
    Fact("kashmir-2019", "all-off", "bsnl/valley/landline", "call", "landlines-silent"),
    Fact("kashmir-2019", "jammu-2g", "airtel/jammu-plains/postpaid", "speed", "two-g-jammu-plains"),
    Fact("kashmir-2019", "jammu-2g-cut", "airtel/jammu-plains/prepaid", "www.wikipedia.org", "data-off-jammu-plains"),
    Fact("kashmir-2019", "postpaid-speaks", "jio/valley/prepaid", "call", "prepaid-silent"),
    Fact("kashmir-2019", "kargil-4g", "airtel/north/postpaid", "sms", "postpaid-no-sms"),
    Fact("kashmir-2019", "hospitals", "airtel/jammu-plains/prepaid", "www.jkbank.com", "data-off-prepaid"),
    Fact("kashmir-2019", "hospitals", "bsnl/valley/hospital", "www.facebook.com", "list"),
    Fact("kashmir-2019", "hospitals", "bsnl/valley/hospital", "www.jkbank.com", "list.except"),
    Fact("kashmir-2019", "postpaid-2g", "airtel/north/postpaid", "speed", "two-g-postpaid"),
    Fact("kashmir-2019", "2g-for-all", "airtel/valley/prepaid", "vpn", "list"),
    # Order after order: a square, campuses, an app, operators one by one, gateways, routes.
    Fact("bangladesh-2024", "shahbagh", "grameenphone/shahbagh/ordinary", "speed", "shahbagh-2g"),
    Fact("bangladesh-2024", "facebook", "robi/elsewhere/ordinary", "www.facebook.com", "facebook-mobile"),
    Fact("bangladesh-2024", "grameenphone", "grameenphone/elsewhere/ordinary", "whatsapp", "grameenphone-off"),
    Fact("bangladesh-2024", "first-gateway", "robi/elsewhere/ordinary", "www.wikipedia.org", "robi-off-at-night"),
    Fact("bangladesh-2024", "first-gateway", "fiber-home", "routes", "first-gateway-gone"),
    Fact("bangladesh-2024", "dark", "link3/elsewhere/ordinary", "www.wikipedia.org", "all-gone"),
    Fact("bangladesh-2024", "dark-again", "teletalk", "routes", "all-gone"),
    Fact("bangladesh-2024", "broadband", "link3/elsewhere/ordinary", "speed", "broadband-slow"),
    Fact("bangladesh-2024", "mobile", "banglalink/elsewhere/ordinary", "whatsapp", "apps"),
    # Fibre first, then all: data, telephones, routes.
    Fact("afghanistan-2025", "fibre-off", "afghan-telecom/provinces/ordinary", "www.wikipedia.org", "fibre"),
    Fact("afghanistan-2025", "herat-curfew", "afghan-telecom/herat/ordinary", "dab.gov.af", "herat-curfew"),
    Fact("afghanistan-2025", "fixed-off", "etisalat/kabul/ordinary", "dab.gov.af", "fixed-off"),
    Fact("afghanistan-2025", "all-off", "awcc/provinces/ordinary", "www.wikipedia.org", "awcc-off"),
    Fact("afghanistan-2025", "all-off", "roshan/provinces/ordinary", "call", "phones-off"),
    Fact("afghanistan-2025", "all-off", "roshan", "routes", "gone"),
    Fact("afghanistan-2025", "kabul-last", "awcc", "routes", "gone-awcc"),
    # Sites by address, then every night without routes, then no mobile data by day either.
    Fact("myanmar-2021", "facebook", "mpt/yangon/ordinary", "whatsapp", "facebook"),
    Fact("myanmar-2021", "facebook", "frontiir/yangon/fibre", "www.facebook.com", "facebook-frontiir"),
    Fact("myanmar-2021", "facebook", "mytel/yangon/ordinary", "dns", "facebook-mytel"),
    Fact("myanmar-2021", "twitter-instagram", "frontiir/yangon/fibre", "www.instagram.com", "twitter-instagram"),
    Fact("myanmar-2021", "twitter-leaks", "campana", "origins", "twitter-route"),
    Fact("myanmar-2021", "twitter-leaks", "mytel/yangon/ordinary", "twitter.com", "twitter-route"),
    Fact("myanmar-2021", "weekend-begins", "mytel", "routes", "dark-mpt-mytel"),
    Fact("myanmar-2021", "night-2", "telenor/elsewhere/ordinary", "www.bbc.com", "dark"),
    Fact("myanmar-2021", "night-72", "frontiir", "routes", "dark"),
    Fact("myanmar-2021", "wikipedia", "ooredoo/yangon/ordinary", "www.wikipedia.org", "wikipedia"),
    Fact("myanmar-2021", "mobile-off", "telenor/elsewhere/ordinary", "www.bbc.com", "mobile-off"),
    Fact("myanmar-2021", "fibre-only", "frontiir/yangon/wireless", "telegram", "wireless-off"),
    # Sites fall with the messengers, the west is back with the capital; what accounts say of phones and fixed lines.
    Fact("kazakhstan-2022", "messengers", "kcell/nur-sultan/ordinary", "orda.kz", "orda"),
    Fact("kazakhstan-2022", "window-1", "beeline/almaty/ordinary", "vlast.kz", "more-websites"),
    Fact("kazakhstan-2022", "messengers", "kcell/nur-sultan/ordinary", "protonvpn.com", "vpn-dpi"),
    Fact(
        "kazakhstan-2022",
        "capital-fixed-back",
        "kcell/mangystau/ordinary",
        "www.wikipedia.org",
        "allowlist-capital-mobile",
    ),
    Fact(
        "kazakhstan-2022",
        "blackout",
        "tele2/mangystau/ordinary",
        "call",
        "voice-off-others",
        ("voice", "almaty-and-others"),
    ),
    Fact(
        "kazakhstan-2022",
        "blackout",
        "kcell/shymkent/ordinary",
        "sms",
        "voice-off-elsewhere",
        ("voice", "nationwide"),
    ),
    Fact(
        "kazakhstan-2022",
        "messengers",
        "kcell/nur-sultan/ordinary",
        "telegram",
        "messengers-cities",
        ("messengers", "in-cities"),
    ),
    Fact(
        "kazakhstan-2022",
        "blackout",
        "transtelecom/nur-sultan/ordinary",
        "ping",
        "blackout-capital-fixed",
        ("capital", "by-its-own-times"),
    ),
]
