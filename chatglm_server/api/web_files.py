"""The files of the server's own pages, in ``web/``: HTML, styles and ES modules, served as they are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from fastapi import Request
from fastapi.responses import Response

_FOLDER = Path(str(files(__package__))).parent / "web"

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""By suffix. Not from `mimetypes`: on Windows that reads the registry, where .js may be plain text."""

_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""The policy keeps out scripts and styles within the page, and all that is elsewhere. A browser asks each time whether
a file has changed, so that a new version of the server is never seen with half of its old page.
"""


@dataclass(frozen=True, slots=True)
class WebFile:
    """A file as it is sent; `etag` is a digest of its content."""

    content: bytes
    media_type: str
    etag: str

    def response(self, request: Request) -> Response:
        """The file, or 304 to a browser that has it."""
        headers = {**_HEADERS, "ETag": self.etag}
        known = request.headers.get("if-none-match", "")
        if self.etag in (tag.strip().removeprefix("W/") for tag in known.split(",")):
            return Response(status_code=304, headers=headers)
        return Response(self.content, media_type=self.media_type, headers=headers)


def _read(path: Path) -> WebFile:
    content = path.read_bytes()
    return WebFile(content, _TYPES[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')


WEB_FILES = {
    f"/web/{path.relative_to(_FOLDER).as_posix()}": _read(path)
    for path in sorted(_FOLDER.rglob("*"))
    if path.suffix in _TYPES
}
"""By the path of the request. No other file can be asked for."""
