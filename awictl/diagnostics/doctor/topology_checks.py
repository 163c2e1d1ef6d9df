"""Checks of what sentinels, and the nodes of a cluster, report about their deployment. Pure, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...settings import Settings
from ...store.redis.deployment_info import ClusterReport, ReportedNode, SentinelReport
from ...util.humanize import plural
from .report import Check, Status, failed, not_permitted, passed, warned

#: Number of slots of a cluster.
SLOTS = 16_384
#: Milliseconds of `down-after-milliseconds` below which the primary may be replaced while awictl still uses it.
MIN_DOWN_AFTER_MS = 1_000
#: Maximum number of addresses or errors in an evidence.
MAX_NAMED = 5
#: Flags of a server that does not answer.
_DOWN = frozenset({"s_down", "o_down"})


def sentinel_checks(reports: Sequence[SentinelReport], settings: Settings) -> list[Check]:
    """Check what each of the sentinels in the settings answered."""
    name = settings.redis_sentinel_master
    checks = [_sentinels(reports, name)]
    answers = [one for one in reports if one.master]
    if answers:
        checks += [_primary(answers), _sentinel_replicas(answers), _down_after(answers, name)]
        checks.append(_quorum(answers, name))
    return checks


def _sentinels(reports: Sequence[SentinelReport], name: str) -> Check:
    answered = sum(one.error is None for one in reports)
    evidence = f"{answered} of {plural(len(reports), 'sentinel')} answered"
    errors = [one.error for one in reports if one.error is not None]
    if any("No such master" in error for error in errors):
        remedy = f"set REDIS_SENTINEL_MASTER to a name that `SENTINEL MASTERS` lists; it is {name!r}"
        return failed("sentinels", f"{evidence}: {_listed(errors)}", remedy)
    if errors:
        evidence += f": {_listed(errors)}"
    if answered <= len(reports) // 2:
        remedy = (
            "start the sentinels, or correct REDIS_SENTINELS and REDIS_SENTINEL_PASSWORD: awictl uses a primary only "
            "while a majority of the sentinels names it"
        )
        return failed("sentinels", evidence, remedy)
    if errors:
        return warned("sentinels", evidence, "start these sentinels, or remove them from REDIS_SENTINELS")
    others = [one.master.get("num-other-sentinels", "") for one in reports]
    known_count = max((int(one) + 1 for one in others if one.isdecimal() and len(one) < 6), default=len(reports))
    if known_count > len(reports):
        remedy = "list all sentinels in REDIS_SENTINELS, the same ones everywhere"
        return warned("sentinels", f"{evidence}, but there are {known_count}", remedy)
    if known_count < 3:
        remedy = "run at least three sentinels, on machines of their own: a majority has to agree to a failover"
        return warned("sentinels", evidence, remedy)
    return passed("sentinels", evidence)


def _primary(answers: Sequence[SentinelReport]) -> Check:
    named: dict[str, list[str]] = {}
    for one in answers:
        host, port = one.primary or ("(none)", 0)
        named.setdefault(f"{host}:{port}", []).append(one.where)
    wait = "wait until the failover has ended, and run this again; if that goes on, read the sentinels' logs"
    if len(named) > 1:
        said = "; ".join(f"{primary} by {_listed(by)}" for primary, by in named.items())
        return failed("primary", f"the sentinels name different servers: {said}", wait)
    [primary] = named
    flags = [set(one.master.get("flags", "").split(",")) for one in answers]
    if any("failover_in_progress" in one for one in flags):
        return warned("primary", f"{primary} is being replaced", wait)
    down = sum(bool(one & _DOWN) for one in flags)
    if down:
        evidence = f"{primary} does not answer {down} of {plural(len(answers), 'sentinel')}"
        remedy = (
            "start it, or repair its network; if no replica is promoted, see `SENTINEL CKQUORUM` and the check quorum"
        )
        agreed = any("o_down" in one for one in flags) or down == len(flags)
        return (failed if agreed else warned)("primary", evidence, remedy)
    epoch = answers[0].master.get("config-epoch", "")
    return passed("primary", f"{primary}, named by all that answered" + (f" (epoch {epoch})" if epoch else ""))


def _sentinel_replicas(answers: Sequence[SentinelReport]) -> Check:
    """Check the replicas that the sentinels know, which include those that are down."""
    replicas: dict[str, list[set[str]]] = {}
    if all(one.replicas is None for one in answers):
        return not_permitted("replicas", "SENTINEL REPLICAS")
    for one in answers:
        for replica in one.replicas or ():
            where = f"{replica.get('ip', '?')}:{replica.get('port', '?')}"
            replicas.setdefault(where, []).append(set(replica.get("flags", "").split(",")))
    if not replicas:
        remedy = "add a replica (`REPLICAOF`): without one, there is nothing to fail over to"
        return failed("replicas", "the sentinels know no replica of the primary", remedy)
    down = [where for where, flags in replicas.items() if any(one & {*_DOWN, "disconnected"} for one in flags)]
    if down:
        remedy = "start them, or repair their network; if they are gone for good, run `SENTINEL RESET` on each sentinel"
        return warned("replicas", f"{len(down)} of {plural(len(replicas), 'replica')} down: {_listed(down)}", remedy)
    return passed("replicas", f"{plural(len(replicas), 'replica')}, all up")


def _down_after(answers: Sequence[SentinelReport], name: str) -> Check:
    values = [one.master.get("down-after-milliseconds", "") for one in answers]
    found = sorted({int(one) for one in values if one.isdecimal() and len(one) < 12})
    if not found:
        return not_permitted("down-after", "down-after-milliseconds in SENTINEL MASTER")
    evidence = f"down-after-milliseconds is {' and '.join(map(str, found))}"
    if found[0] < MIN_DOWN_AFTER_MS:
        return warned(
            "down-after",
            f"{evidence}: a short pause is enough to replace the primary, perhaps while awictl still uses it",
            f"`SENTINEL SET {name} down-after-milliseconds 5000` on each sentinel",
        )
    if len(found) > 1:
        return warned("down-after", evidence, f"set the same value on each sentinel (`SENTINEL SET {name} …`)")
    return passed("down-after", evidence)


def _quorum(answers: Sequence[SentinelReport], name: str) -> Check:
    known = [one.quorum for one in answers if one.quorum is not None]
    if not known:
        return not_permitted("quorum", "SENTINEL CKQUORUM")
    negative = [text for positive, text in known if not positive]
    if negative:
        remedy = (
            "start more sentinels, or repair the network between them: no replica is promoted if the primary fails. "
            f"For sentinels that are gone for good, run `SENTINEL RESET {name}` on each of the others"
        )
        count = f"{len(negative)} of {plural(len(known), 'sentinel')}"
        return failed("quorum", f"{count} cannot agree to a failover: {negative[0]}", remedy)
    return passed("quorum", known[0][1])


def cluster_checks(reports: Sequence[ClusterReport]) -> list[Check]:
    """Check what the nodes of a cluster answered that were asked: the seeds, and all masters."""
    answers = [one for one in reports if one.cluster]
    checks = [_state(answers, reports), *([_slots(answers)] if answers else [])]
    nodes = [one for one in reports if one.nodes]
    if nodes:
        return [*checks, _nodes(nodes, reports)]
    denied = any(one.error is None for one in reports)
    return [*checks, not_permitted("nodes", "CLUSTER NODES")] if denied else checks


def _state(answers: Sequence[ClusterReport], reports: Sequence[ClusterReport]) -> Check:
    if not answers:
        errors = [one.error for one in reports if one.error is not None]
        if not errors:
            return not_permitted("cluster", "CLUSTER INFO")
        remedy = "start the nodes, or correct REDIS_HOST or REDIS_URL; do not set REDIS_CLUSTER for a single server"
        return failed("cluster", f"no node answered: {_listed(errors)}", remedy)
    down = [one.where for one in answers if one.cluster.get("cluster_state") != "ok"]
    if down:
        remedy = (
            "see the checks slots and nodes; a cluster accepts no commands while slots have no master, or where a node "
            "does not reach a majority of the masters"
        )
        return failed("cluster", f"not ok on {len(down)} of {plural(len(answers), 'node')}: {_listed(down)}", remedy)
    size, known = (answers[0].cluster.get(name, "?") for name in ("cluster_size", "cluster_known_nodes"))
    return passed(
        "cluster", f"ok on all {plural(len(answers), 'node')} asked; {size} masters with slots, {known} nodes"
    )


def _slots(answers: Sequence[ClusterReport]) -> Check:
    assigned = min(_count(one, "cluster_slots_assigned") for one in answers)
    failing, doubted = (max(_count(one, f"cluster_slots_{what}") for one in answers) for what in ("fail", "pfail"))
    if assigned < SLOTS:
        evidence = f"{SLOTS - assigned:,} of {SLOTS:,} slots have no owner; the sessions in them cannot be used"
        remedy = "assign them (`redis-cli --cluster fix HOST:PORT`)"
        return failed("slots", evidence, remedy)
    if failing:
        remedy = "start the masters that failed, or promote one of their replicas (`CLUSTER FAILOVER FORCE` on it)"
        return failed("slots", f"{failing:,} slots are on masters that failed", remedy)
    if doubted:
        remedy = "wait a moment and run this again; if that goes on, check these masters and their network"
        return warned("slots", f"{doubted:,} slots are on masters that do not answer some node", remedy)
    moving = sum(node.moving for one in answers for node in one.nodes if "myself" in node.flags)
    moves = f"; slots are moving between {plural(moving, 'master')}" if moving else ""
    return passed("slots", f"all {SLOTS:,} have an owner{moves}")


def _count(report: ClusterReport, name: str) -> int:
    text = report.cluster.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 0


def _nodes(answers: Sequence[ClusterReport], reports: Sequence[ClusterReport]) -> Check:
    """Check the nodes that do not answer others, or do not answer awictl; and masters without a replica."""
    found: dict[str, ReportedNode] = {}
    down: dict[str, str] = {}
    for report in answers:
        for node in report.nodes:
            found[node.id] = node
            if node.flags & {"fail", "fail?"}:
                down[node.where] = "failed" if "fail" in node.flags else down.get(node.where, "does not answer")
    masters = [node for node in found.values() if "master" in node.flags and node.slots]
    unreached = [one.error for one in reports if one.error is not None and one.where not in down]
    problems = [*(f"{where} {how}" for where, how in down.items()), *unreached]
    if problems:
        remedy = "start them, or repair the network; if one is gone for good, `CLUSTER FORGET` it on all others"
        silent = {*down, *(one.where for one in reports if one.error is not None)}
        worst = any(node.where in silent for node in masters)
        evidence = f"{len(problems)} of {plural(len(found), 'node')} do not answer: {_listed(problems)}"
        return (failed if worst else warned)("nodes", evidence, remedy)
    replicated = {node.master for node in found.values() if "slave" in node.flags}
    alone = [node.where for node in masters if node.id not in replicated]
    if alone:
        remedy = "add a replica to each (`CLUSTER REPLICATE`): if such a master is lost, so are its sessions"
        return warned("nodes", f"{plural(len(alone), 'master')} without a replica: {_listed(alone)}", remedy)
    return passed("nodes", f"{plural(len(masters), 'master')} with slots, each with a replica; all nodes answer")


def merged(name: str, found: Sequence[tuple[str, Check]]) -> Check:
    """Return one check for the same check of several nodes, which are named: the worst status counts."""
    order = list(Status)
    worst = max((check.status for _, check in found), key=order.index)
    some = [(where, check) for where, check in found if check.status is worst]
    of_all = "" if len(some) == len(found) else f"{len(some)} of {len(found)} nodes: "
    evidences = {check.evidence for _, check in some}
    if len(evidences) == 1:
        text = f"{of_all}{some[0][1].evidence}" + (f" (all {len(found)} nodes)" if not of_all else "")
        text += f" ({_listed(where for where, _ in some)})" if of_all else ""
    else:
        text = of_all + _listed([f"{where}: {check.evidence}" for where, check in some], "; ")
    return Check(name, worst, text, some[0][1].remedy)


def _listed(names: Iterable[str], separator: str = ", ") -> str:
    """Join the first MAX_NAMED texts."""
    names = list(names)
    more = f"{separator}and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return separator.join(names[:MAX_NAMED]) + more
