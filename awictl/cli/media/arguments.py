"""Arguments that several commands of this folder have in common, and embeddings that are read from files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ...errors import InvalidInput
from ..framework.input import read_stdin
from ..framework.params import argument

if TYPE_CHECKING:
    from ...media.embeddings import Vector

ImageIds = Annotated[
    list[str],
    argument(metavar="ID...", help="Image ids, or - to read them from stdin, one per line.", show_default=False),
]


async def read_embedding(name: str) -> "Vector[float]":
    """The embedding in a file, or in stdin if `name` is `-`. Raises InvalidInput."""
    from ...media.embeddings import MAX_FILE_BYTES, parse
    from ...util.daemon_thread import in_daemon_thread

    def read() -> bytes:
        if name == "-":
            return read_stdin(MAX_FILE_BYTES + 1, "an embedding")
        try:
            with Path(name).open("rb") as file:
                return file.read(MAX_FILE_BYTES + 1)
        except (OSError, ValueError) as error:
            raise InvalidInput(f"{name}: {getattr(error, 'strerror', None) or error}") from None

    return parse(await in_daemon_thread(read), name)
