"""Settings and fixtures shared by all tests: an agent that several look at, a learner's steps."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any

# Before anything imports matplotlib: no test opens a window.
os.environ["MPLBACKEND"] = "Agg"

import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True)
def _isolated_from_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests see the built-in data only, unless they name a data directory themselves."""
    monkeypatch.delenv("VASE_RL_DATA", raising=False)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """torch's global generator starts equal in each test, whichever tests ran before."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with one environment, whose latents 1 and 4 are used and 0 is masked."""
    from lamps import TINY

    from vase_rl import VASE

    vase = VASE(TINY, seed=0, device="cpu")
    rng = np.random.default_rng(0)
    vase.update(rng.choice([0, 255], (16, 1, 1, 1)).repeat(16, 1).repeat(16, 2).astype(np.uint8))
    # Untrained encodings of the two frames hardly differ: spread them.
    with torch.no_grad():
        vase.networks.encoder.posterior.weight[:6] *= 20
    world = vase.environments[0]
    world.used_latents = torch.tensor([True, True, False, False, True, False])
    world.latent_mask = torch.tensor([False, True, True, True, True, True])
    path = tmp_path_factory.mktemp("encoder") / "vase.pt"
    vase.save(path)
    return path


@pytest.fixture(scope="session")
def lamp_result(encoder: Path) -> Any:
    """PPO, trained to say whether the lamp is on."""
    from lamps import LAMP, QUICK

    from vase_rl.agents import train_ppo

    return train_ppo(LAMP, encoder=encoder, frames=3000, ppo=QUICK, device="cpu")


@pytest.fixture(scope="session")
def bundle(lamp_result: Any) -> Any:
    """The agent of `lamp_result`."""
    return lamp_result.bundle


@pytest.fixture(name="steps")
def _steps(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Arguments of every training step, by name."""
    from vase_rl.objective import StepLosses, training_losses

    calls: list[dict[str, Any]] = []
    signature = inspect.signature(training_losses)

    def spy(*arguments: Any) -> StepLosses:
        calls.append(signature.bind(*arguments).arguments)
        return training_losses(*arguments)

    monkeypatch.setattr("vase_rl.learner.training_losses", spy)
    return calls
