"""The pages of a process: /metrics for Prometheus, /health and /ready for supervisors and load balancers."""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable, Iterable
from importlib.metadata import version
from socketserver import ThreadingMixIn
from typing import Any, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from afresh.state.errors import AfreshError
from afresh.streams import metrics

NotReady = Callable[[], str]
"""Says in a few words what is not ready yet; empty when everything is."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class names it
        """Do nothing: a line for every scrape would bury the other lines of the log."""


def serve(host: str, port: int, not_ready: NotReady) -> WSGIServer:
    """Serve the pages in a separate thread.

    Parameters
    ----------
    host, port
        Address to listen on; port 0 takes any free port.
    not_ready
        Says what is not ready yet; /ready calls it.

    Returns
    -------
    The server; ``server_port`` is its port.

    Raises
    ------
    AfreshError
        When the address is taken or not available.
    """
    metrics.READY.set_function(lambda: float(not not_ready()))
    metrics.BUILD.info(
        {
            "version": version("afresh"),
            "python": platform.python_version(),
            "faust": version("faust-streaming"),
        }
    )
    scraped = make_wsgi_app()

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/health":
            return _text(start_response, "200 OK", "alive")
        if path == "/ready":
            missing = not_ready()
            return _text(
                start_response, "503 Service Unavailable" if missing else "200 OK", missing or "ready"
            )
        return cast(Iterable[bytes], scraped(environ, start_response))

    try:
        server = make_server(host, port, application, server_class=_Server, handler_class=_Quiet)
    except OSError as error:
        raise AfreshError(
            f"The metrics page cannot listen on {host}:{port} ({error.strerror}); set the port of this process to a "
            "free one: AFRESH_METRICS_PORT, AFRESH_EMBED_METRICS_PORT, AFRESH_MODEL_METRICS_PORT or "
            "AFRESH_SUGGEST_METRICS_PORT."
        ) from error
    threading.Thread(target=server.serve_forever, name="pages", daemon=True).start()
    return server


def _text(start_response: Any, status: str, body: str) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{body}\n".encode()]
