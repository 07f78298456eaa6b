"""A file server on this machine, as good or as bad as a test wants it."""

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.requests += 1
        if server.status != 200:
            return self.send_error(server.status)
        self.send_response(200)
        if server.tells_length:
            self.send_header("Content-Length", str(len(server.body)))
        self.send_header("Content-Type", server.content_type)
        self.end_headers()
        stop = min([server.drops.pop(0), len(server.body)] if server.drops else [1 << 40])
        paused = server.pause_after or stop
        self.wfile.write(server.body[: min(paused, stop)])
        if paused < stop:
            server.gate.wait(10)
            self.wfile.write(server.body[paused:stop])
        with contextlib.suppress(OSError):
            while server.endless:
                self.wfile.write(bytes(1 << 16))
                server.sent += 1 << 16

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    """Serves `body`, as well or as badly as its attributes say."""

    daemon_threads = True

    def __init__(self, body):
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.status, self.content_type = body, 200, "application/octet-stream"
        self.tells_length, self.endless, self.sent = True, False, 0
        self.pause_after = self.requests = 0
        self.drops, self.gate = [], threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/weights/w.bin"

    def handle_error(self, request, address):
        """Clients that were killed are no news."""
