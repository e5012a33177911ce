"""Freed memory stays with the process where glibc allocates; nothing else is touched."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from typing import Any

import pytest

from vase_rl import VASE, VASEConfig, allocation
from vase_rl.allocation import THEIRS, keep_freed_memory

ON_GLIBC = platform.libc_ver()[0] == "glibc"
FAULTS = """
import resource, sys, torch
from vase_rl import VASE, VASEConfig
if sys.argv[1] == "learner":
    VASE(VASEConfig.preset("compact"), seed=0, device="cpu")
def step():
    for tensor in [torch.zeros(2**22) for _ in range(4)]:
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
"""Ten times four tensors of 16 MiB, and how often the system had to hand out a page."""


def _faults(who: str, **variables: str) -> int:
    environ = {k: v for k, v in os.environ.items() if k not in THEIRS} | variables
    command = [sys.executable, "-c", FAULTS, who]
    run = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    return int(run.stdout)


@pytest.mark.skipif(not ON_GLIBC, reason="the allocator is not glibc's")
def test_a_learner_on_the_processor_keeps_what_is_freed() -> None:
    by_default = _faults("nobody")
    assert _faults("learner") * 5 < by_default
    # Whoever tunes glibc by hand is left alone: this one wants every piece given back.
    assert _faults("learner", MALLOC_MMAP_THRESHOLD_="65536") * 2 > by_default


@pytest.mark.parametrize("name", THEIRS)
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


def test_other_allocators_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    _untuned(monkeypatch)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: _Other())
    assert keep_freed_memory() is False


class _Refusing:
    """A glibc that takes no such number."""

    gnu_get_libc_version = None

    def mallopt(self, parameter: int, value: int) -> int:
        return 0


def test_it_says_where_glibc_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    _untuned(monkeypatch)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: _Refusing())
    assert keep_freed_memory() is False


def test_only_learners_on_the_processor_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr("vase_rl.learner.keep_freed_memory", lambda: asked.append(True))
    config = VASEConfig.preset("compact")
    VASE(config, device="meta")
    assert not asked
    VASE(config, device="cpu")
    assert asked


def test_the_threshold_is_the_most_that_glibc_takes() -> None:
    assert 4 * 2**20 * ctypes.sizeof(ctypes.c_long) == allocation.LARGEST_MMAP_THRESHOLD


def _untuned(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in THEIRS:
        monkeypatch.delenv(name, raising=False)


def _must_not_be_called(*_: Any) -> Any:
    raise AssertionError("the allocator was touched")
