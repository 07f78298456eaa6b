"""A file server on this machine, as good or as bad as a test wants it."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.ranges.append(self.headers["Range"])
        start = int((self.headers["Range"] or "bytes=0-")[6:-1]) if server.resumes else 0
        if server.status != 200:
            return self.send_error(server.status)
        if start and start >= len(server.body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.body)}")
            return self.end_headers()
        self.send_response(206 if start else 200)
        if start:
            start, end = start + server.skew, len(server.body)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
        if server.tells_length:
            self.send_header("Content-Length", str(len(server.body) - start))
        self.send_header("Content-Type", server.content_type)
        self.end_headers()
        stop = min([start + server.drops.pop(0), len(server.body)] if server.drops else [1 << 40])
        paused = start + server.pause_after if server.pause_after else stop
        self.wfile.write(server.body[start : min(paused, stop)])
        if paused < stop:
            server.gate.wait(10)
            self.wfile.write(server.body[paused:stop])

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    """Serves `body`, as well or as badly as its attributes say."""

    daemon_threads = True

    def __init__(self, body):
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.status, self.content_type = body, 200, "application/octet-stream"
        self.resumes = self.tells_length = True
        self.skew = self.pause_after = 0
        self.drops, self.ranges, self.gate = [], [], threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/weights/w.bin"

    def handle_error(self, request, address):
        """Clients that were killed are no news."""
