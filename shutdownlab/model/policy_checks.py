"""Finds keys of a policy that contradict one another, or ask for what its verb or means cannot do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shutdownlab.config.document import Expected
from shutdownlab.config.scalars import duration_text
from shutdownlab.inspection.recognition import installed_recognisers
from shutdownlab.model.answers import LATEST_S
from shutdownlab.model.degradation import Degradation
from shutdownlab.model.means import BREAKING, ROUTING, VERBS, BlockAction, Direction, Means, Point
from shutdownlab.model.protocols import WITHOUT_A_BOX
from shutdownlab.model.targets import NOTHING, SUBSCRIBER_FIELDS, Exceptions, Targets

if TYPE_CHECKING:
    from shutdownlab.model.policy import Policy


def check_policy(policy: Policy) -> None:
    """Raises `Expected` if a key of the policy contradicts another, or asks for what its means cannot do."""
    _check_one_verb(policy)
    if policy.inspect is not None:
        _check_inspect(policy)
    for verb in ROUTING:
        if getattr(policy, verb) is not None:
            _check_routing(policy, verb)
    for verb in BREAKING:
        if getattr(policy, verb) is not None:
            _check_breaking(policy, verb)
    if policy.by is Means.DNS:
        _check_dns(policy)
    for key in ("answer", "slow") if policy.by is not Means.DNS else ():
        if key in policy.model_fields_set:
            raise Expected("`by: dns` as well", "only resolvers answer like that", found=f"`{key}`", key=key)
    _check_targets(policy)
    _check_degrade(policy)
    _check_freeze_after(policy)
    _check_block_after(policy)
    _check_residual(policy)
    _check_means(policy)
    _check_reject(policy)


def _check_one_verb(policy: Policy) -> None:
    """Checks that there is exactly one verb."""
    verbs = [verb for verb in VERBS if getattr(policy, verb) is not None]
    if len(verbs) > 1:
        found = " and ".join(f"`{verb}`" for verb in verbs)
        hint = "write a policy for each"
        raise Expected("one of them", hint, found=f"both {found}" if len(verbs) == 2 else found, key=verbs[-1])
    if not verbs:
        hint = "`block: everything`, `throttle: 512kbit`, `withdraw: {}`, or `inspect:` with rules"
        raise Expected("one of them", hint, found="none of " + ", ".join(f"`{verb}`" for verb in VERBS))


def _check_targets(policy: Policy) -> None:
    """Checks what is blocked, throttled or degraded: there must be something, and lines carry no calls."""
    if policy.block is not None and policy.block == NOTHING:
        hint = "`block: everything`, or `block: {apps: [whatsapp]}`"
        raise Expected("something to block", hint, found="nothing", key="block")
    if policy.slows and policy.only == NOTHING:
        hint = "leave `only` out to throttle everything"
        raise Expected("something to throttle", hint, found="nothing", key="only")
    if policy.block is not None and "only" in policy.model_fields_set:
        raise Expected(
            "`only` with `throttle` or `degrade`",
            "`block` names its targets itself",
            found="`only` with `block`",
            key="only",
        )
    if policy.slows and (policy.only.voice or policy.only.sms):
        hint = "voice and sms can only be blocked"
        raise Expected("targets of the Internet", hint, found="voice or sms", key="only")


def _check_dns(policy: Policy) -> None:
    """Checks `by: dns`: resolvers see only names, and treat all queries alike."""
    if policy.block is None or policy.block != Targets(apps=policy.block.apps, sites=policy.block.sites):
        hint = "such as `block: {apps: [facebook], sites: [twitter.com]}`"
        raise Expected("only apps or sites under `block`", hint, found="`by: dns`", key="by")
    for key in ("at", "action", "direction", "allow"):
        if key in policy.model_fields_set:
            hint = "a resolver sees only names: use `except` to spare subscribers"
            hint = hint if key == "allow" else "`answer` or `slow` says what the resolver does"
            raise Expected("`by: dns` without it", hint, found=f"`{key}`", key=key)
    if policy.slow is not None and "answer" in policy.model_fields_set:
        hint = "`slow` delays true answers: write a policy for each"
        raise Expected("one of them", hint, found="both `answer` and `slow`", key="slow")
    if policy.slow is not None and not 0 < policy.slow <= LATEST_S:
        hint = "clients give up after 10 s; for no answer at all write `answer: none`"
        expected = f"more than 0s and at most {duration_text(LATEST_S)}"
        raise Expected(expected, hint, found=duration_text(policy.slow), key="slow")
    if policy.except_.spare_traffic:
        raise Expected("only subscribers", "to spare names, leave them out of `block`", found="traffic", key="except")


def _check_routing(policy: Policy, verb: str) -> None:
    """Checks a verb about routes: a route is an operator's, so keys about switches and boxes do not fit."""
    hint = "BGP carries it out" if verb == "withdraw" else "border routers carry it out"
    _refuse_means(policy, verb, hint)
    if verb in ("hijack", "leak"):
        _refuse_scope(policy, verb, "its own `by` says which operator does it")
        return
    if not policy.where.is_of_operators:
        hint = "a prefix is one route, for everybody with an address in it"
        raise Expected("only `operators`", hint, found="a scope of some of an operator's subscribers", key="where")
    if policy.except_ != Exceptions(operators=policy.except_.operators):
        raise Expected("only `operators`", found="other keys", key="except")


