"""Two servers under load on a site whose Redis and MongoDB fail, and what must hold in the end."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .fallback_agents import Agent
from .outage import Found, Load, Site, eventually, found, health, loaded, p99, ports_of
from .proxy import proxied
from .serving import Server


@dataclass(frozen=True)
class Size:
    """How much load, and how long outages are."""

    agents: int
    #: Seconds that an agent pauses after an update.
    think: float
    #: Seconds before an outage, in which the speed is measured, and of an outage.
    before: float = 0.0
    away: float = 0.0

    @property
    def soak(self) -> bool:
        return self.away > 0


#: Share of the updates after which an agent ends its session.
ENDS = 0.05
#: Seconds after the start of an outage after which the breakers of servers under load are open.
OPENED_SECONDS = 2.0
#: The bounds of issue 16 in seconds are 0.05 and 5; the rest is for a busy machine.
SLOWER_SECONDS = 0.05 + 0.05
RECOVERED_SECONDS = 5.0 + 5.0
#: Share of requests that may be answered with 503 in an outage of Redis: those that MongoDB does not answer in time.
REFUSED = 0.01


@dataclass
class Scene:
    """Two servers and a load, and when Redis went away and came back."""

    site: Site
    size: Size
    servers: list[Server]
    load: Load
    #: Agents whose first request comes in the outage.
    late: list[Agent]
    away: float = 0.0
    back: float = 0.0
    #: Seconds from Redis' return to the first answer that is not degraded.
    first_answer: float = 0.0
    #: By how many seconds reads are slower at p99 while the breakers are open.
    slower: float = 0.0
    figures: dict[str, object] = field(default_factory=dict)

    async def before(self) -> None:
        """Work without an outage."""
        await self.load.acknowledged(3)
        await asyncio.sleep(self.size.before)

    async def degraded(self) -> None:
        """Work in an outage, which begins now, as long as it is to last."""
        self.away = time.monotonic()
        self.load.add(self.late)
        self.late = []
        await asyncio.sleep(self.size.away)
        await self.load.acknowledged(3, since=self.away, degraded=True)

    async def lose_redis(self) -> None:
        """Kill Redis. All that it has is archived before, while the load pauses."""
        await self.load.stop()
        await self.site.sweep()
        self.site.redis.kill()
        self.load.start()

    async def without_mongodb(self, stop: Callable[[], object], start: Callable[[], object]) -> None:
        """Work in an outage of Redis while MongoDB is away as well, and when it is back."""
        await asyncio.to_thread(stop)
        since = time.monotonic()
        await eventually(
            lambda: all(any(at > since for at in list(one.refusals)) for one in self.load.ledgers), "503 for each agent"
        )
        assert (await asyncio.to_thread(health, self.servers[0]))["success"] is False
        await asyncio.to_thread(start)
        await self.load.acknowledged(2, since=time.monotonic(), degraded=True)

    async def recovered(self) -> None:
        """Work after an outage, which has just ended, until everything is home."""
        self.back = time.monotonic()
        emptied = asyncio.create_task(self._emptied())
        await self.load.acknowledged(2, since=self.back, degraded=False)
        answered = [
            min(act.at for act in one.acts if act.at > self.back and not act.degraded) for one in self.load.ledgers
        ]
        await self.site.home()
        self.first_answer = min(answered) - self.back
        self.figures |= {
            "journal empty after, s": round(await emptied, 2),
            "first undegraded answer after, s": round(self.first_answer, 2),
            "last agent's after, s": round(max(answered) - self.back, 2),
        }

    async def _emptied(self) -> float:
        """Seconds from Redis' return until the journal is empty, after the last breaker has closed."""
        for server in self.servers:
            while (await asyncio.to_thread(health, server))["degraded"]:
                await asyncio.sleep(0.1)
        await self.site.home()
        return time.monotonic() - self.back

    def compare_reads(self) -> None:
        """Compare the speed of reads while the breakers are open with that before."""
        before = self.load.latencies(self.away - self.size.before, self.away - 0.5, False)
        open_ = self.load.latencies(self.away + OPENED_SECONDS, self.back, True)
        self.figures |= {
            "reads before": f"{len(before)}, p50 {before[len(before) // 2] * 1000:.1f} p99 {p99(before) * 1000:.1f} ms",
            "reads degraded": f"{len(open_)}, p50 {open_[len(open_) // 2] * 1000:.1f} p99 {p99(open_) * 1000:.1f} ms",
        }
        self.slower = p99(open_) - p99(before)
        rows = []
        for start in range(-10, int(self.back - self.away), 5):
            since = self.away + start
            reads = sorted(
                [*self.load.latencies(since, since + 5, True), *self.load.latencies(since, since + 5, False)]
            )
            acts = sum(since <= act.at < since + 5 for one in self.load.ledgers for act in one.acts)
            times = f"p50 {reads[len(reads) // 2] * 1000:.1f} p99 {p99(reads) * 1000:.1f} ms" if reads else ""
            rows.append(f"\n    {start:3} s: {acts / 5:.0f} updates/s, {len(reads) / 5:.0f} reads/s {times}")
        self.figures["from the start of the outage"] = "".join(rows)

    def explain(self, result: Found) -> None:
        """Print the faults, what the agent of the first one was told (in seconds of the outage), and the logs."""
        wrong = [text for one in self.load.ledgers for _, text in one.wrong]
        for name, faults in {**result.faults, "wrong answers": wrong}.items():
            print(name, *faults[:10], sep="\n  ")
        session_id = next(iter(result.faults.values()), [""])[0].partition(":")[0].partition(" ")[0]
        for ledger in self.load.ledgers:
            if ledger.wrong or any(act.session_id == session_id for act in ledger.acts):
                told = [(act.at, f"{act.n} {act.session_id} degraded: {act.degraded}") for act in ledger.acts]
                print(*(f"{at - self.away:7.3f} {text}" for at, text in sorted(told + ledger.wrong)), sep="\n")
                break
        for server in self.servers:
            print(server.port, server.log()[-5000:], sep="\n")

    def refused(self) -> float:
        """The share of the requests that were answered with 503."""
        refusals = sum(len(one.refusals) for one in self.load.ledgers)
        return refusals / (refusals + sum(len(one.acts) + len(one.reads) for one in self.load.ledgers))

    async def end(self, *, apart: bool = False) -> None:
        """Stop the load. Everything acknowledged must be in Redis or the archive, and no answer was wrong."""
        await self.load.stop()
        await self.site.home()
        await self.site.sweep("1s")  # archives sessions whose end could not be archived at once
        result = await found(self.site.settings, self.load.ledgers, apart=apart)
        ledgers = self.load.ledgers
        self.figures |= {
            "acknowledged": result.acknowledged,
            "of these degraded": result.degraded,
            "reads": sum(len(one.reads) for one in ledgers),
            "503": sum(len(one.refusals) for one in ledgers),
            "unknown": sum(len(one.maybe) for one in ledgers),
            "wrong answers": sum(len(one.wrong) for one in ledgers),
            "sessions": result.sessions,
            "ended by agents": sum(len(one.ended) for one in ledgers),
        }
        warnings = Counter(
            re.sub(r"sess_\w+|[\d.]+ m?s", "…", row["message"])[-260:]
            for server in self.servers
            for row in server.rows()
            if row["level"] != "info"
        )
        self.figures["warnings"] = "".join(f"\n    {count} x {text}" for text, count in warnings.most_common(8))
        if self.size.soak:
            print("\n" + "\n".join(f"  {name}: {value}" for name, value in self.figures.items()))
        if result.faults or any(one.wrong for one in ledgers):
            self.explain(result)
        assert (result.faults, self.site.aside()) == ({}, [])
        assert [text for one in ledgers for _, text in one.wrong] == []
        assert not any("traceback" in server.log() for server in self.servers)


@asynccontextmanager
async def scene(site: Site, size: Size, *, exact: bool = True) -> AsyncIterator[Scene]:
    """Two servers under load."""
    late = max(1, size.agents // 16)
    secrets = await site.register(size.agents + late)
    with site.serving() as servers:
        ports = [server.port for server in servers]
        ends = ENDS if exact else 0
        agents = [Agent(number, secret, ports, size.think, exact, ends) for number, secret in enumerate(secrets)]
        async with loaded(agents[late:]) as load:
            yield Scene(site, size, servers, load, agents[:late])


async def cut_off(site: Site, size: Size, home: Path) -> None:
    """Only one of the servers can reach Redis, and brings home what the other one could not."""
    async with proxied(site.redis) as proxy:
        site = Site.of(site.redis, site.mongo, home, redis_port=proxy.port)
        async with scene(site, size, exact=False) as now:
            await now.before()
            pid = now.servers[0].pid
            await proxy.cut_off(lambda port: port in ports_of(pid))
            await now.degraded()
            proxy.refusing = False
            await now.recovered()
            await now.end(apart=True)
