"""Pages for people with a browser: what this server is, and its reference. Nothing on them comes from elsewhere."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse, Response

from .. import __version__
from ..engine.base import Engine

_STYLE = "/docs/swagger-ui.css"
_SCRIPT = "/docs/swagger-ui-bundle.js"
_START = "/docs/start.js"
ASSETS = (_STYLE, _SCRIPT, _START)
"""Paths that the reference page loads."""

_PAGE_POLICY = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:"}
_REFERENCE_POLICY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'"
}
"""The browser enforces that a key typed into a page goes to this server alone."""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>chatglm-server</title>
<style>body {{ font: 1rem/1.5 sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }}</style>
</head>
<body>
<h1>chatglm-server {version}</h1>
<p>An OpenAI-compatible server for GLM models. It serves the model <strong>{model}</strong>.</p>
<ul>
<li>Base URL for OpenAI clients: this server's address with <code>/v1</code> behind it</li>
<li><a href="/docs">Reference of the API</a>, also as <a href="/openapi.json">OpenAPI schema</a></li>
<li><a href="/health">State of the server</a></li>
</ul>
</body>
</html>
"""

_REFERENCE = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{_STYLE}">
<title>chatglm-server: reference</title>
</head>
<body>
<noscript>The reference needs JavaScript; the <a href="/openapi.json">OpenAPI schema</a> does not.</noscript>
<div id="reference"></div>
<script src="{_SCRIPT}"></script>
<script src="{_START}"></script>
</body>
</html>
"""

_START_SCRIPT = (
    'SwaggerUIBundle({url: "/openapi.json", dom_id: "#reference", deepLinking: true, validatorUrl: null});\n'
)
"""validatorUrl: null, because Swagger UI otherwise asks validator.swagger.io about the schema."""


_FOR_OLLAMA = "Ollama is running"
"""What Ollama's clients want to read at the root; browsers ask for ``text/html``."""


def pages_router(engine: Engine) -> APIRouter:
    """``GET /`` (and ``/v1``, which people open by mistake), ``GET /docs`` and the files it loads."""
    router = APIRouter(include_in_schema=False)
    assets = Path(str(files("fastapi_offline"))) / "static"

    @router.get("/")
    async def root(request: Request) -> Response:
        if "text/html" not in request.headers.get("accept", ""):
            return PlainTextResponse(_FOR_OLLAMA)
        return await start_page()

    @router.get("/v1")
    async def start_page() -> HTMLResponse:
        page = _PAGE.format(version=__version__, model=escape(engine.info.id))
        return HTMLResponse(page, headers=_PAGE_POLICY)

    @router.get("/docs")
    async def reference() -> HTMLResponse:
        return HTMLResponse(_REFERENCE, headers=_REFERENCE_POLICY)

    @router.get(_STYLE)
    async def style() -> FileResponse:
        return FileResponse(assets / "swagger-ui.css", media_type="text/css")

    @router.get(_SCRIPT)
    async def script() -> FileResponse:
        return FileResponse(assets / "swagger-ui-bundle.js", media_type="text/javascript")

    @router.get(_START)
    async def start_script() -> Response:
        return Response(_START_SCRIPT, media_type="text/javascript")

    return router
