"""Private MongoDB-wire servers over TCP (SecantusDB), each in a folder of its own. No test talks to another server."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pymongo
from bson import CodecOptions, json_util
from pymongo.errors import PyMongoError

from .valkey import START_TRIES, free_port

#: Seconds that a server may take to answer after its start.
START_SECONDS = 30.0
#: The database that tests use.
DATABASE = "awi"
DATA = Path(__file__).parents[1] / "data"


class MongoServer:
    """A server process on a TCP port, whose data outlives it until `stop`."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="awi-mongo-", dir="/tmp"))
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._client: pymongo.MongoClient[dict[str, Any]] | None = None

    @property
    def uri(self) -> str:
        """Its URL, with the database."""
        return f"mongodb://127.0.0.1:{self.port}/{DATABASE}"

    @property
    def raw(self) -> pymongo.database.Database[dict[str, Any]]:
        """The database, for the test itself to look at the data and to change it."""
        if self._client is None:
            self._client = pymongo.MongoClient(self.uri, serverSelectionTimeoutMS=int(START_SECONDS * 1000))
        return self._client.get_database(DATABASE, codec_options=CodecOptions(tz_aware=True))

    @property
    def sessions(self) -> pymongo.collection.Collection[dict[str, Any]]:
        """The collection of sessions."""
        return self.raw["agentsessions"]

    def start(self) -> MongoServer:
        """Start the process, on the port that it had before if any, and wait until it answers."""
        for _ in range(START_TRIES):
            port = self.port or free_port()
            command = [str(Path(sys.executable).parent / "secantusd-py"), "--host", "127.0.0.1", "--port", str(port)]
            command += ["--storage-path", str(self.folder / "data"), "--cache-size", "256M", "--log-level", "ERROR"]
            command += ["--sync-on-commit"]  # without it a killed server forgets what it has acknowledged
            with (self.folder / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log
                )
            if self._answers(self._process, port):
                self.port = port
                return self
            self._process.wait()
        raise RuntimeError(f"secantusd-py does not start: {(self.folder / 'log').read_text()[-2000:]}")

    def _answers(self, process: subprocess.Popen[bytes], port: int) -> bool:
        """Whether it is up; False where it has ended, since its port was taken."""
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None:
            try:
                with pymongo.MongoClient(f"mongodb://127.0.0.1:{port}/", serverSelectionTimeoutMS=200) as client:
                    client.admin.command("ping")
                    return True
            except PyMongoError:
                if time.monotonic() > deadline:
                    self.kill()
                    raise
        return False

    def clear(self) -> None:
        """Remove all data."""
        self.raw.client.drop_database(DATABASE)

    def put_app_documents(self, *, last_active: datetime | None = None) -> dict[str, dict[str, Any]]:
        """Store the documents that the app wrote in its two older shapes. Returns them by their session ids.

        `last_active`: move all their dates by the same time span, so that the latest activity was then; by default the
        documents keep the dates at which they were recorded.
        """
        found = [json_util.loads((DATA / f"mongo_{name}_session.ejson").read_text()) for name in ("archived", "legacy")]
        if last_active is not None:
            recorded = max(one["lastActivityAt"] for one in found)  # a naive datetime in UTC
            by = last_active.astimezone(UTC).replace(tzinfo=None) - recorded
            found = [_moved(one, by) for one in found]
        self.sessions.insert_many(found)
        return {one["sessionId"]: one for one in found}

    def put(self, collection: str, file: str) -> dict[str, Any]:
        """Store a document that the app wrote."""
        found: dict[str, Any] = json_util.loads((DATA / file).read_text())
        self.raw[collection].insert_one(found)
        return found

    def kill(self) -> None:
        """End the process at once, as a crash would. `start` brings it back with its data."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def terminate(self) -> None:
        """End the process in good order. `start` brings it back with its data."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def pause(self) -> None:
        """Stop the process: it keeps its connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End the process and remove its folder."""
        if self._client is not None:
            self._client.close()
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def _moved(value: Any, by: timedelta) -> Any:
    """A copy of a document in which every date is later by `by`."""
    if isinstance(value, dict):
        return {name: _moved(one, by) for name, one in value.items()}
    if isinstance(value, list):
        return [_moved(one, by) for one in value]
    return value + by if isinstance(value, datetime) else value
