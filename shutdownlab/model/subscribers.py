"""Kinds of connection, and the classes of subscribers that every country has. Pure."""

from __future__ import annotations

from enum import StrEnum


class Access(StrEnum):
    """A kind of connection; each is a link class."""

    FIXED = "fixed"
    MOBILE = "mobile"
    SATELLITE = "satellite"
    """Through its operator's own gateway, abroad, so that no order of the country reaches it."""
    ROAMING = "roaming"
    """As a guest, with a network abroad as home: all traffic goes home through a tunnel."""


class SubscriberClass(StrEnum):
    """A class of subscribers that a shutdown treats alike: the classes that every country has."""

    ORDINARY = "ordinary"
    GOVERNMENT = "government"
    DATACENTRE = "datacentre"
