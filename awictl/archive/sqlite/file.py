"""The SQLite file of an archive: opened for each call, in a thread, and created by the first write.

Several processes may share the file. Sessions end rarely, so opening it each time costs little. Calls of one process
wait for each other without a thread, in turn: SQLite polls a file that is locked, so that a call could wait until its
timeout while others went first.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from ...errors import AwiError, InvalidData, Refused, Unreachable
from ...util.fair_lock import FairLock
from .tables import VERSION, create_or_upgrade, version_of_tables

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


class SqliteFile:
    """Runs functions on an SQLite file that has the archive's tables.

    timeout: seconds to wait for a lock of another process.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        self.path = path
        #: The file's URL, for messages.
        self.where = f"sqlite:///{path}"
        self._timeout = timeout
        self._lock = FairLock()

    async def write(self, work: Work[T]) -> T:
        """Run `work` in one transaction and return its result after the transaction is on the disk.

        The file and its tables are created if they do not exist. Those of an earlier version are upgraded in the same
        transaction.
        """

        def run() -> T:
            with self._translate_errors():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._create()
            with self._translate_errors(), closing(self._connect("rw")) as db:
                db.execute("PRAGMA synchronous = EXTRA")  # a committed transaction survives a power failure
                db.execute("BEGIN IMMEDIATE")
                self._check_version(db)
                create_or_upgrade(db)
                result = work(db)
                db.execute("COMMIT")
                return result

        await self._lock.acquire_write()
        return await _in_thread(run, self._lock.release_write)

    async def read(self, work: Work[T]) -> T | None:
        """Run `work` and return its result; None if there is no file yet."""

        def run() -> T | None:
            if not self.path.exists():
                return None
            with self._translate_errors(), closing(self._connect("rw")) as db:
                if version_of_tables(db) == 0:
                    return None  # another process has created the file, but not the tables yet
                self._check_version(db)
                return work(db)

        await self._lock.acquire_read()
        return await _in_thread(run, self._lock.release_read)

    def check_creatable(self) -> None:
        """Raise Refused if the file does not exist and could not be created."""
        if self.path.exists():
            return
        folder = next(one for one in self.path.absolute().parents if one.exists())
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise Refused(f"{self.where} cannot be created: {folder} is not a folder that this user may write to")

    def _create(self) -> None:
        """Create the file if it does not exist, for this user only. SQLite gives its journals the same mode.

        So is the target of a symbolic link, which SQLite would create for all users.
        """
        if not self.path.exists():
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def _connect(self, mode: str) -> sqlite3.Connection:
        if self.path.is_dir():
            raise Refused(f"{self.where} is a folder; name a file in it")
        db = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={mode}", uri=True, timeout=self._timeout, isolation_level=None
        )
        db.row_factory = sqlite3.Row
        # damaged text must not keep others from being read
        db.text_factory = lambda raw: raw.decode("utf-8", "replace")
        return db

    def _check_version(self, db: sqlite3.Connection) -> None:
        version = version_of_tables(db)
        if version > VERSION:
            raise Refused(
                f"{self.where} was written by a newer awictl (version {version} of the tables, this one supports "
                f"{VERSION}); upgrade awictl"
            )

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Translate the errors of SQLite and of the file system that the block raises."""
        try:
            yield
        except OSError as error:
            raise Refused(f"{self.where}: {error.strerror or error}: {error.filename or ''}") from error
        except sqlite3.OperationalError as error:
            text = str(error)
            if "locked" in text or "busy" in text:
                raise Unreachable(f"{self.where} is in use by another process; try again") from error
            if "full" in text or "disk I/O error" in text:
                raise Unreachable(f"{self.where}: {text}; free some space on its disk, and try again") from error
            if "no such" in text:
                raise InvalidData(f"{self.where} is not an archive of awictl: {text}") from error
            if "readonly" in text or "unable to open" in text:
                raise Refused(f"{self.where}: {text}; check that this user may write to the file and folder") from error
            raise AwiError(f"{self.where}: {text}") from error
        # the last three for columns that are missing, or of another type
        except (sqlite3.DatabaseError, LookupError, TypeError, ValueError) as error:
            raise InvalidData(f"{self.where} is not an archive of awictl, or is damaged: {error}") from error


async def _in_thread(run: Callable[[], T], release: Callable[[], None]) -> T:
    """Run a function in a thread; call `release` after it, also if the caller is cancelled before."""
    task = asyncio.create_task(asyncio.to_thread(run))
    task.add_done_callback(lambda _: release())
    return await asyncio.shield(task)
