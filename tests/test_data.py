"""`vase-rl data`: downloads from a misbehaving server on loopback, checks of what is here."""

from __future__ import annotations

import gzip
import hashlib
import json
import socket
import struct
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vase_rl.envs import datasets, download, families
from vase_rl.envs.datasets import DATASETS, DataFile, DataSet
from vase_rl.envs.download import DownloadError, Patience, fetch_file
from vase_rl.experiments import cli, data

CHUNK = download.CHUNK
CONTENT = np.random.default_rng(0).integers(0, 256, 40 * CHUNK, dtype=np.uint8).tobytes()
FILE = DataFile("numbers.bin", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
HASTY = Patience(attempts=3, pause=0.0, stall=0.2)


class Server(ThreadingHTTPServer):
    """Serves `files`, and does to each answer what the next of `tricks` says.

    Tricks: `truncate` sends half and closes, `stall` sends half and waits, `corrupt` sends other
    bytes, `no ranges` sends all whatever was asked for, `long` sends too much, `wrong range`
    sends another part, `encoded` calls the file gzip-encoded, a number answers with that status.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {"/numbers.bin": CONTENT}
        self.tricks: list[str] = []
        self.asked: list[str | None] = []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.server.asked.append(asked)
        trick = self.server.tricks.pop(0) if self.server.tricks else ""
        content = self.server.files.get(self.path)
        if trick.isdigit() or content is None:
            self.send_error(int(trick or 404))
            return
        start = 0 if asked is None or trick == "no ranges" else int(asked[6:-1])
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        body = content[start:] + (b"more" if trick == "long" else b"")
        body = bytes(255 - byte for byte in body) if trick == "corrupt" else body
        if start:
            first = start - 1 if trick == "wrong range" else start
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        if trick == "encoded":
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if trick in ("truncate", "stall") else body)
        if trick == "stall":
            self.wfile.flush()
            self.server.closing.wait(10)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()


def fetch(server: Server, folder: Path, file: DataFile = FILE, **options: Any) -> Path:
    return fetch_file(file, folder, (server.url,), **{"patience": HASTY, **options})


def only(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- downloads ---------------------------------------------------------------------------------


HALF = f"bytes={len(CONTENT) // 2}-"


@pytest.mark.parametrize(
    ("tricks", "asked"),
    [
        ([], [None]),
        (["truncate"], [None, HALF]),
        (["stall"], [None, HALF]),
        (["truncate", "no ranges"], [None, HALF]),
        (["truncate", "wrong range"], [None, HALF, None]),
        (["503", "503"], [None, None, None]),
        (["truncate", "503", "500"], [None, HALF, HALF, HALF]),
        (["corrupt"], [None, None]),
        (["truncate", "corrupt"], [None, HALF, None]),
        (["encoded"], [None]),
    ],
)
def test_a_file_arrives_whole_whatever_the_server_does(server, tmp_path, tricks, asked):
    server.tricks = list(tricks)
    path = fetch(server, tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "numbers.bin"
    assert path.read_bytes() == CONTENT
    assert only(path.parent) == ["numbers.bin"]
    assert server.asked == asked


def test_connections_that_bring_something_are_not_counted(server, tmp_path):
    server.tricks = ["truncate"] * 5
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert len(server.asked) == 6 > HASTY.attempts


@pytest.mark.parametrize(
    ("tricks", "message", "left"),
    [
        (["404"], r"^127.0.0.1:\d+ answers 404 Not Found for http://127.0.0.1:\d+/numbers.bin$", 0),
        (["403"], "answers 403 Forbidden for", 0),
        (["503"] * 3, r"^127.0.0.1:\d+ answers 503 Service Unavailable \(attempts: 3\)$", 0),
        (["truncate", "503", "503", "503"], r"answers 503 .*\(attempts: 3\)", 20 * CHUNK),
        (["stall", "stall"] + ["503"] * 3, r"answers 503 .*\(attempts: 3\)", 30 * CHUNK),
        (["corrupt"] * 2, "sent numbers.bin with a wrong checksum, twice$", 0),
        (["long"], "sent more than the 327,680 bytes of numbers.bin", 0),
        (["truncate", "404"], "answers 404", 20 * CHUNK),
    ],
)
def test_what_is_said_and_left_when_it_fails(server, tmp_path, tricks, message, left):
    server.tricks = list(tricks)
    with pytest.raises(DownloadError, match=message):
        fetch(server, tmp_path)
    part = tmp_path / "numbers.bin.part"
    assert (part.stat().st_size if part.exists() else 0) == left
    assert not (tmp_path / "numbers.bin").exists()


def test_a_server_whose_file_is_too_short(server, tmp_path):
    server.files["/numbers.bin"] = CONTENT[: 3 * CHUNK]
    with pytest.raises(DownloadError, match=r"cannot go on at byte 24,576 \(attempts: 3\)"):
        fetch(server, tmp_path)


def test_a_server_that_says_nothing_at_all(tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(DownloadError, match=r"sent nothing for 0.2 s \(attempts: 2\)"):
            fetch_file(FILE, tmp_path, (url,), patience=replace(HASTY, attempts=2))


def test_a_part_that_is_too_long_is_dropped(server, tmp_path):
    (tmp_path / "numbers.bin.part").write_bytes(CONTENT + b"more")
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.asked == ["bytes=327684-", None]


def test_a_part_of_something_else_is_found_out(server, tmp_path):
    (tmp_path / "numbers.bin.part").write_bytes(b"x" * 100_000)
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.asked == ["bytes=100000-", None]


def test_a_whole_part_needs_no_connection(tmp_path):
    (tmp_path / "numbers.bin.part").write_bytes(CONTENT)
    assert fetch_file(FILE, tmp_path, ("http://127.0.0.1:9/",)).read_bytes() == CONTENT


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def test_no_connection_says_to_whom_and_why(server, tmp_path):
    gone = f"127.0.0.1:{closed_port()}"
    message = rf"^no connection to {gone}: Connection refused \(attempts: 3\)$"
    with pytest.raises(DownloadError, match=message):
        fetch_file(FILE, tmp_path, (f"http://{gone}/",), patience=HASTY)
    mirrors = (f"http://{gone}/", server.url)
    assert fetch_file(FILE, tmp_path, mirrors, patience=HASTY).read_bytes() == CONTENT


def test_an_interrupt_keeps_what_arrived(server, tmp_path):
    def stop(done: int) -> None:
        if done >= 100_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(server, tmp_path, report=stop)
    (left,) = tmp_path.iterdir()
    assert left.name == "numbers.bin.part"
    assert left.read_bytes() == CONTENT[: left.stat().st_size]
    seen: list[int] = []
    fetch(server, tmp_path, report=seen.append)
    assert seen[0] >= 100_000
    assert seen == sorted(seen)
    assert seen[-1] == len(CONTENT)


def test_pauses_double(server, tmp_path, monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    server.tricks = ["503"] * 3
    fetch(server, tmp_path, patience=Patience(attempts=4, pause=0.5))
    assert pauses == [0.5, 1.0, 2.0]


# --- the commands ------------------------------------------------------------------------------


def idx_file(array: np.ndarray) -> bytes:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.tobytes())


def jpeg() -> bytes:
    return bytes(cv2.imencode(".jpg", np.full((218, 178), 90, np.uint8))[1])


@pytest.fixture
def published(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Small files in the place of the published ones, on the server."""
    rng = np.random.default_rng(1)
    content = {}
    for stem, count in (("train", 5), ("t10k", 3)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        content[f"{stem}-images-idx3-ubyte.gz"] = idx_file(images)
        content[f"{stem}-labels-idx1-ubyte.gz"] = idx_file(np.arange(count, dtype=np.uint8))
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
        for number in range(1, 21):
            archive.writestr(f"img_align_celeba/{number:06d}.jpg", jpeg())
    content["img_align_celeba.zip"] = (tmp_path / "made.zip").read_bytes()
    (tmp_path / "made.zip").unlink()
    content["list_eval_partition.txt"] = b"".join(
        b"%06d.jpg %d\n" % (number, 2 * (number > 15)) for number in range(1, 21)
    )
    for name, dataset in DATASETS.items():
        files = tuple(_as_served(file, content[file.name]) for file in dataset.files)
        mirrors = (server.url,) if dataset.mirrors else ()
        monkeypatch.setitem(DATASETS, name, replace(dataset, files=files, mirrors=mirrors))
    server.files = {f"/{name}": body for name, body in content.items()}
    monkeypatch.setattr(download, "PATIENCE", HASTY)
    monkeypatch.setattr(fetch_file, "__kwdefaults__",
                        {**fetch_file.__kwdefaults__, "patience": HASTY})  # fmt: skip
    return content


def _as_served(file: DataFile, content: bytes) -> DataFile:
    packed = file.name.endswith(".gz")
    return replace(
        file,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        unpacked_md5=hashlib.md5(gzip.decompress(content)).hexdigest() if packed else "",
    )


def run(tmp_path: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    out = tmp_path / "out"
    place = ["--data-dir", str(tmp_path / "data"), "--out", str(out)]
    status = cli.main(["data", *arguments, *place])
    written = out / "metrics.json"
    return status, json.loads(written.read_text()) if written.exists() else {}


def test_fetch_verify_and_list(published, server, tmp_path, capsys):
    status, found = run(tmp_path, "fetch", "mnist", "fashion")
    assert status == 0
    assert found["finished"] is True
    assert len(found["fetched"]) == 8
    for name in ("mnist", "fashion-mnist"):
        folder = tmp_path / "data" / name
        assert only(folder) == sorted(file.name for file in DATASETS["mnist"].files)
        assert all(path.read_bytes() == published[path.name] for path in folder.iterdir())
    said = capsys.readouterr()
    assert "train-images-idx3-ubyte.gz: fetched, its checksum is right" in said.out
    assert "train-images-idx3-ubyte.gz: " in said.err, "progress in plain lines"
    server.asked.clear()
    status, found = run(tmp_path, "fetch", "mnist")
    assert (status, found["fetched"], server.asked) == (0, {}, []), "all is here already"
    status, found = run(tmp_path, "verify")
    assert status == 0
    assert set(found["datasets"]) == {"mnist", "fashion"}
    assert found["datasets"]["mnist"]["images"] == {"train": 5, "test": 3}
    assert set(found["datasets"]["mnist"]["files"].values()) == {data.PUBLISHED}
    capsys.readouterr()
    status, found = run(tmp_path, "list")
    assert status == 0
    table = capsys.readouterr().out
    assert f"4 of 4 files in {tmp_path / 'data' / 'mnist'}" in table
    assert [line.split()[0] for line in table.splitlines()[:4]] == ["name", *DATASETS]
    assert found["datasets"]["fashion"]["licence"] == "MIT"
    assert set(found["datasets"]["celeba"]["files"].values()) == {None}


def test_celeba_comes_by_hand_or_from_a_mirror_of_ones_own(published, server, tmp_path, capsys):
    status, found = run(tmp_path, "fetch", "celeba", "mnist")
    assert (status, found) == (2, {})
    message = capsys.readouterr().err
    assert "img_align_celeba.zip and list_eval_partition.txt from http://mmlab" in message
    assert message.count("\n") == 1
    assert server.asked == []
    assert run(tmp_path, "fetch", "celeba", "--base-url", server.url.rstrip("/"))[0] == 0
    status, found = run(tmp_path, "verify", "celeba")
    assert status == 0
    assert found["datasets"]["celeba"]["images"] == {"train": 15, "test": 5}
    assert run(tmp_path, "fetch", "celeba")[0] == 0, "what is here need not be fetched"


def test_fetch_goes_on_after_an_interrupt(published, server, tmp_path, monkeypatch, capsys):
    advance = data.Progress.advance

    def stop(self: Any, count: int = 1) -> None:
        advance(self, count)
        if self.label.startswith("t10k-images"):
            raise KeyboardInterrupt

    monkeypatch.setattr(data.Progress, "advance", stop)
    status, found = run(tmp_path, "fetch", "mnist")
    assert status == 130
    assert found["finished"] is False
    assert len(found["fetched"]) == 2
    assert "t10k-images-idx3-ubyte.gz.part is kept: fetch again" in capsys.readouterr().err
    monkeypatch.setattr(data.Progress, "advance", advance)
    server.asked.clear()
    assert run(tmp_path, "fetch", "mnist")[0] == 0
    assert len(server.asked) == 2, "what was there is not fetched again"


def test_fetch_reports_a_failure_in_one_line(published, server, tmp_path, capsys):
    server.tricks = ["404"]
    status, found = run(tmp_path, "fetch", "mnist")
    assert (status, found["finished"], found["fetched"]) == (2, False, {})
    error = capsys.readouterr().err
    assert error.splitlines()[-1].startswith("vase-rl: 127.0.0.1:")
    assert "answers 404 Not Found for" in error


def test_fetch_never_overwrites_another_file(published, tmp_path, capsys):
    path = tmp_path / "data" / "mnist" / "t10k-labels-idx1-ubyte.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(idx_file(np.arange(9, dtype=np.uint8)))
    before = path.read_bytes()
    assert run(tmp_path, "fetch", "mnist")[0] == 2
    assert "is here but is not the published file; move it away" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert only(path.parent) == [path.name]


def test_files_in_torchvisions_folder_unpacked_or_packed_anew_are_known(published, tmp_path):
    folder = tmp_path / "data" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for number, file in enumerate(DATASETS["mnist"].files):
        content = gzip.decompress(published[file.name])
        if number % 2:
            (folder / file.name).write_bytes(gzip.compress(content, 1, mtime=5))
        else:
            (folder / file.name.removesuffix(".gz")).write_bytes(content)
    status, found = run(tmp_path, "verify", "mnist")
    assert status == 0
    assert found["datasets"]["mnist"]["folder"] == str(folder)
    status, found = run(tmp_path, "fetch", "mnist")
    assert (status, found["fetched"]) == (0, {})


def damage_mnist(folder: Path, how: str) -> None:
    path = folder / "train-labels-idx1-ubyte.gz"
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-6])
    else:
        path.write_bytes(idx_file(np.arange(4, dtype=np.uint8)))


@pytest.mark.parametrize(
    ("how", "message", "state"),
    [
        ("missing", "train-labels-idx1-ubyte.gz: missing", "missing"),
        ("cut", "the gzip data are truncated or damaged", "damaged"),
        ("other", "train-labels-idx1-ubyte.gz: not as published (and 1 more, in", "not as publ"),
    ],
)
def test_verify_finds_damage(published, tmp_path, capsys, how, message, state):
    assert run(tmp_path, "fetch", "mnist")[0] == 0
    damage_mnist(tmp_path / "data" / "mnist", how)
    capsys.readouterr()
    status, found = run(tmp_path, "verify", "mnist")
    assert status == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert found["datasets"]["mnist"]["files"]["train-labels-idx1-ubyte.gz"].startswith(state)
    assert found["datasets"]["mnist"]["images"] == {}
    assert found["problems"]


def test_verify_reads_each_face_that_no_checksum_vouches_for(published, server, tmp_path, capsys):
    folder = tmp_path / "data" / "celeba" / "img_align_celeba"
    folder.mkdir(parents=True)
    for number in range(1, 21):
        (folder / f"{number:06d}.jpg").write_bytes(jpeg())
    status, found = run(tmp_path, "verify")
    assert status == 0
    assert found["datasets"]["celeba"]["images"] == {"train": 18, "test": 2}
    assert found["datasets"]["celeba"]["files"]["img_align_celeba.zip"] == data.UNPACKED
    assert found["datasets"]["celeba"]["files"]["list_eval_partition.txt"] == data.MISSING
    (folder / "000007.jpg").write_bytes(jpeg()[:200])
    (folder / "000010.jpg").write_bytes(b"")
    capsys.readouterr()
    status, found = run(tmp_path, "verify", "celeba")
    assert status == 2
    assert "000007.jpg: the JPEG is cut short" in capsys.readouterr().err
    assert len(found["problems"]) == 2
    assert found["datasets"]["celeba"]["images"] == {"train": 17, "test": 1}


def test_stream_goes_on_past_bad_faces_and_counts_them(tmp_path, capsys, monkeypatch):
    # A seed of its own: banks are shared between tests.
    monkeypatch.setattr(families, "BANK_SIZE", 100)
    folder = tmp_path / "data" / "celeba" / "img_align_celeba"
    folder.mkdir(parents=True)
    for number in range(1, 21):
        (folder / f"{number:06d}.jpg").write_bytes(jpeg() if number != 5 else jpeg()[:300])
    arguments = ["stream", "--sequence", "celeba:200,faces:200", "--size", "32", "--out"]
    arguments += [str(tmp_path / "out"), "--data-dir", str(tmp_path / "data"), "--seed", "77"]
    assert cli.main(arguments) == 2
    assert "img_align_celeba: 000005.jpg: the JPEG is cut short" in capsys.readouterr().err
    assert cli.main([*arguments, "--skip-bad"]) == 0
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert found["frames"] == 400
    assert len(found["skipped"]) == 1


# --- the catalogue -----------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=list(DATASETS))
def test_the_catalogue_is_of_published_files(dataset: DataSet) -> None:
    assert datasets.choose([dataset.name]) == [dataset]
    for file in dataset.files:
        assert len(bytes.fromhex(file.sha256)) == 32
        assert len(bytes.fromhex(file.unpacked_md5)) == (16 if file.name.endswith(".gz") else 0)
    assert all(url.startswith("http") and url.endswith("/") for url in dataset.mirrors)
