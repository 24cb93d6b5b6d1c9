"""The page at `/` and its files, all from this package."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from ..problems import Problem
from .route import get

STATIC = Path(__file__).resolve().parents[1] / "static"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
HEADERS = {
    "cache-control": "no-cache",  # ask again: an upgrade must not leave half of an old page
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def _files() -> dict[str, tuple[bytes, str]]:
    """Name -> content and media type, of every file of the page."""
    return {
        path.relative_to(STATIC).as_posix(): (path.read_bytes(), TYPES[path.suffix])
        for path in sorted(STATIC.rglob("*"))
        if path.suffix in TYPES
    }


FILES = _files()


async def index(_: Request) -> Response:
    """The page."""
    return _response("index.html")


async def file(request: Request) -> Response:
    """A file of the page."""
    return _response(request.path_params["name"])


def _response(name: str) -> Response:
    if name not in FILES:
        raise Problem(404, "not_found", f"there is no /static/{name}")
    content, media_type = FILES[name]
    return Response(content, media_type=media_type, headers=HEADERS)


ROUTES = [get("/", index), get("/static/{name:path}", file)]
