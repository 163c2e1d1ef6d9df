"""Any interleaving of writes by the app and by awictl: what was archived stays, once and in order (issue 14)."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from support.archive_machine import MAX_ACTIONS, ArchiveMachine, Servers
from support.express_app import ExpressApp
from support.mongo import MongoServer
from support.valkey import ValkeyServer

from awictl import StateManager


@pytest.fixture(params=["sqlite", "mongo"])
def machine(
    request: pytest.FixtureRequest, valkey: ValkeyServer, mongo: MongoServer, tmp_path: Path
) -> Iterator[type[ArchiveMachine]]:
    """The machine, with an archive of each kind. The app writes to MongoDB in any case."""
    file = tmp_path / "archive.db"
    archive = {"mongodb_uri": mongo.uri} if request.param == "mongo" else {"archive_url": f"sqlite:///{file}"}
    app = ExpressApp(valkey, mongo)
    app.start()

    def clear() -> None:
        valkey.raw.flushall()
        for name in mongo.raw.list_collection_names():
            mongo.raw[name].delete_many({})
        if file.exists():
            with closing(sqlite3.connect(file)) as db:
                for table in ("sessions", "actions"):
                    db.execute(f"DELETE FROM {table}")  # noqa: S608
                db.commit()

    with asyncio.Runner() as runner:
        opening = StateManager.open(valkey.settings(max_actions=MAX_ACTIONS, **archive))
        manager = runner.run(opening.__aenter__())
        try:
            servers = Servers(valkey, manager, app, request.param == "mongo", lambda work: runner.run(work), clear)
            yield type("Machine", (ArchiveMachine,), {"servers": servers})
        finally:
            runner.run(opening.__aexit__(None, None, None))


def run(machine: type[ArchiveMachine], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
            phases=[Phase.generate],  # no shrinking: it takes many minutes, and a run has only a few steps
        ),
    )


def test_nothing_archived_is_lost_beside_the_app(machine: type[ArchiveMachine]) -> None:
    run(machine, 20 if machine.servers.shared else 40, 11)


@pytest.mark.soak
def test_nothing_archived_is_lost_beside_the_app_in_thousands_of_runs(machine: type[ArchiveMachine]) -> None:
    run(machine, 2_500, 30)
