"""A small Hub: enough of the Hugging Face protocol for create_repo, upload_folder, load_dataset and snapshot_download.

One process, everything in memory, git without git: a repository is a list of commits, each a mapping of path to bytes. Writes
need the token given at start. Use `with hub_server(token="hf_x") as hub:`; `hub.url` goes into HF_ENDPOINT (before
huggingface_hub is imported, and with HF_HUB_DISABLE_XET=1).
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

LFS_ENDINGS = (".parquet", ".safetensors", ".bin")
KINDS = {"models": "model", "datasets": "dataset"}


@dataclass
class Repo:
    private: bool = False
    commits: list[tuple[str, str, dict[str, bytes]]] = field(default_factory=list)  # (sha, summary, files), oldest first

    @property
    def head(self) -> str:
        return self.commits[-1][0]

    def files(self, revision: str = "main") -> dict[str, bytes]:
        return next((files for sha, _, files in self.commits if sha == revision), self.commits[-1][2])

    def commit(self, summary: str, files: dict[str, bytes]) -> str:
        seed = f"{len(self.commits)} {summary} {sorted((name, sha256(data)) for name, data in files.items())}"
        self.commits.append((hashlib.sha1(seed.encode()).hexdigest(), summary, files))
        return self.head


@dataclass
class Hub:
    """What the server knows; tests read it while the server runs."""

    token: str
    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)  # "datasets/owner/name"
    blobs: dict[str, bytes] = field(default_factory=dict)  # by sha256: what came through LFS
    requests: list[str] = field(default_factory=list)
    refuse: dict[str, int] = field(default_factory=dict)  # "owner/name" -> status that every write to it is answered with
    lock: threading.Lock = field(default_factory=threading.Lock)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def oid(path: str, data: bytes) -> str:
    return sha256(data) if path.endswith(LFS_ENDINGS) else git_sha1(data)


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Requests are kept in hub.requests instead."""

    def do_GET(self) -> None:
        self.route("GET")

    def do_HEAD(self) -> None:
        self.route("HEAD")

    def do_POST(self) -> None:
        self.route("POST")

    def do_PUT(self) -> None:
        self.route("PUT")

    def route(self, method: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else self.chunks() if self.headers.get("Transfer-Encoding") == "chunked" else b""
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        with self.hub.lock:
            self.hub.requests.append(f"{method} {path}")
            for pattern, methods, needs_token, answer in ROUTES:
                found = re.fullmatch(pattern, path)
                if found and method in methods:
                    if needs_token and self.refused(found.groupdict().get("repo") or named(body)):
                        return None
                    return answer(self, found.groupdict(), body, parse_qs(parts.query))
        return self.send(404, {"error": "Not found"})

    def chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def refused(self, repo: str) -> bool:
        if self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            self.send(401, {"error": "Invalid username or password."})
            return True
        if repo in self.hub.refuse:
            self.send(self.hub.refuse[repo], {"error": "The hub refuses."})
            return True
        return False

    def send(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Length": str(len(data)), "Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def repo(self, kind: str, name: str) -> Repo | None:
        found = self.hub.repos.get(f"{kind}/{name}")
        allowed = found and (not found.private or self.headers.get("Authorization") == f"Bearer {self.hub.token}")
        if not allowed:
            self.send(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
            return None
        return found


def whoami(handler: Handler, where: dict[str, str], body: bytes, query: dict[str, list[str]]) -> None:
    handler.send(200, {"type": "user", "name": "owner", "orgs": []})


def named(body: bytes) -> str:
    """The repository that a request to create one names; "" for other bodies."""
    if not body.startswith(b"{"):
        return ""
    asked = json.loads(body)
    return f"{asked.get('organization') or 'owner'}/{asked.get('name')}"


def create(handler: Handler, where: dict[str, str], body: bytes, query: dict[str, list[str]]) -> None:
    asked = json.loads(body)
    kind = f"{asked.get('type') or 'model'}s"
    name = f"{asked.get('organization') or 'owner'}/{asked['name']}"
    prefix = "" if kind == "models" else f"{kind}/"
    if f"{kind}/{name}" in handler.hub.repos:
        handler.send(409, {"error": "You already created this repo", "url": f"{handler.hub.url}/{prefix}{name}"})
        return
    repo = handler.hub.repos[f"{kind}/{name}"] = Repo(private=asked.get("visibility") == "private")
    repo.commit("initial commit", {".gitattributes": b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"})
    handler.send(200, {"url": f"{handler.hub.url}/{prefix}{name}", "name": name, "id": "1"})


def preupload(handler: Handler, where: dict[str, str], body: bytes, query: dict[str, list[str]]) -> None:
    repo = handler.repo(where["kind"], where["repo"])
    if repo is None:
        return
    files = []
    for file in json.loads(body)["files"]:
        known = repo.files().get(file["path"])
        mode = "lfs" if file["path"].endswith(LFS_ENDINGS) else "regular"
        stored = None if known is None else oid(file["path"], known)
        files.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": stored})
    handler.send(200, {"files": files})


def lfs_batch(handler: Handler, where: dict[str, str], body: bytes, query: dict[str, list[str]]) -> None:
    objects = []
    for wanted in json.loads(body)["objects"]:
        answer = dict(wanted)
        if wanted["oid"] not in handler.hub.blobs:
            answer["actions"] = {
                "upload": {"href": f"{handler.hub.url}/lfs/{wanted['oid']}"},
                "verify": {"href": f"{handler.hub.url}/lfs-verify/{wanted['oid']}"},
            }
        objects.append(answer)
    handler.send(200, {"transfer": "basic", "objects": objects}, {"Content-Type": "application/vnd.git-lfs+json"})


def lfs_put(handler: Handler, where: dict[str, str], body: bytes, query: dict[str, list[str]]) -> None:
    if sha256(body) != where["oid"]:
        handler.send(400, {"error": "sha256 differs"})
        return
    handler.hub.blobs[where["oid"]] = body
    handler.send(200, {})


def lfs_verify(handler: Handler, where: dict[str, str], body: bytes, query: dict[str, list[str]]) -> None:
    stored = handler.hub.blobs.get(where["oid"])
    handler.send(200 if stored is not None and len(stored) == json.loads(body)["size"] else 404, {})


def commit(handler: Handler, where: dict[str, str], body: bytes, query: dict[str, list[str]]) -> None:
    repo = handler.repo(where["kind"], where["repo"])
    if repo is None:
        return
    files, summary = dict(repo.files()), ""
    for line in filter(None, body.split(b"\n")):
        entry = json.loads(line)
        value = entry["value"]
        if entry["key"] == "header":
            summary = value["summary"]
        elif entry["key"] == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        elif entry["key"] == "lfsFile":
            files[value["path"]] = handler.hub.blobs[value["oid"]]
        elif entry["key"] == "deletedFile":
            del files[value["path"]]
    sha = repo.commit(summary, files)
    handler.send(200, {"success": True, "commitOid": sha, "commitUrl": f"{handler.hub.url}/{where['repo']}/commit/{sha}"})


def info(handler: Handler, where: dict[str, str], body: bytes, query: dict[str, list[str]]) -> None:
    repo = handler.repo(where["kind"], where["repo"])
    if repo is None:
        return
    siblings = [{"rfilename": name} for name in sorted(repo.files())]
    handler.send(
        200, {"id": where["repo"], "sha": repo.head, "private": repo.private, "siblings": siblings, "tags": [], "downloads": 0}
    )


def tree(handler: Handler, where: dict[str, str], body: bytes, query: dict[str, list[str]]) -> None:
    repo = handler.repo(where["kind"], where["repo"])
    if repo is None:
        return
    folder = (where.get("path") or "").strip("/")
    prefix = f"{folder}/" if folder else ""
    files = {name: data for name, data in repo.files(where["revision"]).items() if name.startswith(prefix)}
    if folder and not files:
        handler.send(404, {"error": "Not found"}, {"X-Error-Code": "EntryNotFound"})
        return
    entries: dict[str, dict[str, object]] = {}
    for name, data in sorted(files.items()):
        below = name[len(prefix) :]
        if "/" in below:
            inner = prefix + below.split("/")[0]
            entries[inner] = {"type": "directory", "path": inner, "oid": hashlib.sha1(inner.encode()).hexdigest(), "size": 0}
        if "/" not in below or query.get("recursive", ["false"])[0].lower() == "true":
            entries[name] = {"type": "file", "path": name, "size": len(data), "oid": git_sha1(data)}
            if name.endswith(LFS_ENDINGS):
                entries[name]["lfs"] = {"oid": sha256(data), "size": len(data), "pointerSize": 130}
    handler.send(200, list(entries.values()))


def resolve(handler: Handler, where: dict[str, str], body: bytes, query: dict[str, list[str]]) -> None:
    repo = handler.repo(where.get("kind") or "models", where["repo"])
    if repo is None:
        return
    data = repo.files(where["revision"]).get(where["path"])
    if data is None:
        handler.send(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": repo.head})
        return
    headers = {"ETag": f'"{oid(where["path"], data)}"', "X-Repo-Commit": repo.head, "Content-Type": "application/octet-stream"}
    handler.send(200, data, headers)


def validate_yaml(handler: Handler, where: dict[str, str], body: bytes, query: dict[str, list[str]]) -> None:
    handler.send(200, {"errors": [], "warnings": []})


API = r"/api/(?P<kind>models|datasets)/(?P<repo>[^/]+/[^/]+)"
ROUTES = [
    (r"/api/whoami-v2", ("GET",), True, whoami),
    (r"/api/repos/create", ("POST",), True, create),
    (r"/api/validate-yaml", ("POST",), False, validate_yaml),
    (rf"{API}/preupload/(?P<revision>[^/]+)", ("POST",), True, preupload),
    (rf"{API}/commit/(?P<revision>[^/]+)", ("POST",), True, commit),
    (rf"{API}/tree/(?P<revision>[^/]+)(?P<path>/.*)?", ("GET",), False, tree),
    (rf"{API}(/revision/(?P<revision>[^/]+))?", ("GET",), False, info),
    (r"/((?P<kind>datasets)/)?(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch", ("POST",), True, lfs_batch),
    (r"/lfs/(?P<oid>[0-9a-f]{64})", ("PUT",), False, lfs_put),
    (r"/lfs-verify/(?P<oid>[0-9a-f]{64})", ("POST",), False, lfs_verify),
    (r"/((?P<kind>datasets)/)?(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)", ("GET", "HEAD"), False, resolve),
]


@contextmanager
def hub_server(token: str = "hf_test") -> Iterator[Hub]:
    """A Hub at a free local port, until the block ends."""
    hub = Hub(token)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("HubHandler", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
