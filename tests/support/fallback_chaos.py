"""Random operations of agents through several processes, while their Redis goes away and comes back at random."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from awictl.archive.transfer import Transfer
from awictl.errors import AwiError, HasEnded, NotFound, OutcomeUnknown, Unreachable

from .fallback_site import Site


@dataclass
class Acknowledged:
    """What an agent was told."""

    #: By session, the op_ids that were acknowledged, in order.
    op_ids: dict[str, list[str]] = field(default_factory=dict)
    #: The op_ids whose outcome the agent does not know.
    unknown: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)


class Chaos:
    """`sites`: the processes; each has a proxy of its own. `together`: whether Redis goes away for all at once.

    `given_up`: the share of requests that are cancelled at some point, and repeated.
    """

    def __init__(
        self, sites: list[Site], seed: int, *, agents: int = 3, together: bool = True, given_up: float = 0.15
    ) -> None:
        self.given_up = given_up
        self.sites = sites
        self.chance = random.Random(seed)
        self.together = together
        self.agents = [f"agent-{number}" for number in range(agents)]
        self.told = Acknowledged()
        self.log: list[str] = []
        self._number = 0

    async def run(self, steps: int) -> None:
        """Do random steps; then let everything come back, and bring everything home."""
        for _ in range(steps):
            await self._step()
        await self._back(self.sites)
        for site in self.sites:
            await site.redis_back()
        for _ in range(3):
            for site in self.sites:
                await site.fallback.step()
        await self.sites[0].manager.finish_ends()  # as a sweep does: of ends that were interrupted

    async def _step(self) -> None:
        roll = self.chance.random()
        if roll < 0.10:
            await self._away(self.sites if self.together else [self.chance.choice(self.sites)])
        elif roll < 0.20:
            await self._back(self.sites if self.together else [self.chance.choice(self.sites)])
        elif roll < 0.24:
            await self._lose_data()
        elif roll < 0.30:
            await self._quietly(self.chance.choice(self.sites).fallback.step())
        elif roll < 0.34:
            await asyncio.sleep(0.06)
        elif roll < 0.36:
            await self._restart(self.chance.choice(self.sites))
        elif roll < 0.40:
            await self._end(self.chance.choice(self.agents))
        else:
            chosen = self.chance.sample(self.agents, self.chance.randint(1, len(self.agents)))
            await asyncio.gather(*(self._act(agent) for agent in chosen))

    async def _away(self, sites: list[Site]) -> None:
        self.log.append(f"away {[self.sites.index(one) for one in sites]}")
        for site in sites:
            await site.proxy.cut_off()

    async def _back(self, sites: list[Site]) -> None:
        self.log.append(f"back {[self.sites.index(one) for one in sites]}")
        for site in sites:
            site.proxy.refusing = False

    async def _lose_data(self) -> None:
        """Redis loses its data, of which everything is archived, unless the processes have noticed that it is away."""
        if not self.together or not all(one.proxy.refusing for one in self.sites):
            return
        site = self.sites[0]
        raw = site.valkey.raw
        ids = [key.decode().removeprefix("AWI:SESSION:") for key in raw.scan_iter("AWI:SESSION:*")]
        self.log.append(f"lose {ids}")
        async with site.another() as direct:
            await Transfer(direct.manager.store, direct.manager.required_archive()).archive(ids)
        raw.flushall()

    async def _restart(self, site: Site) -> None:
        """A process crashes, and is started again: it knows nothing any more."""
        self.log.append(f"restart {self.sites.index(site)}")
        await site.restart()

    async def _quietly(self, work: Any) -> None:
        try:
            await work
        except* AwiError:
            pass

    async def _act(self, agent: str) -> None:
        site = self.chance.choice(self.sites)
        self._number += 1
        op_id = f"op_{self._number}"
        for attempt in range(20):
            given_up_after = self.chance.random() * 0.05 if self.chance.random() < self.given_up else None
            try:
                async with asyncio.timeout(given_up_after):
                    visit = await site.visit(agent)
                    earlier = await site.manager.earlier_sessions.find(agent, visit, op_id) if attempt else None
                    if earlier is not None:
                        self._acknowledge(earlier, op_id)
                        return
                    self._check_state(agent, visit)
                    updated = await site.apply(visit.session_id, self._number_of(op_id))
            except (HasEnded, NotFound, Unreachable, TimeoutError) as error:
                self.log.append(f"{op_id} {agent} at {self.sites.index(site)}: {error}")
                await asyncio.sleep(0.02)
                site = self.chance.choice(self.sites)
                continue
            except OutcomeUnknown as error:
                raw = site.valkey.raw.get(f"AWI:SESSION:{visit.session_id}")
                raise AssertionError((op_id, agent, visit.session_id, str(error), raw, self.log)) from error
            self.log.append(
                f"{op_id} {agent} at {self.sites.index(site)} in {visit.session_id} {updated.degraded=} "
                f"t={updated.action['t'] if updated.action else None}"
            )
            self._acknowledge(visit.session_id, op_id)
            return
        self.told.unknown.add(op_id)

    def _number_of(self, op_id: str) -> int:
        return int(op_id.removeprefix("op_"))

    def _check_state(self, agent: str, visit: Any) -> None:
        """An agent never sees less than it was told, unless that is marked as degraded."""
        told = self.told.op_ids.get(visit.session_id)
        if told and self.together and not visit.degraded:
            assert visit.head.get("n", 0) >= self._number_of(told[-1]), (agent, visit.head["history"], told, self.log)

    def _acknowledge(self, session_id: str, op_id: str) -> None:
        self.told.op_ids.setdefault(session_id, []).append(op_id)

    async def _end(self, agent: str) -> None:
        site = self.chance.choice(self.sites)
        try:
            visit = await site.visit(agent, create=False)
            degraded = await site.manager.record_end(visit.session_id)
            self.log.append(f"end {agent} at {self.sites.index(site)} of {visit.session_id} {degraded=}")
            self.told.ended.add(visit.session_id)
            await site.manager.earlier_sessions.ended(agent, visit.session_id)
            await site.manager.agent_sessions.unmap(agent, visit.session_id)
            if not degraded:
                await site.manager.end_session(visit.session_id)
        except AwiError as error:
            self.log.append(f"end {agent} at {self.sites.index(site)}: {error}")

    # -- what became of it

    async def check(self) -> None:
        """Every acknowledged update is in Redis or in the archive, once, and in order, unless it is kept aside."""
        site = self.sites[0]
        journal = site.fallback.journal
        assert [one async for one in journal.pending()] == [], self.log
        aside = {one.op_id for one in await journal.aside()}
        if self.together:
            assert not aside, (aside, self.log)
        everywhere: Counter[str] = Counter()
        for session_id in {*self.told.op_ids, *self.told.ended}:
            found = await self._actions(session_id)
            op_ids = [one["op_id"] for one in found if "op_id" in one and one["action"] != "session_end"]
            everywhere.update(op_ids)
            told = self.told.op_ids.get(session_id, [])
            lost = [one for one in told if one not in op_ids and one not in aside]
            assert not lost, (session_id, lost, op_ids, self.log)
            if self.together:
                assert [one for one in op_ids if one in told] == told, (session_id, op_ids, told, self.log)
        twice = [op_id for op_id, count in everywhere.items() if count > 1]
        assert not twice, (twice, self.log)

    async def _actions(self, session_id: str) -> list[dict[str, Any]]:
        """The whole trajectory of a session: what Redis has of it is archived, too."""
        site = self.sites[0]
        await Transfer(site.manager.store, site.manager.required_archive()).archive([session_id])
        archived = await site.manager.get_archived_session(session_id)
        actions: list[dict[str, Any]] = archived.document["history"]["actions"] if archived is not None else []
        assert archived is None or not archived.summary.overwritten_actions, (session_id, actions, self.log)
        return actions
