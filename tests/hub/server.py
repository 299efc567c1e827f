"""A hub on this machine: the requests that huggingface_hub makes to upload and to download."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

Files = dict[str, bytes]
API = r"/api/models/(?P<repo>[^/]+/[^/]+)"


class Repository:
    def __init__(self, *, private: bool = False) -> None:
        self.private = private
        self.commits: dict[str, Files] = {hashlib.sha1(b"").hexdigest(): {}}
        self.branches = {"main": next(iter(self.commits))}

    def commit_of(self, revision: str) -> str | None:
        found = self.branches.get(revision, revision)
        return found if found in self.commits else None

    def commit(self, branch: str, added: Files) -> str:
        files = {**self.commits[self.branches[branch]], **added}
        name = hashlib.sha1(repr((len(self.commits), sorted(files))).encode()).hexdigest()
        self.commits[name] = files
        self.branches[branch] = name
        return name

    def files(self, revision: str = "main") -> Files:
        return self.commits[self.branches[revision]]


class Hub:
    """What it holds, and the tokens that it was shown."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.repositories: dict[str, Repository] = {}
        self.commits: list[str] = []
        self.said: list[str] = []
        """Messages of the commits."""
        self.validated: list[str] = []
        self.endpoint = ""


@contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    """Serve ``hub`` at ``hub.endpoint``."""
    handler = type("OfHub", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    @property
    def writes(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.hub.token}"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = unquote(urlsplit(self.path).path)
        if path == "/api/validate-yaml":
            self.hub.validated.append(json.loads(body)["content"])
            return self.answer({"errors": [], "warnings": []})
        if not self.writes:
            return self.refuse(401, "RepoNotFound")
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        found = re.fullmatch(API + r"/(?P<what>preupload|commit|branch)/(?P<at>.+)", path)
        repo = self.hub.repositories[found["repo"]] if found else None
        if found is None or repo is None:
            return self.refuse(404, "RepoNotFound")
        if found["what"] == "branch":
            repo.branches.setdefault(found["at"], repo.branches["main"])
            return self.answer({})
        if found["at"] not in repo.branches:
            return self.refuse(404, "RevisionNotFound")
        if found["what"] == "preupload":
            names = [file["path"] for file in json.loads(body)["files"]]
            modes = {"uploadMode": "regular", "shouldIgnore": False}
            return self.answer({"files": [{"path": name, **modes} for name in names]})
        return self.commit(repo, found["repo"], found["at"], body)

    def create(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        address = {"url": f"{self.hub.endpoint}/{name}"}
        if name in self.hub.repositories:
            return self.answer(address, status=409)
        private = asked.get("private", asked.get("visibility") == "private")
        self.hub.repositories[name] = Repository(private=bool(private))
        return self.answer(address)

    def commit(self, repo: Repository, name: str, branch: str, body: bytes) -> None:
        lines = [json.loads(line) for line in body.splitlines()]
        added = {
            line["value"]["path"]: base64.b64decode(line["value"]["content"])
            for line in lines
            if line["key"] == "file"
        }
        oid = repo.commit(branch, added)
        self.hub.commits.append(f"{name}@{branch}")
        self.hub.said += [line["value"]["summary"] for line in lines if line["key"] == "header"]
        self.answer({"commitUrl": f"{self.hub.endpoint}/{name}/commit/{oid}", "commitOid": oid})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        found = re.fullmatch(API + r"(/(?P<what>revision|tree)/(?P<at>.+?))?", path)
        found = found or re.fullmatch(
            r"/(?P<repo>[^/]+/[^/]+)/(?P<what>resolve)/(?P<at>[^/]+)/(?P<file>.+)", path
        )
        repo = self.hub.repositories.get(found["repo"]) if found else None
        if found is None or repo is None or (repo.private and not self.writes):
            return self.refuse(401 if repo else 404, "RepoNotFound")
        commit = repo.commit_of(found["at"] or "main")
        if commit is None:
            return self.refuse(404, "RevisionNotFound")
        files = repo.commits[commit]
        if found["what"] == "tree":
            return self.answer([_entry(name, content) for name, content in files.items()])
        if found["what"] != "resolve":
            siblings = [{"rfilename": name} for name in files]
            about = {"id": found["repo"], "sha": commit, "private": repo.private}
            return self.answer({**about, "siblings": siblings, "tags": []})
        content = files[found["file"]]
        about = {"ETag": f'"{_blob(content)}"', "X-Repo-Commit": commit}
        return self.send(content, about)

    def answer(self, data: object, *, status: int = 200) -> None:
        self.send(json.dumps(data).encode(), {"Content-Type": "application/json"}, status)

    def refuse(self, status: int, code: str) -> None:
        self.send(b"{}", {"X-Error-Code": code}, status)

    def send(self, content: bytes, headers: dict[str, str], status: int = 200) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _entry(name: str, content: bytes) -> dict[str, object]:
    return {"type": "file", "path": name, "size": len(content), "oid": _blob(content)}
