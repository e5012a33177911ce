"""Agents on the Hugging Face Hub: huggingface_hub itself, against a server on this machine."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import yaml
from counting import venv
from huggingface_hub import constants
from stable_baselines3 import PPO

from vase_rl.agents import Bundle, BundleError, Evaluation, HubError, pull_from_hub, push_to_hub

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
EXAMPLE = next(
    code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "push_to_hub" in code
)
REPO, TOKEN = "someone/reach", "token-of-a-test"
EVALUATION = Evaluation(return_mean=3.25, return_std=0.5, success=0.9, episodes=20, length_mean=4.0)


class Hub(ThreadingHTTPServer):
    """As much of the Hub as one model repository needs; keeps its files in memory."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, dict[str, dict[str, bytes]]] = {}
        self.private: list[bool] = []
        """Of every repository that was asked for."""
        self.commits: list[dict[str, Any]] = []
        self.tokens: set[str | None] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.tokens.add(self.headers["Authorization"])
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self._fail(403, "", "this token may not write")
        if self.path == "/api/repos/create":
            return self._create(json.loads(body))
        if self.path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        found = re.fullmatch(r"/api/models/(.+)/(preupload|commit)/(.+)", self.path)
        assert found is not None, self.path
        files = self._files(found[1], found[3])
        if files is None:
            return None
        if found[2] == "preupload":
            modes = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                for f in json.loads(body)["files"]
            ]
            return self._json({"files": modes})
        return self._commit(found[1], files, [json.loads(line) for line in body.splitlines()])

    def do_HEAD(self) -> None:
        self._send_file()

    def do_GET(self) -> None:
        self._send_file()

    def _create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        known = name in self.server.repositories
        # Releases of the library differ in how they ask for it.
        private = wanted.get("private", wanted.get("visibility") == "private")
        self.server.private.append(private)
        self.server.repositories.setdefault(name, {"main": {}})
        self._json({"url": f"{self.server.url}/{name}"}, 409 if known else 200)

    def _commit(self, name: str, files: dict[str, bytes], lines: list[dict[str, Any]]) -> None:
        self.server.commits.append(lines[0]["value"])
        for line in lines[1:]:
            assert line["key"] == "file"
            files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        oid = f"{len(self.server.commits):040d}"
        self._json({"commitUrl": f"{self.server.url}/{name}/commit/{oid}", "commitOid": oid})

    def _send_file(self) -> None:
        found = re.fullmatch(r"/(.+)/resolve/([^/]+)/(.+)", self.path)
        if found is None:
            return self._fail(404, "", "no such page")
        files = self._files(found[1], found[2])
        if files is None:
            return None
        if found[3] not in files:
            return self._fail(404, "EntryNotFound", "no such file")
        content = files[found[3]]
        headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": "1" * 40}
        return self._answer(200, content, headers)

    def _files(self, name: str, revision: str) -> dict[str, bytes] | None:
        branches = self.server.repositories.get(name)
        if branches is None:
            return self._fail(404, "RepoNotFound", "no such repository")
        if revision not in branches:
            return self._fail(404, "RevisionNotFound", "no such revision")
        return branches[revision]

    def _fail(self, status: int, code: str, message: str) -> None:
        self._answer(status, b"{}", {"X-Error-Code": code, "X-Error-Message": message})

    def _json(self, values: Any, status: int = 200) -> None:
        self._answer(status, json.dumps(values).encode(), {"Content-Type": "application/json"})

    def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A server, and a huggingface_hub that knows it, an empty cache, and one token."""
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    env = venv(1)
    agent = PPO("MlpPolicy", env, n_steps=32, batch_size=32, seed=0, device="cpu")
    return Bundle.of(agent.learn(64), env, env_id="tests/Counter-v0")


def test_what_is_pushed_can_be_pulled(hub: Hub, bundle: Bundle) -> None:
    address = push_to_hub(bundle, REPO, commit_message="First", evaluation=EVALUATION)
    assert address == f"{hub.url}/{REPO}/commit/{1:040d}"
    assert sorted(hub.repositories[REPO]["main"]) == ["README.md", "agent.zip"]
    assert [commit["summary"] for commit in hub.commits] == ["First"]
    assert hub.private == [False]
    assert pull_from_hub(REPO) == bundle


def test_the_readmes_example(hub: Hub, bundle: Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "checkpoints" / "best.zip")
    names: dict[str, Any] = {}
    exec(compile(EXAMPLE.replace("runs/", f"{tmp_path}/"), "README.md", "exec"), names)
    assert names["again"] == bundle


def test_a_second_push_replaces_the_agent(hub: Hub, bundle: Bundle) -> None:
    push_to_hub(bundle, REPO, private=True)
    other = replace(bundle, card=replace(bundle.card, frames=640))
    push_to_hub(other, REPO, token=TOKEN)
    assert len(hub.commits) == 2
    assert hub.private[0]
    assert hub.tokens == {f"Bearer {TOKEN}"}
    assert pull_from_hub(REPO, token=TOKEN) == other


def test_a_revision_is_a_branch(hub: Hub, bundle: Bundle) -> None:
    hub.repositories[REPO] = {"main": {}, "better": {}}
    push_to_hub(bundle, REPO, revision="better")
    assert hub.repositories[REPO]["main"] == {}
    assert pull_from_hub(REPO, revision="better") == bundle


def test_the_card_says_what_the_agent_is(hub: Hub, bundle: Bundle) -> None:
    push_to_hub(bundle, REPO, evaluation=EVALUATION)
    text = hub.repositories[REPO]["main"]["README.md"].decode()
    _, front, body = text.split("---\n", 2)
    values = yaml.safe_load(front)
    assert values["library_name"] == "vase_rl"
    assert values["tags"] == ["reinforcement-learning", "stable-baselines3"]
    [result] = values["model-index"][0]["results"]
    assert result["dataset"]["name"] == "tests/Counter-v0"
    assert result["metrics"][0]["value"] == "3.25 +/- 0.50"
    assert "3.25 ± 0.50, success 90%" in body
    assert "| `gamma` | 0.99 |" in body
    assert "| frames trained on | 64 |" in body


def test_the_cards_code_runs(hub: Hub, bundle: Bundle) -> None:
    gym.register("tests/Counter-v0", "counting:Counter")
    try:
        push_to_hub(bundle, REPO)
        text = hub.repositories[REPO]["main"]["README.md"].decode()
        [code] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        names: dict[str, Any] = {}
        exec(compile(code, "card", "exec"), names)
        assert names["action"] in (0, 1)
    finally:
        del gym.registry["tests/Counter-v0"]


def test_without_an_evaluation_the_card_claims_none(hub: Hub, bundle: Bundle) -> None:
    push_to_hub(bundle, REPO)
    text = hub.repositories[REPO]["main"]["README.md"].decode()
    assert "mean return | not measured" in text
    assert "model-index" not in text


def test_errors_name_the_repository(hub: Hub, bundle: Bundle) -> None:
    hub.repositories["someone/empty"] = {"main": {}}
    hub.repositories["someone/broken"] = {"main": {"agent.zip": b"no zip"}}
    table: list[tuple[Any, type[Exception], str]] = [
        (lambda: pull_from_hub("someone/none"), HubError, "someone/none: there is no such repo"),
        (lambda: pull_from_hub("someone/empty"), HubError, "someone/empty: there is no agent.zip"),
        (
            lambda: pull_from_hub("someone/empty", revision="v9"), HubError,
            "someone/empty: it has no revision 'v9'",
        ),
        (lambda: pull_from_hub("someone/broken"), BundleError, "someone/broken: cannot use"),
        (lambda: pull_from_hub("no//name"), HubError, "cannot pull from no//name: "),
        (lambda: push_to_hub(bundle, "no//name"), HubError, "cannot push to no//name: "),
        (
            lambda: push_to_hub(bundle, REPO, revision="v9"), HubError,
            f"{REPO}: it has no revision 'v9'",
        ),
        (
            lambda: push_to_hub(bundle, REPO, token="another"), HubError,
            f"cannot push to {REPO}: .*this token may not write",
        ),
        (lambda: push_to_hub(bundle, REPO, commit_message=""), HubError, "commit_message.*empty"),
    ]  # fmt: skip
    for call, kind, message in table:
        with pytest.raises(kind, match=message) as raised:
            call()
        assert "\n" not in str(raised.value)


def test_offline(hub: Hub, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    push_to_hub(bundle, REPO)
    pull_from_hub(REPO)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert pull_from_hub(REPO) == bundle
    with pytest.raises(HubError, match="someone/else: the Hub cannot be reached"):
        pull_from_hub("someone/else")
    with pytest.raises(HubError, match=f"cannot push to {REPO}: .*offline"):
        push_to_hub(bundle, REPO)


def test_nobody_listens(hub: Hub, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between the library's attempts
    hub.shutdown()
    hub.server_close()
    with pytest.raises(HubError, match=f"{REPO}: the Hub cannot be reached"):
        pull_from_hub(REPO)
    with pytest.raises(HubError, match=f"cannot push to {REPO}: "):
        push_to_hub(bundle, REPO)


def test_without_the_extra(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for call in (lambda: push_to_hub(bundle, REPO), lambda: pull_from_hub(REPO)):
        with pytest.raises(ImportError, match=r'pip install "vase_rl\[hub\]"'):
            call()
