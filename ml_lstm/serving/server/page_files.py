"""Serves the web page: the files in `page/`, with headers that exclude content from elsewhere."""

import hashlib
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

_FILES = Path(__file__).with_name("page")
_INDEX = "index.html"
# Listed here, because operating systems know different types.
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
}
_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' blob: data:",
    "media-src": "'self' blob:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "manifest-src": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
    "form-action": "'none'",
}
_HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {sources}" for name, sources in _POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Revalidated at each request with its ETag, so that another version of the package shows at once.
    "Cache-Control": "no-cache",
}


class Page:
    """Answers GET and HEAD for the page and its files, which are read when the server starts.

    `index.html` is at `/`, the others are at `/page/NAME`. Only known names give a file.

    Args:
        directory: directory of the files; files of unknown types are left out.
    """

    def __init__(self, directory: Path = _FILES):
        self._files = {path.name: _File(path) for path in directory.iterdir() if path.suffix in _TYPES}

    @staticmethod
    def is_wanted(request: Request) -> bool:
        """Whether a caller accepts HTML, as browsers do; other callers of `/` get JSON."""
        kinds = (kind.partition(";")[0].strip() for kind in request.headers.get("Accept", "").split(","))
        return "text/html" in kinds

    async def index(self, request: Request) -> Response:
        """The page itself."""
        return self._files[_INDEX].answer(request, {"Vary": "Accept"})

    async def file(self, request: Request) -> Response:
        """One of the page's files."""
        name = request.path_params["name"]
        if name not in self._files or name == _INDEX:
            raise HTTPException(404, "The page has no such file: open the page at /.")
        return self._files[name].answer(request)


class _File:
    def __init__(self, path):
        self._content = path.read_bytes()
        self._type = _TYPES[path.suffix]
        # Not from the file's time, which an installation may set to the same value for all versions.
        self._tag = f'"{hashlib.sha256(self._content).hexdigest()[:32]}"'

    def answer(self, request, headers=None):
        headers = _HEADERS | {"ETag": self._tag} | (headers or {})
        known = {tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")}
        if known & {self._tag, "*"}:
            return Response(status_code=304, headers=headers)
        return Response(self._content, headers=headers, media_type=self._type)
