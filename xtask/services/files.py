"""A plain HTTP server: files with ranges, and a place to send them to. What is below /private/ needs a password.

files.py PORT DIRECTORY USER PASSWORD

Two more have the same password: `reader` may not write, and the right of `late` is over.
"""
import base64
import email.utils
import http.server
import os
import re
import sys
import tempfile
import urllib.parse

port, root, user, password = sys.argv[1:]


def secret(user):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


EXPECTED, READER, LATE = secret(user), secret("reader"), secret("late")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, *_):
        pass

    def answer(self, status, headers=(), body=b""):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if not any(name == "Content-Length" for name, _ in headers):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def place(self):
        """The file that is meant; None after a refusal."""
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        given = self.headers.get("Authorization")
        if path.startswith("/private/") and given != EXPECTED:
            if given == READER and self.command in ("GET", "HEAD"):
                pass
            elif given == READER:
                self.close_connection = True
                return self.answer(403)
            else:
                self.close_connection = True
                body = b"The right to be here has expired." if given == LATE else b""
                return self.answer(401, [("WWW-Authenticate", 'Basic realm="private"')], body)
        parts = [part for part in path.split("/") if part]
        if any(part in (".", "..") or "\0" in part for part in parts):
            self.close_connection = True
            return self.answer(400)
        return os.path.join(root, *parts)

    def do_GET(self):
        path = self.place()
        if path is None:
            return
        try:
            file = open(path, "rb")
        except OSError:
            return self.answer(404)
        with file:
            info = os.fstat(file.fileno())
            size, first, last, status = info.st_size, 0, info.st_size - 1, 200
            headers = [
                ("Accept-Ranges", "bytes"),
                ("ETag", f'"{info.st_mtime_ns:x}-{size:x}"'),
                ("Last-Modified", email.utils.formatdate(info.st_mtime, usegmt=True)),
                ("Content-Type", "application/octet-stream"),
            ]
            found = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
            if found and found[0] != "bytes=-":
                if found[1]:
                    first, last = int(found[1]), min(int(found[2] or last), last)
                else:
                    first = max(0, size - int(found[2]))
                if first > last:
                    return self.answer(416, [("Content-Range", f"bytes */{size}")])
                status = 206
                headers.append(("Content-Range", f"bytes {first}-{last}/{size}"))
            self.answer(status, headers + [("Content-Length", str(last - first + 1))])
            if self.command == "HEAD":
                return
            file.seek(first)
            left = last - first + 1
            while left:
                piece = file.read(min(left, 1 << 16))
                if not piece:
                    break
                self.wfile.write(piece)
                left -= len(piece)

    do_HEAD = do_GET

    def pieces(self):
        """The body, however its length is told."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while length := int(self.rfile.readline().split(b";")[0], 16):
                yield self.exactly(length)
                self.rfile.readline()
            self.rfile.readline()
        else:
            left = int(self.headers.get("Content-Length", 0))
            while left:
                piece = self.exactly(min(left, 1 << 16))
                left -= len(piece)
                yield piece

    def exactly(self, length):
        piece = self.rfile.read(length)
        if len(piece) < length:
            raise ConnectionError("the body is cut off")
        return piece

    def do_PUT(self):
        path = self.place()
        if path is None:
            return
        if "100-continue" in self.headers.get("Expect", ""):
            self.send_response_only(100)
            self.end_headers()
        os.makedirs(os.path.dirname(path), exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=root, prefix=".upload-")
        try:
            with os.fdopen(handle, "wb") as file:
                for piece in self.pieces():
                    file.write(piece)
            os.replace(temporary, path)
        except (ConnectionError, OSError, ValueError):
            self.close_connection = True
            os.unlink(temporary)
            return
        self.answer(201)

    do_POST = do_PUT

    def do_DELETE(self):
        path = self.place()
        if path is None:
            return
        try:
            os.unlink(path)
        except OSError:
            return self.answer(404)
        self.answer(204)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        pass


os.makedirs(root, exist_ok=True)
Server(("127.0.0.1", int(port)), Handler).serve_forever()
