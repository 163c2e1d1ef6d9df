"""The findings of a key scan as checks."""

from __future__ import annotations

from ...document.schema import OTHER_ID_REMEDY
from ...util.humanize import duration, plural
from .app_end import MAX_BYTES
from .data_scan import EXPIRING_MS, OVERSIZED_BYTES
from .findings import Finding, Findings
from .report import Check, failed, passed, warned

_FIX = "run `awictl doctor --fix` to repair this"


def data_checks(found: Findings, *, archive_configured: bool) -> list[Check]:
    """Turn the findings of a complete scan into checks, in display order."""
    return [
        *_not_scanned(found),
        _documents(found),
        _ids(found),
        _sizes(found),
        _ttls(found),
        _derived("agent mappings", "agent mapping", "without a live session", found.orphaned_mappings),
        _derived("agents in a session", "agent mapping", "missing for a live session", found.missing_mappings),
        _several(found),
        _derived("diffs", "diff", "without a live session", found.orphaned_diffs),
        _ended(found, archive_configured),
        _expiring(found, archive_configured),
        *_app_end(found),
    ]


def _not_scanned(found: Findings) -> list[Check]:
    """Checks of what the scan left out, so that no other check covers it."""
    checks = []
    if found.unreachable.count:
        evidence = f"{plural(found.unreachable.count, 'server')} could not be scanned"
        remedy = "make the server reachable first; its keys were not checked"
        checks.append(failed("other servers", evidence, remedy, found.unreachable.examples))
    if found.forbidden.count:
        evidence = f"no permission to read {plural(found.forbidden.count, 'key')}; no other check includes them"
        remedy = "allow this user to read them (`ACL SETUSER … ~AWI:* ~AGENT:SESSION:* ~MEDIA:*`)"
        checks.append(warned("permissions", evidence, remedy, found.forbidden.examples))
    return checks


def _documents(found: Findings) -> Check:
    if not found.unreadable.count:
        counts = f"{plural(found.live, 'live session')} among {plural(found.keys, 'key')}"
        return passed("documents", f"{counts}, all readable and complete")
    remedy = (
        "inspect the stored value (`redis-cli TYPE KEY`, `awictl session show -o raw ID`), then restore the session "
        "from the archive or delete the key"
    )
    evidence = f"{plural(found.unreadable.count, 'key')} cannot be read"
    return failed("documents", evidence, remedy, found.unreadable.examples)


def _ids(found: Findings) -> Check:
    if not found.other_ids.count:
        return passed("session ids", "every document has the session_id of its key")
    evidence = f"{plural(found.other_ids.count, 'document')} with another session_id than that of the key"
    return warned("session ids", evidence, OTHER_ID_REMEDY, found.other_ids.examples)


def _several(found: Findings) -> Check:
    if not found.several_sessions.count:
        return passed("sessions per agent", "no agent has a live session that it is not mapped to")
    evidence = f"{plural(found.several_sessions.count, 'agent')} with live sessions that they are not mapped to"
    remedy = (
        "their mapping expired before the session, or a second session was created. The agents go on in the session "
        "that they are mapped to (`awictl agent session AGENT`): end the others with `awictl session end ID`"
    )
    return warned("sessions per agent", evidence, remedy, found.several_sessions.examples)


def _app_end(found: Findings) -> list[Check]:
    """What the app's own end would lose; nothing if that was not checked."""
    if found.checked_for_app is None and not found.unchecked_for_app:
        return []
    not_read = ""
    if found.unchecked_for_app:
        not_read = f"; {plural(found.unchecked_for_app, 'more session')} not read (limit: {MAX_BYTES:,} bytes)"
    name = "end by the app"
    checked = plural(found.checked_for_app or 0, "live session")
    if not found.app_would_lose.count:
        return [passed(name, f"{checked} checked, none of which the app could not save{not_read}")]
    remedy = (
        "let awictl end them (`awictl session end ID`), and keep `awictl archive sweep --watch` running, which "
        "archives them before the app can lose them"
    )
    evidence = f"{found.app_would_lose.count:,} of {checked} would be lost if the app ended them{not_read}"
    return [warned(name, evidence, remedy, found.app_would_lose.examples)]


def _sizes(found: Findings) -> Check:
    if not found.oversized.count:
        return passed("document sizes", f"largest document: {found.largest_bytes:,} bytes")
    remedy = (
        "find the large fields (`awictl session show ID | jq 'map_values(tojson | length)'`); "
        "AWI_MAX_ACTIONS_PER_SESSION limits the trajectory"
    )
    count = plural(found.oversized.count, "document")
    evidence = f"{count} of {OVERSIZED_BYTES:,} bytes or more, largest document: {found.largest_bytes:,} bytes"
    return warned("document sizes", evidence, remedy, found.oversized.examples)


def _ttls(found: Findings) -> Check:
    if not found.no_ttl.count:
        return passed("expiries", "every key that should have a TTL has one")
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in found.no_ttl_kinds.items())
    return warned(
        "expiries", f"{plural(found.no_ttl.count, 'key')} without a TTL ({kinds})", _FIX, found.no_ttl.examples
    )


def _derived(check: str, noun: str, problem: str, finding: Finding) -> Check:
    if not finding.count:
        return passed(check, f"no {noun} {problem}")
    return warned(check, f"{plural(finding.count, noun)} {problem}", _FIX, finding.examples)


def _ended(found: Findings, archive_configured: bool) -> Check:
    remedy = "run `awictl archive sweep` to archive and delete them"
    if not archive_configured:
        remedy = f"configure an archive (AWI_ARCHIVE_URL or MONGODB_URI), then {remedy}"
    if found.ended_expiring.count:
        evidence = f"{plural(found.ended_expiring.count, 'ended session')} will expire before being archived"
        result = failed if archive_configured else warned
        return result("ended sessions", evidence, remedy, found.ended_expiring.examples)
    if found.ended.count:
        evidence = f"{plural(found.ended.count, 'ended session')} waiting to be archived"
        return warned("ended sessions", evidence, remedy, found.ended.examples)
    return passed("ended sessions", "no ended session waiting to be archived")


def _expiring(found: Findings, archive_configured: bool) -> Check:
    within = duration(EXPIRING_MS)
    if not found.expiring.count:
        return passed("expiring sessions", f"no session expiring within {within}")
    evidence = f"{plural(found.expiring.count, 'session')} expiring within {within}"
    remedy = "make sure that `awictl archive sweep --watch` is running, or run `awictl archive sweep` now"
    if not archive_configured:
        remedy = "configure an archive (AWI_ARCHIVE_URL or MONGODB_URI); without one, expired sessions are lost"
    return warned("expiring sessions", evidence, remedy, found.expiring.examples)
