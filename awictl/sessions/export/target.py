"""The file that an export is written to: it gets its name when it is complete, and can be resumed before that."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import IO

from ...errors import InvalidData, InvalidInput, Refused
from ...util.fingerprint_set import FingerprintSet
from .reader import ExportReader

#: The ending of an incomplete file, which is beside the complete one.
PART = ".part"


class ExportTarget:
    """A file that is written beside its place, and renamed when it is complete. All methods block.

    `force`: replace an existing file. `resume`: go on with an incomplete one, of which the sessions are `written`
    already. `max_bytes`: maximum size of a document. Raises Refused, InvalidInput, InvalidData.
    """

    def __init__(self, path: Path, *, force: bool, resume: bool, max_bytes: int) -> None:
        if not path.name or path.is_dir():
            raise InvalidInput(f"{path} is a folder: pass the name of a file")
        self.path = path
        self.part = path.with_name(path.name + PART)
        self._force = force
        self.written = FingerprintSet()
        self.sessions = 0
        self.actions = 0
        self._check_free()
        try:
            # not readable by others: sessions may contain secrets
            number = os.open(self.part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise InvalidInput(f"{self.part}: {error.strerror}") from None
        self._file: IO[bytes] = os.fdopen(number, "r+b")
        try:
            self._lock()
            if resume:
                self._resume(max_bytes)
            else:
                self._file.truncate()
        except BaseException:
            self._file.close()
            raise

    @property
    def is_empty(self) -> bool:
        """Whether nothing was written yet."""
        return self._file.tell() == 0

    @property
    def is_incomplete(self) -> bool:
        """Whether something was written, and the file has not got its name."""
        return not (self._file.closed or self.is_empty)

    def append(self, data: bytes) -> None:
        """Append to the file."""
        self._file.write(data)

    def finish(self) -> None:
        """Write everything to the disk, and give the file its name."""
        self._check_free()
        self._file.flush()
        os.fsync(self._file.fileno())
        self.part.replace(self.path)
        self._file.close()
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def close(self, *, discard: bool = False) -> None:
        """Leave the incomplete file, or `discard` it, also if it is empty. Does nothing after `finish`."""
        if not self._file.closed:
            if discard or self.is_empty:
                self.part.unlink(missing_ok=True)
            self._file.close()

    def _check_free(self) -> None:
        if not self._force and self.path.exists():
            raise Refused(f"{self.path} exists, so nothing was written; --force replaces it")

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Refused(f"{self.part} is being written by another export; nothing was written") from None

    def _resume(self, max_bytes: int) -> None:
        """Find the complete sessions in the file, and cut off what follows them."""
        reader = ExportReader(self._file.read, str(self.part), max_bytes)
        if not self._file.read(1):
            return
        self._file.seek(0)
        reader.header()
        if reader.redaction is not None:
            raise Refused(f"{self.part} was redacted, and such an export cannot be resumed")
        with suppress(InvalidData):  # it ends where the export was interrupted
            for session in reader.sessions_in_file():
                self.written.add_new([session.line.session])
        self.sessions, self.actions = reader.sessions, reader.actions
        self._file.truncate(reader.complete_bytes)
        self._file.seek(reader.complete_bytes)
