"""`awictl cache`: the cached results of queries."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InvalidInput, NotFound
from ..util.humanize import duration, lifetime, plural
from .given import confirm, read_ids, read_json
from .options import Rate, Run, Yes, command, each, new_group
from .output import Format, write
from .tables import Column, Rows, compact, fields_of, printable_json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..query_cache.diagnose import Diagnosis
    from ..sessions.manager import StateManager

app = new_group("The cached results of queries, and why a query is not cached.")

_JSON = "a JSON object, @FILE, or - for stdin."
Filters = Annotated[
    str | None, typer.Option("--filters", metavar="JSON", help=f"Filters of the query: {_JSON}", show_default=False)
]
Sort = Annotated[
    str | None, typer.Option("--sort", metavar="JSON", help=f"Its sort order: {_JSON}", show_default=False)
]
Keys = Annotated[
    list[str],
    typer.Argument(metavar="KEY...", help="Cache keys, or - to read them from stdin.", show_default=False),
]


def _count(row: Mapping[str, Any]) -> str:
    if row.get("error"):
        return "unreadable"
    return f"{row['count']:,}" if row["count"] is not None else "-"


def _sessions(row: Mapping[str, Any]) -> str:
    first, *others = row["sessions"] or ["-"]
    return f"{first} and {len(others)} more" if others else str(first)


COLUMNS = [
    Column("KEY", lambda row: row["cache_key"]),
    Column("TTL", lambda row: lifetime(row["ttl_ms"]), right=True),
    Column("BYTES", lambda row: f"{row['bytes']:,}", right=True, drop=1),
    Column("RESULTS", _count, right=True),
    Column("SESSIONS", _sessions, narrow="cut", drop=2),
]

NEAR = [
    Column("CACHED INSTEAD", lambda row: row["cache_key"], drop=1),
    Column("TTL", lambda row: lifetime(row["ttl_ms"]), right=True),
    Column("DIFFERENCE", lambda row: row["words"], narrow="fold"),
    Column("FILTERS", lambda row: compact(row["filters"]), narrow="fold"),
    Column("SORT", lambda row: compact(row["sort"]), narrow="fold"),
]

DELETED = [Column("KEY", lambda row: row["cache_key"]), Column("DELETED", lambda row: _yes(row["deleted"]))]


def _yes(value: bool | None) -> str:
    return {True: "yes", False: "was not there", None: "would be"}[value]


@command(
    app,
    "key",
    examples=[
        """awictl cache key --filters '{"category":"tech"}' --sort '{"key":"date"}'""",
        """redis-cli TTL AWI:CACHE:LIST:$(awictl cache key --filters '{"tag":"awi"}' -o ids)""",
    ],
    formats=[Format.IDS],
)
async def key(run: Run, filters: Filters = None, sort: Sort = None) -> None:
    """Print the cache key of a query, exactly as the app makes it. Works offline: no server is asked."""
    from ..document.keys import CACHE_PREFIX
    from ..query_cache.cache_key import cache_key
    from ..settings import Settings

    query = _query(filters, sort, Settings.max_delta_bytes)
    made = cache_key(*query)
    row = {"cache_key": made, "key": CACHE_PREFIX + made, "filters": query[0], "sort": query[1]}
    run.out.one(row, table=lambda: made, ids=[made])


@command(
    app,
    "list",
    examples=["awictl cache list", "awictl cache list -o jsonl | jq -r 'select(.sessions == []) | .cache_key'"],
    formats=[Format.IDS],
)
async def list_(
    run: Run,
    rate: Rate = None,
    no_sessions: Annotated[
        bool, typer.Option("--no-sessions", help="Do not look through the sessions for those that point here.")
    ] = False,
) -> None:
    """List what is cached: how long it stays, its size, and the sessions that have it as their active query."""
    async with run.manager() as manager:
        found = manager.cache.list(rate=rate, sessions=not no_sessions)
        from ..document.keys import is_cache_key

        # what no other command would take is no id
        only_ids = run.out.format is Format.IDS
        rows = (cached.row() async for cached in found if not only_ids or is_cache_key(cached.cache_key))
        await run.out.many(rows, COLUMNS, id_field="cache_key", empty=f"nothing is cached at {manager.cache.where}")


@command(
    app,
    "show",
    examples=["awictl cache show 05924ac34f1a295ad31aa9941c665c32", "awictl cache show KEY | jq length"],
    formats=[Format.RAW],
)
async def show(run: Run, keys: Keys) -> None:
    """Print cached results."""
    async with run.manager() as manager:

        async def one(key: str) -> None:
            raw = await manager.cache.raw(key)
            if run.out.format is Format.RAW:
                write(raw)
                return
            results = manager.cache.decoded(key, raw)
            run.out.one(results, table=lambda: printable_json(results))

        await each(run, read_ids(keys), one)


@command(
    app,
    "put",
    examples=[
        """awictl cache put '[{"id":"post_1"}]' --filters '{"tag":"awi"}' --sort '{"key":"date"}'""",
        """curl -s $SITE/posts | jq .posts | awictl cache put - --filters '{"tag":"awi"}' --session ID""",
    ],
    formats=[Format.IDS],
)
async def put(
    run: Run,
    results: Annotated[
        str, typer.Argument(metavar="RESULTS", help="A JSON array, @FILE, or - for stdin.", show_default=False)
    ],
    filters: Filters = None,
    sort: Sort = None,
    session: Annotated[
        str | None, typer.Option("--session", metavar="ID", help="Record in this session that it is at this query.")
    ] = None,
    op_id: Annotated[
        str | None, typer.Option("--op-id", metavar="ID", help="Name of that record: it is made at most once.")
    ] = None,
) -> None:
    """Cache the results of a query, as the app does; with a session, its trajectory tells of it."""
    if op_id is not None and session is None:
        raise InvalidInput("--op-id names what is recorded in a --session, and none is given")
    settings = run.settings
    query = _query(filters, sort, settings.max_delta_bytes)
    value = read_json(results, "the results", settings.max_document_bytes, "AWI_MAX_DOCUMENT_BYTES")
    async with run.manager() as manager:
        cached = await manager.cache.put(*query, value, session_id=session, op_id=op_id)
    run.out.one(cached.row(), table=lambda: Rows([cached.row()], COLUMNS), ids=[cached.cache_key])


@command(
    app,
    "delete",
    examples=[
        "awictl cache delete 05924ac34f1a295ad31aa9941c665c32",
        "awictl cache list -o ids | awictl cache delete - --dry-run",
        "awictl cache list -o ids | awictl cache delete - --yes",
    ],
    formats=[Format.IDS],
)
async def delete(
    run: Run,
    keys: Keys,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be deleted.")] = False,
) -> None:
    """Delete cached results. The next one who asks has to fetch them again; the sessions stay as they are."""
    from ..document.keys import check_cache_key

    wanted = list(dict.fromkeys(map(check_cache_key, read_ids(keys))))
    async with run.manager() as manager:
        if not dry_run:
            manager.check_writable()
        there = await manager.cache.lifetimes(wanted)
        if dry_run:
            gone = dict.fromkeys(there)
        else:
            if there:
                confirm(f"Delete {plural(len(there), 'cached result')} from {manager.cache.where}?", yes)
            gone = {one: True for one, done in zip(there, await manager.cache.delete(list(there)), strict=True) if done}
        rows = [{"cache_key": one, "deleted": done} for one, done in gone.items()]
        await run.out.many(rows, DELETED, id_field="cache_key", empty="nothing was deleted")
        if missing := [one for one in wanted if one not in gone]:
            raise NotFound(f"nothing is cached at {manager.cache.where} under {', '.join(missing)}")


@command(
    app,
    "diagnose",
    examples=[
        """awictl cache diagnose --filters '{"tag":"awi","page":2}' --sort '{"key":"date","order":"desc"}'""",
        "awictl cache diagnose --session ID   # the query that this session is at",
    ],
)
async def diagnose(
    run: Run,
    filters: Filters = None,
    sort: Sort = None,
    session: Annotated[
        str | None, typer.Option("--session", metavar="ID", help="Take both from the page that this session is at.")
    ] = None,
    rate: Rate = None,
    no_sessions: Annotated[
        bool, typer.Option("--no-sessions", help="Do not look through the sessions for similar queries.")
    ] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 where it is not cached.")] = False,
) -> None:
    """Say whether a query is cached, and if not, why: its other spellings, similar queries, who cached it, and when."""
    if session is not None and (filters is not None or sort is not None):
        raise InvalidInput("a --session says the filters and the sort order itself")
    query = _query(filters, sort, run.settings.max_delta_bytes)
    async with run.manager() as manager:
        if session is not None:
            query = await _query_of(manager, session)
        found = await manager.diagnose_query(*query, rate=rate, sessions=not no_sessions)
    run.out.one(found.row(), table=lambda: _diagnosis(found))
    if exit_code and not found.hit:
        raise typer.Exit(1)


def _query(filters: str | None, sort: str | None, limit: int) -> tuple[Any, Any]:
    return (
        read_json(filters, "--filters", limit) if filters is not None else {},
        read_json(sort, "--sort", limit) if sort is not None else {},
    )


async def _query_of(manager: "StateManager", session_id: str) -> tuple[Any, Any]:
    """The filters and the sort order of the page that a session is at. Raises NotFound, InvalidData."""
    from ..document.schema import as_object

    document = manager.decoded(session_id, await manager.read_session(session_id))
    page = as_object(document.get("page_state"))
    return page.get("filters"), page.get("sort")


def _diagnosis(found: "Diagnosis") -> "RenderableType":
    from rich.console import Group

    facts = [("cache key", found.cache_key), ("verdict", found.verdict)]
    if found.hit:
        facts += [
            ("expires in", lifetime(found.ttl_ms)),
            ("results", _count(found.row())),
            ("bytes", f"{found.bytes:,}"),
        ]
    else:
        facts.append(("looked at", plural(found.looked_at, "cache key")))
    facts += [
        ("pointed to by", f"{one.session_id}, cached {duration(one.age_ms)} ago") for one in found.sessions[:5]
    ]  # fmt: skip
    parts: list[RenderableType] = [fields_of(facts)]
    if found.near:
        parts += ["", Rows(found.row()["near"], NEAR)]
    return Group(*parts)
