"""A token endpoint on this machine, in threads of its own."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs


class TokenEndpoint:
    """Answers every POST as `answer` says, and keeps what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.body = json.dumps({"access_token": "a.b.c", "token_type": "Bearer", "expires_in": 300}).encode()
        self.headers: dict[str, str] = {}
        self.silent_seconds = 0.0
        self.asked: list[tuple[dict[str, str], dict[str, list[str]]]] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                endpoint.asked.append((dict(self.headers), form))
                time.sleep(endpoint.silent_seconds)
                self.send_response(endpoint.status)
                for name, value in endpoint.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(endpoint.body)))
                self.end_headers()
                with suppress(OSError):  # the client has seen enough
                    self.wfile.write(endpoint.body)

            def log_message(self, *arguments: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/token"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def answers(self, status: int, answer: Any, **headers: str) -> None:
        self.status = status
        self.body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.headers = headers

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
