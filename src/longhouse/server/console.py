"""Serves the built console: its files, and its one page for every address it routes itself.

`app` makes it the application's answer to whatever is no route of the API. It reads from a
directory that the build filled; without one it says how to build it.
"""

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

CONSOLE_DIR = Path(__file__).parent / "console"
"""Where the console's build writes; the wheel carries it."""

CONSOLE_POLICY = (
    "default-src 'self'; "
    "script-src 'self'; "
    # The component library writes its theme into a style element.
    "style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; "
    "font-src 'self' data:; "
    "connect-src 'self'; "
    "object-src 'none'; "
    "base-uri 'none'; "
    "form-action 'self'; "
    "frame-ancestors 'none'"
)

FOREVER = "public, max-age=31536000, immutable"  # a file whose name holds its content's hash
ASK_FIRST = "no-cache"  # keep it, but ask whether it changed
HASHED = "assets/"
NOT_OURS = frozenset(
    {"api", "health", "info"}
)  # an unknown address there is no page of the console

NOT_BUILT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Longhouse</title>
<h1>The console is not built</h1>
<p>The server works, and its API answers under <code>/api/v1</code>. To get the console, run
<code>make run</code> in a checkout, or install Longhouse from a wheel.</p>
</html>
"""


class Console:
    """An ASGI application over a directory of built files."""

    def __init__(self, directory: Path = CONSOLE_DIR) -> None:
        self._root = directory.resolve()
        # Level 5: most of the gain for a third of the time.
        self._app: ASGIApp = GZipMiddleware(self._serve, minimum_size=1024, compresslevel=5)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a GET or HEAD; raises `HTTPException` for what the console has not."""
        await self._app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = self._answer(Request(scope, receive))
        response.headers["content-security-policy"] = CONSOLE_POLICY
        await response(scope, receive, send)

    def _answer(self, request: Request) -> Response:
        path = request.url.path.lstrip("/")
        if path.partition("/")[0] in NOT_OURS:
            raise HTTPException(404)
        if request.method not in {"GET", "HEAD"}:
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        file = self._find(path)
        if file is not None:
            return _send(request, file, cache=FOREVER if path.startswith(HASHED) else ASK_FIRST)
        if path.startswith(HASHED):
            raise HTTPException(404)  # of an older build; a page in its place would be no script
        index = self._root / "index.html"
        if not index.is_file():
            return HTMLResponse(NOT_BUILT, status_code=503)
        return _send(request, index, cache=ASK_FIRST)

    def _find(self, path: str) -> Path | None:
        """The built file of this address, if it is one inside the directory."""
        if not path or any(part.startswith(".") for part in path.split("/")):
            return None
        try:
            file = (self._root / path).resolve()
            return file if file.is_relative_to(self._root) and file.is_file() else None
        except OSError:  # a name no file can have
            return None


def _send(request: Request, file: Path, *, cache: str) -> Response:
    """The file, or that the client has it already."""
    response = FileResponse(file, headers={"cache-control": cache}, stat_result=file.stat())
    if response.headers["etag"] in request.headers.get("if-none-match", ""):
        kept = {name: response.headers[name] for name in ("cache-control", "etag")}
        return Response(status_code=304, headers=kept)
    return response
