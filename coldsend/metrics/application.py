"""The WSGI application behind /metrics and /healthz; whoever serves HTTP can mount it.

``/metrics`` in the text format or OpenMetrics, as the scraper asks. ``/healthz``: 200 and ``ok`` while the
process works, 503 and the reason while it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app

TEXT = [("Content-Type", "text/plain; charset=utf-8")]


def application(registry: CollectorRegistry, ailment: Callable[[], str]) -> WSGIApplication:
    """ailment: why the process does not work, in a sentence; empty while it does."""
    metrics = make_wsgi_app(registry)

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            found: Iterable[bytes] = metrics(environ, start_response)
            return found
        if path == "/healthz":
            reason = ailment()
            start_response("503 Service Unavailable" if reason else "200 OK", TEXT)
            return [f"{reason or 'ok'}\n".encode()]
        start_response("404 Not Found", TEXT)
        return [b"here are /metrics and /healthz\n"]

    return answer
