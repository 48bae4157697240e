"""Who may read the pages: a token, the names that the server answers to, and GET alone.

A page of somewhere else can make a browser send requests to this machine, under a name of its own
that it has resolved to it (DNS rebinding). So a request must name the server as it was started,
and carry the cookie that the start address sets, which no request of another site carries.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from html import escape
from urllib.parse import urlencode

from aiohttp import web
from aiohttp.typedefs import Middleware

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
"""Names of this machine that no other machine can answer to."""

READING = ("GET", "HEAD")

PUBLIC = "/static/"
"""Where the looks are, which say nothing of any run."""

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""A whole report has its looks inside, and no script."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "Hartley",
}


@dataclass(frozen=True, slots=True)
class Access:
    """The rule of reading.

    Attributes:
        token: what the start address carries; None: everybody who can reach the server may read.
        names: hosts, with their port, that a request may name, in lower case.
        cookie: the name of the cookie; the port is in it, because ports share their cookies.
    """

    token: str | None
    names: frozenset[str]
    cookie: str = "hartley"

    def refusal(self, request: web.Request) -> tuple[int, str] | None:
        """Return the status and the sentence with which a request is refused, or None."""
        host = request.headers.get("Host", "").lower()
        if host not in self.names:
            return 421, "This server does not answer to that name."
        if request.method not in READING:
            return 405, "These pages can only be read."
        # A page of another site may send its reader here, but not fetch or embed these pages.
        if _from_elsewhere(request) and request.headers.get("Sec-Fetch-Mode") != "navigate":
            return 403, "Pages of another site may not read these."
        if self.token is None or request.path.startswith(PUBLIC) or self._is_known(request):
            return None
        return 403, "Open the address that hartley serve printed: it carries a token."

    def enters(self, request: web.Request) -> bool:
        """Whether a request carries the token in its address, as the start address does."""
        return self.token is not None and _same(request.query.get("token", ""), self.token)

    def _is_known(self, request: web.Request) -> bool:
        assert self.token is not None
        return _same(request.cookies.get(self.cookie, ""), self.token)


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def checked(access: Access, refuse: Callable[[int, str], web.Response]) -> Middleware:
    """Return the middleware that holds every request to an access.

    Args:
        access: the rule of reading.
        refuse: makes the answer to a request that is refused.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        refused = access.refusal(request)
        response: web.StreamResponse
        if (refused is None or refused[0] == 403) and access.enters(request):
            response = _entered(access, request)
        elif refused is not None:
            response = refuse(*refused)
            if refused[0] == 405:
                response.headers["Allow"] = ", ".join(READING)
        else:
            try:
                response = await handler(request)
            except web.HTTPException as error:
                words = {404: "There is no such page."}.get(error.status, error.reason)
                response = refuse(error.status, words)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response

    return check


def _from_elsewhere(request: web.Request) -> bool:
    """Whether the browser says that a page of another site has made a request."""
    return request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")


def _entered(access: Access, request: web.Request) -> web.Response:
    """Set the cookie and leave the token out of the address, which histories keep."""
    assert access.token is not None
    query = urlencode([pair for pair in request.query.items() if pair[0] != "token"])
    place = _own_path(request.rel_url.raw_path) + (f"?{query}" if query else "")
    if _from_elsewhere(request):
        # A redirect is part of the other site's request, which carries no strict cookie.
        address = escape(place)
        page = (
            f'<!doctype html><html lang="en"><title>Hartley</title><meta http-equiv="refresh" '
            f'content="0;url={address}"><a href="{address}">Open the runs</a></html>'
        )
        response = web.Response(text=page, content_type="text/html")
    else:
        response = web.Response(status=303, headers={"Location": place})
    response.set_cookie(access.cookie, access.token, httponly=True, samesite="Strict", path="/")
    return response


def _own_path(path: str) -> str:
    """Return a path that a browser reads as one of this server, also where it begins with //."""
    return "/" + path.lstrip("/\\")
