"""A stand-in for Hugging Face and ModelScope: their calls over real sockets, with faults on request."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qs, quote, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_right"


def gguf(size: int, seed: int = 0) -> bytes:
    """Bytes that begin as a GGUF file does."""
    return (b"GGUF\x03\0\0\0" + hashlib.shake_128(bytes([seed])).digest(max(size - 8, 0)))[:size]


@dataclass
class Repository:
    """The files of a repository by name. With `gated` it wants the token `TOKEN`."""

    files: dict[str, bytes]
    gated: bool = False


@dataclass
class Faults:
    """What goes wrong: each entry is used once, in order, by requests for a file's bytes."""

    break_after: list[int] = field(default_factory=list)
    """Bytes of an answer after which the connection ends."""
    statuses: list[int] = field(default_factory=list)
    """Statuses instead of an answer."""
    ignore_ranges: bool = False
    damage: bool = False
    """The last byte of each file is another one."""
    tag: str = ""
    """The entity tag of every file, where it is not the file's hash."""
    claimed_sizes: dict[str, int] = field(default_factory=dict)
    """Sizes in lists of files, where they are not the true ones."""


@dataclass(frozen=True)
class Request:
    """A request that came."""

    method: str
    host: str
    path: str
    headers: dict[str, str]


class StandIn:
    """Serves `repositories` under both hubs' addresses while its context is entered, and files at ``/files/NAME``."""

    def __init__(self, repositories: dict[str, Repository]) -> None:
        self.repositories = repositories
        self.faults = Faults()
        self.requests: list[Request] = []
        self.raw_listing: object = None  # what a list of files is instead; a string is sent as it is
        hub = self

        class Handler(_Handler):
            stand_in = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> StandIn:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def ranges(self) -> list[str]:
        """The ranges of the requests for bytes, in order."""
        return [request.headers.get("range", "") for request in self.requests if "/bytes/" in request.path]


class _Handler(BaseHTTPRequestHandler):
    stand_in: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        hub = self.stand_in
        hub.requests.append(Request(self.command, headers.get("host", ""), self.path, headers))
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        path = unquote(url.path)
        if match := re.fullmatch(r"/api/v1/models/([^/]+/[^/]+)/repo(/files)?", path):
            self._modelscope(match[1], query, listing=bool(match[2]))
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/main)?", path):
            self._model_info(match[1])
        elif path == "/api/models":
            author = query.get("author", [""])[0]
            self._json([{"id": name} for name in hub.repositories if name.startswith(f"{author}/")])
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(match[1], match[3])
        elif match := re.fullmatch(r"/bytes/([^/]+/[^/]+)/(.+)", path):
            content = hub.repositories[match[1]].files.get(match[2])
            self._json({}, 404) if content is None else self._bytes(content)
        else:
            self._json({"error": "not found"}, 404)

    def _model_info(self, name: str) -> None:
        repository = self.stand_in.repositories.get(name)
        if repository is None:
            self._json({"error": "Repository not found"}, 401, {"X-Error-Code": "RepoNotFound"})
            return
        if self.stand_in.raw_listing is not None:
            self._json(self.stand_in.raw_listing)
            return
        siblings = [
            {
                "rfilename": file,
                "size": self._size(file, content),
                "blobId": hashlib.sha1(content).hexdigest(),  # noqa: S324  # as git does
                "lfs": {"size": self._size(file, content), "sha256": _sha256(content), "pointerSize": 134},
            }
            for file, content in repository.files.items()
        ]
        self._json({"id": name, "modelId": name, "sha": COMMIT, "siblings": siblings, "gated": repository.gated})

    def _resolve(self, name: str, file: str) -> None:
        repository = self.stand_in.repositories[name]
        if repository.gated and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            status = 403 if self.headers.get("Authorization") else 401
            self._json({"error": "Access is restricted"}, status, {"X-Error-Code": "GatedRepo"})
            return
        content = repository.files[file]
        headers = {
            "Location": self._elsewhere(name, file),
            "X-Repo-Commit": COMMIT,
            "X-Linked-Etag": f'"{_sha256(content)}"',
            "X-Linked-Size": str(len(content)),
            "ETag": '"0"',
        }
        self._json({}, 302, headers)

    def _modelscope(self, name: str, query: dict[str, list[str]], *, listing: bool) -> None:
        repository = self.stand_in.repositories.get(name)
        authorized = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if authorized:
            assert self.headers["Cookie"] == f"m_session_id={TOKEN}"
        if repository is None:
            self._json({"Code": 10010205001, "Success": False, "Message": "not found"}, 404)
        elif repository.gated and not authorized:
            self._json({"Code": 10010205002, "Success": False, "Message": "no permission"}, 403)
        elif listing and self.stand_in.raw_listing is not None:
            self._json(self.stand_in.raw_listing)
        elif listing:
            folders = [{"Name": "folder", "Path": "folder", "Type": "tree", "Size": 0, "Sha256": ""}]
            files = [
                {
                    "Name": file.rpartition("/")[2],
                    "Path": file,
                    "Type": "blob",
                    "Size": self._size(file, content),
                    "Sha256": _sha256(content),
                }
                for file, content in repository.files.items()
            ]
            self._json({"Code": 200, "Success": True, "Data": {"Files": folders + files}})
        else:
            file = query["FilePath"][0]
            self._json({}, 302, {"Location": self._elsewhere(name, file)})

    def _bytes(self, content: bytes) -> None:
        faults = self.stand_in.faults
        if faults.statuses:
            self._json({}, faults.statuses.pop(0))
            return
        if faults.damage:
            content = content[:-1] + bytes([content[-1] ^ 1])
        tag = faults.tag or f'"{_sha256(content)}"'
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if self.headers.get("If-Range", tag) != tag:
            match = None
        begin, end = 0, len(content)
        if match and not faults.ignore_ranges:
            begin = int(match[1])
            end = min(int(match[2]) + 1, end) if match[2] else end
            if begin >= len(content):
                self._json({}, 416, {"Content-Range": f"bytes */{len(content)}"})
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(end - begin))
        self.send_header("Content-Type", "application/octet-stream")
        self.end_headers()
        body = content[begin:end]
        if faults.break_after and self.command == "GET":
            body = body[: faults.break_after.pop(0)]
            self.close_connection = True
        self.wfile.write(body)

    def _elsewhere(self, name: str, file: str) -> str:
        """The address of a file's bytes; for keys and cookies it is another host."""
        return f"http://localhost:{self.stand_in.port}/bytes/{name}/{quote(file)}"

    def _size(self, file: str, content: bytes) -> int:
        return self.stand_in.faults.claimed_sizes.get(file, len(content))

    def _json(self, value: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = value.encode() if isinstance(value, str) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
