"""How subscribers are connected, and what every country calls them. Pure."""

from __future__ import annotations

from enum import StrEnum


class Access(StrEnum):
    """How subscribers are connected; each is a link class."""

    FIXED = "fixed"
    MOBILE = "mobile"
    SATELLITE = "satellite"
    """By a gateway of its operator's own, abroad, so that no order of the country's reaches it."""
    ROAMING = "roaming"
    """By a network abroad whose guests they are here: all that they send goes to it through a tunnel."""


class SubscriberClass(StrEnum):
    """Whom a shutdown treats alike: the classes that every country has."""

    ORDINARY = "ordinary"
    GOVERNMENT = "government"
    DATACENTRE = "datacentre"
