"""Finds a flow's app: by name, else protocol, else fingerprint, else address.

Built from the app catalogues of `shutdownlab.inspection.apps`: the one that ships, and users' own on top of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from shutdownlab.inspection.apps import App, load_apps
from shutdownlab.inspection.lookup import PrefixMap, SuffixMap
from shutdownlab.inspection.recognition import Recognition


class AppCatalogue:
    """Finds apps; passed to the engine as `apps`.

    The order matters: a name is more specific than an address that several apps share, and an app's own protocol
    distinguishes it from a web site on the same address.
    """

    __slots__ = ("_fingerprints", "_names", "_ports", "_prefixes", "_protocols", "apps")

    def __init__(self, *catalogues: Mapping[str, App]) -> None:
        """Merges the catalogues; for apps with the same key, the last one counts."""
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
        """Parses YAML texts, each with its name in messages; later ones override earlier. Raises `BadInput`."""
        return cls(*(load_apps(text, file) for text, file in texts))

    def app_of(self, recognition: Recognition | None, address: bytes, port: int) -> str | None:
        """Returns the app of a connection to `address` (4 or 16 bytes) and `port`; None if the catalogue has none."""
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
        """Returns the app whose client has this JA4, whole or by its first one or two parts; or None."""
        while ja4:
            key = self._fingerprints.get(ja4)
            if key is not None:
                return key
            ja4 = ja4.rpartition("_")[0]
        return None

    def of_address(self, address: bytes, port: int) -> str | None:
        """Returns the app that alone uses the address and, if it lists ports, this `port`; or None."""
        key = self._prefixes.find(address)
        if key is not None and port not in self._ports.get(key, (port,)):
            return None
        return key


@cache
def shipped_apps() -> AppCatalogue:
    """Returns the catalogue that ships, which is an engine's default (cached)."""
    return AppCatalogue.from_texts(((files("shutdownlab.inspection") / "apps.yaml").read_bytes(), "apps.yaml"))
