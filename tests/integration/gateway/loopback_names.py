"""A client for which every name below ``localhost`` is this machine, as it is for browsers."""

import httpx

LINK = {"Accept": "text/html,*/*", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document",
        "Sec-Fetch-Site": "none"}  # fmt: skip


class Loopback(httpx.HTTPTransport):
    """Connects to 127.0.0.1; the ``Host`` stays what was asked for."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        here = request.url.copy_with(host="127.0.0.1")
        return super().handle_request(
            httpx.Request(request.method, here, headers=request.headers, stream=request.stream,
                          extensions=request.extensions)
        )  # fmt: skip


def browser(**options) -> httpx.Client:
    """Return a client that keeps each host's cookies to itself and follows links as a page load."""
    return httpx.Client(transport=Loopback(), timeout=20, headers=LINK, **options)
