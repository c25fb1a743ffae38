"""The pages of /docs: Swagger UI from this package, which fetches nothing from anywhere else.

static/swagger-ui holds files of swagger-ui-dist as published, with their licence.
"""

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, Response

VERSION = "5.35.0"
"""The version of swagger-ui-dist. It is part of the paths, so that a new one is fetched anew."""

_STATIC = Path(__file__).with_name("static")
_FILES = {
    "swagger-ui.css": (_STATIC / "swagger-ui" / "swagger-ui.css", "text/css; charset=utf-8"),
    "swagger-ui-bundle.js": (_STATIC / "swagger-ui" / "swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
    "docs.js": (_STATIC / "docs.js", "text/javascript; charset=utf-8"),
}

PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
FILE_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}


def page() -> Response:
    """The page itself. Its links are relative, so that it works behind a proxy's prefix."""
    html = (_STATIC / "docs.html").read_text(encoding="utf-8")
    return HTMLResponse(html.replace("{version}", VERSION), headers=PAGE_HEADERS)


def file(version: str, name: str) -> Response:
    """A file that the page names. Raises HTTPException for any other."""
    if version != VERSION or name not in _FILES:
        raise HTTPException(404)
    path, media_type = _FILES[name]
    return FileResponse(path, media_type=media_type, headers=FILE_HEADERS)
