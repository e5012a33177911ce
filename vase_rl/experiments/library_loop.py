"""The training loop of a public VAE library, pythae's, on the paper's network.

pythae knows neither environments nor dreams: what is compared is what a plain VAE costs there and
here, from stored frames to updated weights.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..config import VASEConfig
from .measured import Work
from .reference_step import Networks


def is_installed() -> bool:
    """Whether pythae is; it comes with the extra "bench"."""
    return find_spec("pythae") is not None


def library_epoch(
    config: VASEConfig, frames: np.ndarray, scratch: str, seed: int, device: torch.device
) -> Work:
    """Returns one epoch of pythae's `BaseTrainer`, which gives the mean loss in nats per frame.

    Args:
        config: of the network, the batch and the learning rate.
        frames: uint8 (n, H, W, C); they are made float32 here, before anything is timed.
        scratch: an empty folder that pythae may write to.
        seed: of weights, noise and the order of frames; pythae seeds torch's, numpy's and Python's
            global generators with it.
        device: the processor, or the first accelerator: pythae takes no other.

    Raises:
        ImportError: pythae is not installed.
    """
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from pythae.trainers.base_trainer import base_trainer
    from pythae.trainers.training_callbacks import CallbackHandler, TrainingCallback

    torch.manual_seed(seed)
    networks = Networks(config)

    class Encoder(BaseEncoder):  # type: ignore[misc]
        """q(z|x) in pythae's terms."""

        def __init__(self) -> None:
            super().__init__()
            self.trunk, self.posterior = networks.trunk, networks.posterior

        def forward(self, x: Tensor) -> Any:
            mean, log_variance = self.posterior(self.trunk(x)).chunk(2, dim=1)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):  # type: ignore[misc]
        """p(x|z, s) of the first environment in pythae's terms."""

        def __init__(self) -> None:
            super().__init__()
            self.layers = networks.decoder

        def forward(self, z: Tensor) -> Any:
            first = torch.zeros(len(z), dtype=torch.long, device=z.device)
            return ModelOutput(reconstruction=torch.sigmoid(networks.decode(z, first)))

    base_trainer.logger.setLevel(logging.WARNING)
    x = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    shape = tuple(x.shape[1:])
    plain = VAEConfig(input_dim=shape, latent_dim=config.latents, reconstruction_loss="bce")
    trainer = BaseTrainer(
        VAE(plain, Encoder(), Decoder()),
        BaseDataset(x, torch.zeros(len(x))),
        training_config=BaseTrainerConfig(
            output_dir=scratch, per_device_train_batch_size=config.batch_size, seed=seed,
            learning_rate=config.learning_rate, no_cuda=device.type != "cuda",
        ),
    )  # fmt: skip
    trainer.prepare_training()
    # Without its progress bar.
    trainer.callback_handler = CallbackHandler([TrainingCallback()], trainer.model)
    return lambda: trainer.train_step(1)
