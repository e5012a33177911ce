"""Downloads that go on where they broke off and appear whole and checked, or not at all."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .datasets import DataFile
from .idx import DataError

CHUNK = 2**13
"""Bytes written at a time; a connection that breaks costs fewer than these."""
CONNECT_SECONDS = 10.0
BUSY = (408, 429, 500, 502, 503, 504)
"""Answers of a server that may think better of it."""
Report = Callable[[int], None]
"""Told the number of bytes on disk whenever it changes; it falls where a server starts anew."""


class DownloadError(DataError):
    """A file that could not be had; the message says from where and why."""


class _Interrupted(Exception):
    """A connection that brought less than was asked for; worth another."""


@dataclass(frozen=True)
class Patience:
    """When to give up.

    Attributes:
        attempts: connections in a row that bring nothing new.
        pause: seconds before the second; doubled before each further one.
        stall: seconds without a byte after which a connection counts as lost.
    """

    attempts: int = 4
    pause: float = 1.0
    stall: float = 30.0


PATIENCE = Patience()


def fetch_file(
    file: DataFile,
    folder: Path,
    mirrors: tuple[str, ...],
    *,
    patience: Patience = PATIENCE,
    report: Report = lambda done: None,
) -> Path:
    """Downloads a file into a folder, made as needed, and checks it.

    What has arrived is kept in `NAME.part` until all has; a later call goes on there. A file
    with a wrong checksum is fetched once again from its start.

    Args:
        mirrors: URLs that end in a slash; the next one is tried where one fails.

    Raises:
        DownloadError: no mirror gave the file.
        OSError: it cannot be written.
    """
    import pooch

    pooch.get_logger().setLevel("WARNING")
    problems = []
    for mirror in mirrors:
        fetch = Resuming(folder / f"{file.name}.part", file.size, patience, report)
        try:
            for _ in range(2):
                try:
                    known = f"sha256:{file.sha256}"
                    url = mirror + file.name
                    return Path(pooch.retrieve(url, known, file.name, folder, downloader=fetch))
                except DataError:
                    raise
                except ValueError:
                    problem = f"{_host(mirror)} sent {file.name} with a wrong checksum, twice"
        except DownloadError as error:
            problem = str(error)
        problems.append(problem)
    raise DownloadError("; ".join(problems))


class Resuming:
    """A downloader for pooch that asks for the bytes which are still missing.

    Args:
        part: keeps what has arrived, from one call to the next.
        size: of the whole file in bytes.
        patience, report: as in `fetch_file`.
    """

    def __init__(self, part: Path, size: int, patience: Patience, report: Report) -> None:
        self.part, self.size, self.patience, self.report = part, size, patience, report

    @property
    def done(self) -> int:
        """Bytes that have arrived."""
        return self.part.stat().st_size if self.part.exists() else 0

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        """Downloads `url` into `output_file`, which appears whole or not at all.

        Raises:
            DownloadError: the server does not have it, sends something else, or patience ended.
        """
        best, failures = self.done, 0
        while self.done != self.size:
            try:
                self._connect(url)
            except _Interrupted as error:
                failures = 0 if self.done > best else failures + 1
                best = max(best, self.done)
                if failures >= self.patience.attempts:
                    raise DownloadError(f"{error} (attempts: {failures})") from error
                time.sleep(self.patience.pause * 2 ** max(failures - 1, 0))
        os.replace(self.part, output_file)

    def _connect(self, url: str) -> None:
        """One connection: what it brings is in the part afterwards."""
        import requests

        start, host = self.done, _host(url)
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        waits = (CONNECT_SECONDS, self.patience.stall)
        try:
            response = requests.get(url, headers=headers, stream=True, timeout=waits)
        except requests.ReadTimeout as error:
            raise _Interrupted(self._stalled(host)) from error
        except requests.ConnectionError as error:
            raise _Interrupted(f"no connection to {host}: {_innermost(error)}") from error
        except requests.RequestException as error:
            raise DownloadError(f"{url}: {error}") from error
        with response:
            self._receive(response, start, host)

    def _receive(self, response: Any, start: int, host: str) -> None:
        import requests

        mode = self._mode(response, start, host)
        # Some servers call a gzip file an encoded one: it is wanted as it is, and so is its size.
        response.raw.headers.pop("Content-Encoding", None)
        try:
            with open(self.part, mode, buffering=0) as file:
                for chunk in response.iter_content(CHUNK):
                    file.write(chunk)
                    self.report(file.tell())
        except requests.RequestException as error:
            late = isinstance(_cause(error), TimeoutError)
            why = self._stalled(host) if late else f"{host} broke off"
            raise _Interrupted(f"{why} after {self.done:,} of {self.size:,} bytes") from error
        if self.done > self.size:
            self.part.unlink()
            raise DownloadError(f"{host} sent more than the {self.size:,} bytes of {self._name}")
        if self.done < self.size:
            raise _Interrupted(f"{host} ended after {self.done:,} of {self.size:,} bytes")

    def _mode(self, response: Any, start: int, host: str) -> str:
        """How to open the part for what this answer brings: to go on, or to start anew."""
        status, words = response.status_code, f"{response.status_code} {response.reason}"
        if status in BUSY:
            raise _Interrupted(f"{host} answers {words}")
        if status == 416 or (
            status == 206 and not response.headers.get("Content-Range", "").startswith(
                f"bytes {start}-"
            )
        ):  # fmt: skip
            self.part.unlink(missing_ok=True)
            raise _Interrupted(f"{host} cannot go on at byte {start:,}")
        if status not in (200, 206):
            raise DownloadError(f"{host} answers {words} for {response.url}")
        self.report(start if status == 206 else 0)
        return "ab" if status == 206 else "wb"

    @property
    def _name(self) -> str:
        return self.part.name.removesuffix(".part")

    def _stalled(self, host: str) -> str:
        return f"{host} sent nothing for {self.patience.stall:g} s"


def _host(url: str) -> str:
    return urlsplit(url).netloc or url


def _cause(error: BaseException) -> BaseException:
    """The error behind an error behind an error."""
    while (behind := error.__cause__ or error.__context__) is not None:
        error = behind
    return error


def _innermost(error: BaseException) -> str:
    cause = _cause(error)
    return getattr(cause, "strerror", None) or str(cause)