def _check_breaking(policy: Policy, verb: str) -> None:
    """Checks a verb that breaks something: it names its place itpolicy."""
    _refuse_means(policy, verb, "the owners of the equipment carry it out")
    _refuse_scope(
        policy,
        verb,
        "its own value names the links" if verb == "cut" else "its own value names the regions and operators",
    )


def _refuse_scope(policy: Policy, verb: str, hint: str) -> None:
    """Checks that a verb which names its own place has no scope beside it."""
    for key in ("where", "except"):
        if key in policy.model_fields_set or (key == "except" and "except_" in policy.model_fields_set):
            raise Expected(f"`{verb}` without it", hint, found=f"`{key}` with `{verb}`", key=key)


def _refuse_means(policy: Policy, verb: str, hint: str) -> None:
    """Checks that a verb which DPI boxes and switches do not carry out has no keys about them beside it."""
    for key in ("by", "at", "only", "action", "direction", "allow"):
        if key in policy.model_fields_set:
            raise Expected(f"`{verb}` without it", hint, found=f"`{key}` with `{verb}`", key=key)


def _check_inspect(policy: Policy) -> None:
    """Checks `inspect`: what the rules say themselves must not be given beside them."""
    beside = {
        "by": "" if policy.by is Means.DPI else "only DPI boxes inspect",
        "at": "" if policy.at is Point.ACCESS else "DPI boxes stand at the operators",
        "only": "each rule's `when` says what it matches",
        "action": "each rule's `verdict` says what happens",
        "allow": "to spare traffic, put a rule with `verdict: pass` before the others",
        "direction": "rules have `opener` and `direction` conditions, and verdicts `directions`",
    }
    for key, hint in beside.items():
        if hint and key in policy.model_fields_set:
            raise Expected("`inspect` without it", hint, found=f"`{key}` with `inspect`", key=key)
    if policy.except_.spare_traffic:
        hint = "to spare traffic, put a rule with `verdict: pass` before the others"
        found = "traffic"
        raise Expected("only subscribers: " + ", ".join(SUBSCRIBER_FIELDS), hint, found=found, key="except")


def _check_freeze_after(policy: Policy) -> None:
    """Checks `freeze_after`: only DPI boxes count what a connection has carried."""
    if policy.freeze_after is None:
        return
    if policy.block is None or policy.by is not Means.DPI or policy.at is Point.GATEWAY:
        hint = "operators' DPI boxes count the bytes of what `block` names: leave `by` and `at` out"
        raise Expected("`freeze_after` with `block` and `by: dpi`", hint, found="`freeze_after`", key="freeze_after")
    if "action" in policy.model_fields_set:
        hint = "`freeze_after` is itself the action"
        raise Expected("`freeze_after` without it", hint, found="`action`", key="action")
    if beyond := policy.block.without_connections:
        hint = "only TCP and UDP connections are counted"
        raise Expected("targets that have connections", hint, found=beyond, key="block")


def _check_block_after(policy: Policy) -> None:
    """Checks `block_after`: border routers count echo requests, which they recognise by headers."""
    if policy.block_after is None:
        return
    protocols = policy.block.protocols if policy.block is not None else ()
    if not protocols or policy.block != Targets(protocols=protocols) or not {*protocols} <= {"icmp", "icmp6"}:
        hint = "border routers count only echo requests (pings)"
        expected = "`block_after` with only `block: {protocols: [icmp]}`"
        raise Expected(expected, hint, found="`block_after`", key="block_after")
    for key in ("by", "at", "action", "direction"):
        if key in policy.model_fields_set:
            hint = "an operator's border router counts what its subscribers send, and drops it"
            raise Expected("`block_after` without it", hint, found=f"`{key}`", key=key)


