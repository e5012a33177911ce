"""Freed memory stays with the process where glibc allocates; nothing else is touched."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from typing import Any

import pytest

from vase_rl import VASE, VASEConfig
from vase_rl.allocation import (
    M_MMAP_THRESHOLD,
    M_TRIM_THRESHOLD,
    TUNED_BY,
    keep_freed_memory,
)

ON_GLIBC = platform.libc_ver()[0] == "glibc"
FAULTS = """
import resource, sys, torch
from vase_rl import VASE, VASEConfig
if sys.argv[1] == "learner":
    VASE(VASEConfig.preset("compact"), seed=0, device="cpu")
def step():
    for tensor in [torch.zeros(2**22 * int(size)) for size in sys.argv[2:]]:
        tensor.add_(1)
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    step()
before = faults()
for _ in range(10):
    step()
print(faults() - before)
"""
"""Ten times tensors of so many times 16 MiB, and how often the system had to hand out a page."""
LAYERS = ("1", "2", "2", "1")
"""What the paper's network makes of 64 frames and of 128, in float32."""


def _faults(who: str, **variables: str) -> int:
    environ = {k: v for k, v in os.environ.items() if k not in TUNED_BY} | variables
    command = [sys.executable, "-c", FAULTS, who, *LAYERS]
    run = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    return int(run.stdout)


@pytest.mark.skipif(not ON_GLIBC, reason="the allocator is not glibc's")
def test_a_learner_on_the_processor_keeps_what_is_freed() -> None:
    by_default = _faults("nobody")
    assert _faults("learner") * 5 < by_default
    # Whoever tunes glibc by hand is left alone: this one wants every piece given back.
    assert _faults("learner", MALLOC_MMAP_THRESHOLD_="65536") * 2 > by_default


@pytest.mark.parametrize("name", TUNED_BY)
def test_who_has_tuned_glibc_is_left_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    monkeypatch.setattr(ctypes, "CDLL", _must_not_be_called)
    assert keep_freed_memory() is False


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    _untuned(monkeypatch)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(ctypes, "CDLL", _must_not_be_called)
    assert keep_freed_memory() is False


class _Other:
    """A C library that is not glibc."""


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    _untuned(monkeypatch)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: _Other())
    assert keep_freed_memory() is False


class _Glibc:
    """Takes values up to a largest one."""

    gnu_get_libc_version = None

    def __init__(self, largest: int) -> None:
        self.largest = largest
        self.taken: dict[int, int] = {}

    def mallopt(self, parameter: int, value: int) -> int:
        if parameter == M_MMAP_THRESHOLD and value > self.largest:
            return 0
        self.taken[parameter] = value
        return 1


@pytest.mark.parametrize(
    ("largest", "taken"),
    [
        (2**31, {M_MMAP_THRESHOLD: 256 * 2**20, M_TRIM_THRESHOLD: 2**31 - 1}),
        (32 * 2**20, {M_MMAP_THRESHOLD: 32 * 2**20, M_TRIM_THRESHOLD: 2**31 - 1}),
        (0, {}),
    ],
)
def test_as_much_is_kept_as_glibc_takes(
    monkeypatch: pytest.MonkeyPatch, largest: int, taken: dict[int, int]
) -> None:
    _untuned(monkeypatch)
    monkeypatch.setattr(sys, "platform", "linux")
    glibc = _Glibc(largest)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: glibc)
    assert keep_freed_memory() is bool(taken)
    assert glibc.taken == taken


def test_only_learners_on_the_processor_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr("vase_rl.learner.keep_freed_memory", lambda: asked.append(True))
    config = VASEConfig.preset("compact")
    VASE(config, device="meta")
    assert not asked
    VASE(config, device="cpu")
    assert asked


def _untuned(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TUNED_BY:
        monkeypatch.delenv(name, raising=False)


def _must_not_be_called(*_: Any) -> Any:
    raise AssertionError("the allocator was touched")
