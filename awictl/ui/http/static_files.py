"""The files that the browser loads. They are served from memory: a page has dozens of small modules."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ..offline.bundle import STATIC, read_modules

#: The module that the page begins with.
_ENTRY = "app.js"
_SCRIPT = f'<script type="module" src="/static/{_ENTRY}">'
_TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml"}


class _File(NamedTuple):
    data: bytes
    media_type: str
    #: Identifies this content, for a browser that asks whether it has changed.
    etag: str


class StaticFiles:
    """All files of the folder, read once."""

    def __init__(self) -> None:
        self._files = {
            path.relative_to(STATIC).as_posix(): _file(path.read_bytes(), path)
            for path in STATIC.rglob("*")
            if path.is_file()
        }
        index = STATIC / "index.html"
        self._index = _file(with_preloads(index.read_text(encoding="utf-8")).encode(), index)

    async def serve(self, request: Request) -> Response:
        """The file that is named by the path. Raises HTTPException with status 404."""
        found = self._files.get(request.path_params["path"])
        if found is None:
            raise HTTPException(404)
        return _response(request, found)

    def page(self, request: Request, status: int = 200) -> Response:
        """The document of all pages."""
        return _response(request, self._index, status)


def with_preloads(html: str) -> str:
    """A document that names all modules: the browser loads them at once, instead of after those that import them."""
    modules = [path for path in read_modules(STATIC, _ENTRY) if path != _ENTRY]
    links = "".join(f'<link rel="modulepreload" href="/static/{path}">\n' for path in modules)
    before, script, after = html.partition(_SCRIPT)
    return before + links + script + after


def _file(data: bytes, path: Path) -> _File:
    return _File(data, _TYPES.get(path.suffix, "text/plain"), f'"{sha256(data).hexdigest()[:32]}"')


def _response(request: Request, found: _File, status: int = 200) -> Response:
    # to be asked for each time: another version of awictl may run at this address next
    headers = {"cache-control": "no-cache", "etag": found.etag}
    if status == 200 and request.headers.get("if-none-match") == found.etag:
        return Response(status_code=304, headers=headers)
    return Response(found.data, status, headers, found.media_type)
