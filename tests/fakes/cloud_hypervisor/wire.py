"""HTTP as v53.0's library speaks it, byte for byte: requests out of a stream, replies into it.

A `Parser` belongs to one connection and knows nothing of sockets (`server.py`) or of endpoints (`router.py`).
"""

from __future__ import annotations

LINE_LIMIT = 1024
BODY_LIMIT = 51200
METHODS = (b"GET", b"PUT", b"PATCH")
VERSIONS = (b"HTTP/1.0", b"HTTP/1.1")
SHORTEST_LINE = len(b"GET / HTTP/1.1")
TOO_MANY_CONNECTIONS = (
    b"HTTP/1.1 503\r\nServer: Firecracker API\r\nConnection: close\r\nContent-Length: 40\r\n\r\n"
    b'{ "error": "Too many open connections" }'
)
CONTINUE = b"HTTP/1.1 100 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n"


class Request:
    """One request; `body` is None when there was none, `fds` are the descriptors that came with it."""

    def __init__(self, method: str, path: str, body: bytes | None, fds: list[int]) -> None:
        self.method = method
        self.path = path
        self.body = body
        self.fds = fds


class BadRequest(Exception):  # noqa: N818  the library's own name for it
    """The library's 400, before any routing."""


def reply(status: int, body: bytes = b"", *, server: str = "Cloud Hypervisor API") -> bytes:
    """A reply with the exact headers of v53.0; 204 carries neither type nor length."""
    head = f"HTTP/1.1 {status} \r\nServer: {server}\r\nConnection: keep-alive\r\n"
    if status != 204:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def refusal(reason: str) -> bytes:
    """The library's 400: a raw newline inside the string makes it no valid JSON."""
    body = f'{{ "error": "{reason}\nAll previous unanswered requests will be dropped." }}'
    return reply(400, body.encode(), server="Firecracker API")


class Parser:
    """Takes bytes, gives requests and the bytes to answer at once (`replies`)."""

    def __init__(self) -> None:
        self.buffer = b""
        self.replies: list[bytes] = []
        self.fds: list[int] = []
        self._reset()

    def _reset(self) -> None:
        self.line: tuple[str, str] | None = None
        self.length: int | None = None

    def feed(self, data: bytes, fds: list[int]) -> list[Request]:
        """The requests that are complete now; a refused one resets the parser in mid-stream."""
        self.buffer += data
        self.fds += fds
        requests: list[Request] = []
        while True:
            try:
                request = self._next()
            except BadRequest as problem:
                self.replies.append(refusal(str(problem)))
                requests.clear()
                self._reset()
                continue
            if request is None:
                return requests
            requests.append(request)

    def _next(self) -> Request | None:
        while self.length is None or self.line is None:
            line = self._take_line()
            if line is None:
                return None
            if self.line is None:
                self.line = _request_line(line)
                self._body, self._expects = 0, False
            elif line:
                self._header(line)
            else:
                self._end_of_headers()
        if len(self.buffer) < self.length:
            return None
        body, self.buffer = self.buffer[: self.length], self.buffer[self.length :]
        request = Request(*self.line, body or None, self.fds)
        self.fds = []
        self._reset()
        return request

    def _take_line(self) -> bytes | None:
        """A line without its CRLF; with them it must fit in 1024 bytes."""
        end = self.buffer.find(b"\r\n", 0, LINE_LIMIT)
        if end >= 0:
            line, self.buffer = self.buffer[:end], self.buffer[end + 2 :]
            return line
        if len(self.buffer) < LINE_LIMIT:
            return None
        line, self.buffer = self.buffer[:LINE_LIMIT], self.buffer[LINE_LIMIT:]
        if self.line is None:
            raise BadRequest("Invalid request.")
        text = line.decode(errors="replace")
        raise BadRequest(f"Invalid header. Reason: Invalid content length. Header: {text}")

    def _header(self, line: bytes) -> None:
        name, colon, value = line.decode(errors="replace").partition(":")
        if not colon:
            raise BadRequest(f"Invalid header. Reason: Header is incorrectly formatted. Key: {name}")
        key, value = name.strip().lower(), value.strip()
        if key == "content-length":
            self._body = _content_length(value)
        elif key == "expect" and value == "100-continue":
            self._expects = True
        elif key == "accept-encoding" and "identity;q=0" in value.replace(" ", ""):
            raise BadRequest(f"Invalid header. Reason: Invalid value. Key:Accept-Encoding; Value: {value}")

    def _end_of_headers(self) -> None:
        if self._body > BODY_LIMIT:
            raise BadRequest(
                f"Request payload with size {self._body} is larger than the limit of {BODY_LIMIT} "
                "allowed by server."
            )
        if self._expects:
            self.replies.append(CONTINUE)
        self.length = self._body


def _content_length(value: str) -> int:
    if not value.removeprefix("+").isdecimal() or int(value) >= 2**32:
        raise BadRequest(f"Invalid header. Reason: Invalid value. Key:Content-Length; Value: {value}")
    return int(value)


def _request_line(line: bytes) -> tuple[str, str]:
    if len(line) < SHORTEST_LINE:
        raise BadRequest("Invalid request.")
    method, _, rest = line.partition(b" ")
    uri, _, version = rest.partition(b" ")
    if method not in METHODS:
        raise BadRequest("Invalid HTTP Method: Unsupported HTTP method.")
    if not uri:
        raise BadRequest("Invalid URI: Empty URI not allowed.")
    if version not in VERSIONS:
        raise BadRequest("Invalid HTTP Version: Unsupported HTTP version.")
    return method.decode(), _path(uri.decode(errors="replace"))


def _path(uri: str) -> str:
    """The absolute path of a URI, which may be given in absolute form; anything else matches nothing."""
    if uri.startswith("http://"):
        slash = uri.find("/", len("http://"))
        return uri[slash:] if slash >= 0 else ""
    return uri if uri.startswith("/") else ""
