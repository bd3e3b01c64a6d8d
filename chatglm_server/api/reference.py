"""The page with the API's reference. Nothing on it comes from elsewhere."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse, Response

_STYLE = "/docs/swagger-ui.css"
_SCRIPT = "/docs/swagger-ui-bundle.js"
_START = "/docs/start.js"
ASSETS = (_STYLE, _SCRIPT, _START)
"""Paths that the reference page loads."""

_POLICY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'"
}
"""The browser enforces that a key typed into the page goes to this server alone."""

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


def reference_router() -> APIRouter:
    """``GET /docs`` and the files it loads."""
    router = APIRouter(include_in_schema=False)
    assets = Path(str(files("fastapi_offline"))) / "static"

    @router.get("/docs")
    async def reference() -> HTMLResponse:
        return HTMLResponse(_REFERENCE, headers=_POLICY)

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
