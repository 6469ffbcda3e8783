"""A small server of objects over HTTP, on this machine: it is asked for ranges, and may fail."""

import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote


class ObjectServer(ThreadingHTTPServer):
    """Serves the files of a folder.

    Attributes
    ----------
    asked : list of (str, str, str)
        Method, path and range of each request.
    latency : float
        Seconds before each answer.
    faults : list
        What befalls the next requests for a range: an integer is the answer, "cut" sends half of
        what is asked for, "close" nothing; None is no fault.
    keeps_versions : bool
        Whether ETag and the time of the last change are told.
    knows_ranges : bool
        Whether parts are sent.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.latency = folder, 0.0
        self.asked, self.faults = [], []
        self.keeps_versions = self.knows_ranges = True
        self.forbidden: set[str] = set()

    def url(self, name: str = "") -> str:
        """Spell where an object is."""
        return f"http://127.0.0.1:{self.server_port}/{name}"

    def count(self, method: str = "GET") -> Counter:
        """Count the requests for each object, and begin anew."""
        counts = Counter(path for how, path, _ in self.asked if how == method)
        self.asked.clear()
        return counts

    def handle_error(self, request, client_address) -> None:
        """Say nothing of clients that left."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        server, asked = self.server, self.headers.get("Range", "")
        name = unquote(self.path.partition("?")[0]).lstrip("/")
        server.asked.append((self.command, name, asked))
        time.sleep(server.latency)
        fault = server.faults.pop(0) if with_body and server.faults else None
        file = server.folder / name
        if fault == "close":
            self.close_connection = True
        elif name in server.forbidden or isinstance(fault, int):
            self._send(fault or 403, b"")
        elif file.is_dir():
            links = "".join(f'<a href="{path.name}">x</a>' for path in sorted(file.iterdir()))
            self._send(200, f"<html>{links}</html>".encode(), {"Content-Type": "text/html"})
        elif not file.exists():
            self._send(404, b"")
        else:
            self._send_file(file, asked, with_body, cut=fault == "cut")

    def _send_file(self, file: Path, asked: str, with_body: bool, cut: bool) -> None:
        found, headers, status = file.stat(), {}, 200
        first, last = 0, found.st_size - 1
        if self.server.keeps_versions:
            headers["ETag"] = f'"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}"'
        if asked and self.server.knows_ranges:
            first, last = (int(n) for n in asked.removeprefix("bytes=").split("-"))
            headers["Content-Range"] = f"bytes {first}-{last}/{found.st_size}"
            status = 206
        if not with_body:
            self._send(status, b"", headers, length=last + 1 - first)
            return
        with file.open("rb") as stream:
            stream.seek(first)
            self._send(status, stream.read(last + 1 - first), headers, cut=cut)

    def _send(self, status, data, headers=None, length=None, cut=False) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if cut else data)
        self.close_connection = self.close_connection or cut


@contextmanager
def serving(folder: Path):
    """Serve a folder from a thread."""
    server = ObjectServer(folder)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


if __name__ == "__main__":
    server = ObjectServer(Path(sys.argv[1]))
    server.latency = float(sys.argv[2])
    print(server.url(), flush=True)
    server.serve_forever()
