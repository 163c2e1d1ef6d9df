"""Scan the keys and summarize each kind, for `keys ttl` and `keys stats`."""

from typing import TYPE_CHECKING

from ...util.humanize import plural
from ..framework.context import CommandContext

if TYPE_CHECKING:
    from ...diagnostics.key_stats import KeyStats


async def survey(
    ctx: CommandContext, pattern: str | None, everything: bool, rate: float | None, sample: int | None
) -> "list[KeyStats]":
    """Summarize the keys of each kind; notices say how many could not be read, or were not sampled."""
    from ...diagnostics.inventory import DEFAULT_SAMPLE

    async with ctx.manager() as manager:
        inventory = manager.inventory
        size = await inventory.size()
        with ctx.out.progress(size or 0, "scanning keys") as on_step:
            found = await inventory.survey(
                pattern, everything=everything, rate=rate, sample=sample or DEFAULT_SAMPLE, on_step=on_step
            )
    count, looked_at = sum(one.count for one in found), sum(one.inspected for one in found)
    forbidden = sum(one.not_permitted for one in found)
    if forbidden:
        ctx.out.notice(
            f"{plural(forbidden, 'key')} could not be read: this user has no permission; only their names are known"
        )
    if looked_at + forbidden < count:
        ctx.out.notice(f"sampled {looked_at:,} of {plural(count, 'key')} (see --sample)")
    return found
