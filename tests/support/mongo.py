"""Private MongoDB-wire servers over TCP (SecantusDB), each with a folder of its own. Tests use no other servers."""

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
from .waiting import suspend

#: Maximum seconds until a started server answers.
START_SECONDS = 30.0
#: The database that tests use.
DATABASE = "awi"
DATA = Path(__file__).parents[1] / "data"


class MongoServer:
    """A server process on a TCP port. Its data is kept until `stop`, even if the process is killed.

    `durable`: otherwise, a killed server loses acknowledged writes, but each write takes much less time.
    """

    def __init__(self, *, durable: bool = True) -> None:
        self._durable = durable
        self.folder = Path(tempfile.mkdtemp(prefix="awi-mongo-", dir="/tmp"))
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._client: pymongo.MongoClient[dict[str, Any]] | None = None

    @property
    def uri(self) -> str:
        """The URL of the tests' database."""
        return f"mongodb://127.0.0.1:{self.port}/{DATABASE}"

    @property
    def raw(self) -> pymongo.database.Database[dict[str, Any]]:
        """The database, for tests that inspect or change the data."""
        if self._client is None:
            self._client = pymongo.MongoClient(self.uri, serverSelectionTimeoutMS=int(START_SECONDS * 1000))
        return self._client.get_database(DATABASE, codec_options=CodecOptions(tz_aware=True))

    @property
    def archived(self) -> pymongo.collection.Collection[dict[str, Any]]:
        """The collection `awi_sessions`."""
        return self.raw["awi_sessions"]

    @property
    def sessions(self) -> pymongo.collection.Collection[dict[str, Any]]:
        """The collection `agentsessions`."""
        return self.raw["agentsessions"]

    def start(self) -> MongoServer:
        """Start the process and wait until it answers. A restarted server keeps its port."""
        for _ in range(START_TRIES):
            port = self.port or free_port()
            command = [str(Path(sys.executable).parent / "secantusd-py"), "--host", "127.0.0.1", "--port", str(port)]
            command += ["--storage-path", str(self.folder / "data"), "--cache-size", "256M", "--log-level", "ERROR"]
            command += ["--sync-on-commit"] if self._durable else []
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
        """Wait until the server answers. Returns False if the process has ended, because its port was taken."""
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
        """Delete all data."""
        self.raw.client.drop_database(DATABASE)

    def put_app_documents(self, *, last_active: datetime | None = None) -> dict[str, dict[str, Any]]:
        """Insert the documents that the app wrote in its two older shapes. Returns them by session id.

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
        """Insert a document that the app wrote. Returns it."""
        found: dict[str, Any] = json_util.loads((DATA / file).read_text())
        self.raw[collection].insert_one(found)
        return found

    @property
    def running(self) -> bool:
        """Whether the process runs, even if it is suspended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The id of the process."""
        assert self._process is not None
        return self._process.pid

    def disconnect(self) -> None:
        """Close the connections of `raw`; it opens others."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def kill(self) -> None:
        """Kill the process, as a crash would. `start` starts it again with its data."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def terminate(self) -> None:
        """Shut the process down. `start` starts it again with its data."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def pause(self) -> None:
        """Suspend the process: connections stay open, but requests are not answered."""
        assert self._process is not None
        suspend(self._process.pid)

    def resume(self) -> None:
        """Resume the process after `pause`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Kill the process and delete its folder."""
        self.disconnect()
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def _moved(value: Any, by: timedelta) -> Any:
    """A copy of a document in which every date is later by `by`."""
    if isinstance(value, dict):
        return {name: _moved(one, by) for name, one in value.items()}
    if isinstance(value, list):
        return [_moved(one, by) for one in value]
    return value + by if isinstance(value, datetime) else value
