"""The WSGI application behind /metrics and /healthz; whoever serves HTTP can mount it.

``/metrics`` in the text format or OpenMetrics, as the scraper asks. ``/healthz``: 200 and ``ok`` while the
process works, 503 and the reason while it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app


def application(registry: CollectorRegistry, ailment: Callable[[], str]) -> WSGIApplication:
    """ailment: why the process does not work, in a sentence; empty while it does."""
    metrics = make_wsgi_app(registry)

    def say(start_response: StartResponse, status: str, text: str) -> Iterable[bytes]:
        # A list of its own each time: servers add to it.
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{text}\n".encode()]

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            found: Iterable[bytes] = metrics(environ, start_response)
            return found
        if path == "/healthz":
            reason = ailment()
            return say(start_response, "503 Service Unavailable" if reason else "200 OK", reason or "ok")
        return say(start_response, "404 Not Found", "here are /metrics and /healthz")

    return answer
