"""Which app a flow is: by its name, else its protocol, else its fingerprint, else its address.

Built from the app catalogues of `shutdownlab.inspection.apps`: the one the package ships, and users' own on top of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from shutdownlab.inspection.apps import App, load_apps
from shutdownlab.inspection.lookup import PrefixMap, SuffixMap
from shutdownlab.inspection.recognition import Recognition


class AppCatalogue:
    """Finds apps; given to the engine as its `apps`.

    The order matters: a name says more than an address that several apps share, and an app's own protocol tells it
    from a web site on the same address.
    """

    __slots__ = ("_fingerprints", "_names", "_ports", "_prefixes", "_protocols", "apps")

    def __init__(self, *catalogues: Mapping[str, App]) -> None:
        """Of apps with the same key, the last catalogue's counts."""
        self.apps: dict[str, App] = {}
        for catalogue in catalogues:
            self.apps.update(catalogue)
        self._names = SuffixMap((suffix, key) for key, app in self.apps.items() for suffix in app.suffixes)
        self._prefixes = PrefixMap((prefix, key) for key, app in self.apps.items() for prefix in app.prefixes)
        self._protocols = {name: key for key, app in self.apps.items() for name in app.protocols}
        self._fingerprints = {ja4: key for key, app in self.apps.items() for ja4 in app.fingerprints}
        self._ports = {key: frozenset(app.ports) for key, app in self.apps.items() if app.ports}

    @classmethod
    def from_texts(cls, *texts: tuple[bytes, str]) -> AppCatalogue:
        """From YAML texts and what to call each in messages, the shipped one first; raises `BadInput`."""
        return cls(*(load_apps(text, file) for text, file in texts))

    def app_of(self, recognition: Recognition | None, address: bytes, port: int) -> str | None:
        """The app of a connection to `address` (4 or 16 bytes) and `port`; None if it is none of the catalogue."""
        if recognition is not None:
            if recognition.host is not None:
                key = self._names.find(recognition.host)
                if key is not None:
                    return key
            else:
                for name in recognition.certificate_names:
                    key = self._names.find(name.removeprefix("*."))
                    if key is not None:
                        return key
            key = self._protocols.get(recognition.protocol)
            if key is not None:
                return key
            if self._fingerprints:
                key = self.of_fingerprint(recognition.ja4)
                if key is not None:
                    return key
        return self.of_address(address, port)

    def of_fingerprint(self, ja4: str | None) -> str | None:
        """The app whose client has this JA4: whole, or by its first one or two parts."""
        while ja4:
            key = self._fingerprints.get(ja4)
            if key is not None:
                return key
            ja4 = ja4.rpartition("_")[0]
        return None

    def of_address(self, address: bytes, port: int) -> str | None:
        """The app that alone owns the address, where its ports allow."""
        key = self._prefixes.find(address)
        if key is not None and port not in self._ports.get(key, (port,)):
            return None
        return key


@cache
def shipped_apps() -> AppCatalogue:
    """The catalogue that ships with the package: what an engine uses that is given none."""
    return AppCatalogue.from_texts(((files("shutdownlab.inspection") / "apps.yaml").read_bytes(), "apps.yaml"))
