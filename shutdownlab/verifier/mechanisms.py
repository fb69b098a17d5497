"""Names a policy's mechanism in the terms in which shutdowns are classified. Pure."""

from __future__ import annotations

from shutdownlab.config.scalars import duration_text
from shutdownlab.model.announcements import WithdrawalReach
from shutdownlab.model.policy import Direction, Means, Point, Policy, Targets


def mechanism_of(policy: Policy) -> str:
    """Returns the mechanism, such as `everything dropped`, `routes withdrawn` or `blocked by name`."""
    if policy.withdraw is not None:
        family = f" ({policy.withdraw.family})" if policy.withdraw.family else ""
        return f"routes withdrawn{' abroad' if policy.withdraw.from_ is WithdrawalReach.ABROAD else ''}{family}"
    announcing = {"prefix hijacked": policy.hijack, "route leaked": policy.leak, "more specifics": policy.announce}
    if mechanism := next((name for name, order in announcing.items() if order is not None), ""):
        return mechanism
    if policy.null_route is not None:
        return f"null-routed{f' ({policy.null_route.family})' if policy.null_route.family else ''}"
    if policy.breakage is not None:
        broken = {"cables cut": policy.cut, "power off": policy.power_off, "mobile sites off": policy.switch_off}
        return ", ".join(name for name, order in broken.items() if order is not None)
    if policy.inspect is not None:
        return "rules of DPI boxes"
    if policy.throttle is not None:
        return "everything slowed" if policy.only.everything else f"slowed {_recognised_by(policy)}"
    return _blocked(policy)


def _blocked(policy: Policy) -> str:
    targets = policy.targets
    if policy.slow is not None:
        return f"{duration_text(policy.slow)} late by DNS"
    if policy.freezes:
        return "everything frozen" if targets.everything else f"frozen {_recognised_by(policy)}"
    if targets.everything:
        spared = policy.except_
        listed = spared.apps or spared.sites or spared.addresses or policy.allow
        what = "all but a list dropped" if listed else "everything dropped"
        one_way = {Direction.BOTH: "", Direction.INBOUND: ", inbound", Direction.OUTBOUND: ", outbound"}
        what = what.replace("dropped", "rejected") if policy.rejects else what
        return f"{what}{one_way[policy.direction]}{' at the gateway' if policy.at is Point.GATEWAY else ''}"
    if targets == Targets(voice=targets.voice, sms=targets.sms):
        return "telephones off"
    counted = f", {policy.block_after.text}" if policy.block_after is not None else ""
    return f"blocked {_recognised_by(policy)}{counted}"


def _recognised_by(policy: Policy) -> str:
    """Returns what the affected traffic is recognised by."""
    targets = policy.targets
    if targets.apps or targets.sites:
        return {Means.DPI: "by name", Means.ADDRESS: "by address", Means.DNS: "by DNS"}[policy.by]
    if targets.protocols:
        return "by protocol"
    return "by port" if targets.ports else "by address"


def whom(policy: Policy) -> str:
    """Returns whom a policy concerns: `all`, or what restricts it."""
    if (by := policy.hijack or policy.leak) is not None:
        return by.by
    where = policy.where
    parts = [", ".join(where.operators)] if where.operators else []
    parts += [f"at {', '.join(where.gateways)}"] if where.gateways else []
    parts += [", ".join(where.regions)] if where.regions else []
    if len(where.access) == 1:
        parts.append(f"{where.access[0]} lines")
    parts += [", ".join(where.subscribers)] if where.subscribers else []
    parts += [", ".join(where.groups)] if where.groups else []
    parts += [", ".join(map(str, where.prefixes))] if where.prefixes else []
    parts += [f"{100 * where.share:g} % of addresses"] if where.share < 1 else []
    return "; ".join(parts) or "all"