def _check_residual(policy: Policy) -> None:
    """Checks `residual`: it needs a DPI box that recognises one packet of a flow and goes on blocking after it."""
    if policy.residual is None:
        return
    boxes = policy.block is not None and policy.block == policy.block.for_boxes
    if not boxes or policy.by is not Means.DPI or policy.at is Point.GATEWAY:
        hint = "only a DPI box remembers connections; what is matched by headers stays blocked anyway"
        expected = "`residual` with `by: dpi`, and apps, sites or protocols that boxes recognise"
        raise Expected(expected, hint, found="`residual`", key="residual")
    if policy.direction is not Direction.BOTH or policy.freezes:
        key = "freeze_after" if policy.freezes else "direction"
        hint = "`residual: {directions: client}` says whose packets stay blocked"
        raise Expected("`residual` without it", "" if policy.freezes else hint, found=f"`{key}`", key=key)


def _check_means(policy: Policy) -> None:
    """Checks that the means fit the targets: some only DPI boxes can block."""
    targets = policy.targets
    resets = policy.action is BlockAction.RESET
    if resets and not (policy.by is Means.DPI and policy.block and policy.block == policy.block.for_boxes):
        hint = "only a DPI box sends resets, and only for apps and sites"
        raise Expected(
            "`action: reset` with `by: dpi` and only apps or sites", hint, found="`action: reset`", key="action"
        )
    beyond = [name for name in targets.recognised if name not in installed_recognisers().over_tcp]
    if resets and beyond:
        hint = "only TCP has connections to reset; block the others in another policy with `action: drop`"
        found = f"`action: reset` for {', '.join(beyond)}"
        raise Expected("only protocols over TCP", hint, found=found, key="action")
    if resets and policy.direction is not Direction.BOTH:
        hint = "a reset ends the whole connection"
        raise Expected("`direction: both` with `action: reset`", hint, found=f"`{policy.direction}`", key="direction")
    if policy.at is Point.GATEWAY and (targets.voice or targets.sms):
        hint = "the telephone service never crosses the gateway"
        raise Expected("voice and sms blocked `at: access`", hint, found="`at: gateway`", key="at")
    if policy.at is Point.GATEWAY and policy.by is Means.DPI and (targets.apps or targets.sites):
        hint = "the gateway has no DPI box: only operators have"
        raise Expected("`by: address` for apps and sites there", hint, found="`at: gateway`", key="at")
    hidden = next((name for name in targets.protocols if name not in WITHOUT_A_BOX), None)
    if hidden and (policy.at is Point.GATEWAY or policy.by is not Means.DPI):
        key, found = ("at", "`at: gateway`") if policy.at is Point.GATEWAY else ("by", f"`by: {policy.by}`")
        hint = f"only a DPI box recognises {hidden}"
        raise Expected(f"`by: dpi` and `at: access` for the protocol {hidden}", hint, found=found, key=key)


def _check_degrade(policy: Policy) -> None:
    """Checks `degrade`: delay and loss affect everything on a line; only a rate can apply to some traffic."""
    if policy.degrade is None:
        return
    keys = ("action", "direction") if policy.degrades_traffic else ("action", "direction", "by", "at")
    for key in keys:
        if key in policy.model_fields_set:
            hint = "`rate` gives each direction its own value"
            raise Expected("`degrade` without it", hint, found=f"`{key}` with `degrade`", key=key)
    given = policy.degrade.model_fields_set - {"rate"}
    if policy.degrades_traffic and given:
        beside = ", ".join(f"`{key}`" for key in Degradation.model_fields if key in given)
        found = f"{beside} for only a part of a line's traffic"
        hint = "delay, loss and generation apply to a whole line: leave out `only`, and traffic under `except`"
        raise Expected("only `rate`", hint, found=found, key="degrade")


def _check_reject(policy: Policy) -> None:
    """Checks `action: reject`: border routers distinguish packets by headers, and see only what subscribers
    send."""
    if policy.action is not BlockAction.REJECT:
        if "reject_with" in policy.model_fields_set:
            raise Expected(
                "`reject_with` with `action: reject`",
                found=f"`reject_with` with `action: {policy.action}`",
                key="reject_with",
            )
        return
    if policy.needs_boxes:
        hint = "border routers see no names: use `by: address`"
        raise Expected("targets that can be matched by headers", hint, found="`action: reject`", key="action")
    if policy.at is Point.GATEWAY or policy.direction is Direction.INBOUND:
        key = "at" if policy.at is Point.GATEWAY else "direction"
        hint = "an operator's border router rejects only what its subscribers send"
        raise Expected("`action: reject` without it", hint, found=f"`{key}: {getattr(policy, key)}`", key=key)
    if policy.targets.voice or policy.targets.sms:
        hint = "routers do not carry the telephone service: leave `action` out"
        raise Expected("targets of the Internet", hint, found="voice or sms rejected", key="action")
