"""Recognises DNS inside TLS: DoT by its port or ALPN (RFC 7858), DoH by the resolver's name alone (RFC 8484)."""

from __future__ import annotations

from shutdownlab.inspection.recognisers.recogniser import TcpRecogniser
from shutdownlab.inspection.recognisers.result import Recognition

DOH_HOSTS = frozenset(
    (
        "1dot1dot1dot1.cloudflare-dns.com",
        "basic.rethinkdns.com",
        "chrome.cloudflare-dns.com",
        "cloudflare-dns.com",
        "common.dot.dns.yandex.net",
        "dns-family.adguard.com",
        "dns.aa.net.uk",
        "dns.adguard-dns.com",
        "dns.adguard.com",
        "dns.alidns.com",
        "dns.cloudflare.com",
        "dns.digitale-gesellschaft.ch",
        "dns.dnshome.de",
        "dns.google",
        "dns.google.com",
        "dns.mullvad.net",
        "dns.nextdns.io",
        "dns.quad9.net",
        "dns.switch.ch",
        "dns.twnic.tw",
        "dns0.eu",
        "dns1.dnscrypt.ca",
        "dns10.quad9.net",
        "dns11.quad9.net",
        "dns2.dnscrypt.ca",
        "dns9.quad9.net",
        "dnses.alekberg.net",
        "dnsnl.alekberg.net",
        "dnsse.alekberg.net",
        "doh.360.cn",
        "doh.applied-privacy.net",
        "doh.centraleu.pi-dns.com",
        "doh.cleanbrowsing.org",
        "doh.dns.sb",
        "doh.familyshield.opendns.com",
        "doh.libredns.gr",
        "doh.mullvad.net",
        "doh.opendns.com",
        "doh.pub",
        "doh.sandbox.opendns.com",
        "doh.xfinity.com",
        "family.cloudflare-dns.com",
        "firefox.dns.nextdns.io",
        "freedns.controld.com",
        "ibksturm.synology.me",
        "jp.tiar.app",
        "jp.tiarap.org",
        "mozilla.cloudflare-dns.com",
        "odvr.nic.cz",
        "one.one.one.one",
        "ordns.he.net",
        "private.canadianshield.cira.ca",
        "public.dns.iij.jp",
        "rdns.faelix.net",
        "resolver-eu.lelux.fi",
        "security.cloudflare-dns.com",
        "unfiltered.adguard-dns.com",
    )
)
"""Resolvers that Firefox, Chrome, Android, and AdGuard's and DNSCrypt's lists of DNS providers ship; users add theirs
as apps."""


def is_doh(host: str) -> bool:
    """Returns whether a name is a known resolver's or has a telling label: `doh.example`, `doh-2.example`,
    `fi.doh.example`."""
    if host in DOH_HOSTS:
        return True
    return "doh" in host and any(label == "doh" or label.startswith("doh-") for label in host.split(".")[:-1])


class EncryptedDns(TcpRecogniser):
    protocols = ("dot", "doh")
    order = 30
    first = frozenset[int]()
    refines = ("tls",)

    def refine(self, found: Recognition, client: bytes, server: bytes, dport: int) -> None:
        if dport == 853 or "dot" in found.alpn:
            found.protocol = "dot"
        elif found.host is not None and is_doh(found.host):
            found.protocol = "doh"
