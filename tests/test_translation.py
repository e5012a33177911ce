"""Pictures moved by translations, and what those control in the latents."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from blobs import SIZE, anywhere, blobs, knowing_learner, place_of

from vase_rl.agents.control import Control
from vase_rl.agents.translation import carried_out, stopped_at_sides, translated


def test_a_translation_moves_pictures_right_and_down() -> None:
    x = torch.zeros(2, 1, 8, 16)
    x[0, 0, 2, 3], x[1, 0, 5, 10] = 1.0, 1.0
    shift = torch.tensor([[2 / 16, 1 / 8], [-4 / 16, -3 / 8]])
    moved = translated(x, shift)
    expected = torch.zeros_like(x)
    expected[0, 0, 3, 5], expected[1, 0, 2, 6] = 1.0, 1.0
    torch.testing.assert_close(moved, expected, atol=1e-5, rtol=0)


def test_things_stop_at_the_sides() -> None:
    x = torch.zeros(3, 1, 10, 10)
    x[0, 0, 2:4, 3:6] = 1.0
    x[1] = 1.0
    far = torch.ones(3, 2)
    torch.testing.assert_close(stopped_at_sides(x, far)[0], torch.tensor([0.4, 0.6]))
    torch.testing.assert_close(stopped_at_sides(x, -far)[0], torch.tensor([-0.3, -0.2]))
    # What fills the picture cannot move, and where there is nothing, nothing does.
    assert not stopped_at_sides(x, far)[1:].any()
    moved, shift = carried_out(x, 0.33 * far)
    torch.testing.assert_close(shift[0], torch.tensor([0.3, 0.3]))
    torch.testing.assert_close(moved[0].sum(), x[0].sum())


def test_the_gradient_of_a_translation_is_that_of_the_picture() -> None:
    x = torch.from_numpy(blobs(np.array([[0.4, 0.6]]))).permute(0, 3, 1, 2) / 255
    shift = torch.full((1, 2), 0.03, requires_grad=True)

    def loss(s: torch.Tensor) -> torch.Tensor:
        return (translated(x, s) * torch.linspace(0, 1, SIZE)).sum()

    loss(shift).backward()
    assert shift.grad is not None
    step = torch.tensor([[1e-3, 0.0]])
    numeric = (loss(shift.detach() + step) - loss(shift.detach() - step)) / 2e-3
    assert shift.grad[0, 0].item() == pytest.approx(numeric.item(), rel=0.02)


def test_no_gradient_asks_for_more_than_the_sides_allow() -> None:
    x = torch.from_numpy(blobs(np.array([[0.4, 0.6]]))).permute(0, 3, 1, 2) / 255
    far = torch.tensor([[0.9, 0.0]])
    stop = stopped_at_sides(x, far)

    def gradient(at: torch.Tensor, sign: int) -> float:
        shift = at.clone().requires_grad_()
        (sign * translated(x, shift) * torch.linspace(0, 1, SIZE)).sum().backward()
        assert shift.grad is not None
        return shift.grad[0, 0].item()

    # Descent moves it back, and no farther out than it is.
    assert gradient(far, 1) == pytest.approx(gradient(stop, 1))
    assert gradient(far, 1) > 0.1
    assert gradient(stop, -1) < -0.1
    assert gradient(far, -1) == 0


def test_a_gradient_that_is_no_number_stays_none() -> None:
    """Or a policy that diverges would seem to have nothing left to learn."""
    x = torch.from_numpy(blobs(np.array([[0.4, 0.6]]))).permute(0, 3, 1, 2) / 255
    for at in (0.01, 0.9):
        shift = torch.full((1, 2), at, requires_grad=True)
        (translated(x, shift) * torch.nan).sum().backward()
        assert shift.grad is not None
        assert shift.grad.isnan().all()


def test_control_is_of_latents_that_the_place_explains() -> None:
    vase = knowing_learner()
    control = Control(5, 0.6, torch.Generator().manual_seed(0), vase.device)
    attended = vase.environments[0].used_latents
    torch.testing.assert_close(control.metric(attended), attended.float().diag())
    control.measure(vase.networks.encoder, torch.zeros(3, 1, SIZE, SIZE))
    assert not control.batches
    x = torch.from_numpy(anywhere(np.random.default_rng(0), 256)).permute(0, 3, 1, 2) / 255
    for _ in range(5):
        control.measure(vase.networks.encoder, x)
    assert (control.share[:2] > 0.95).all()
    assert control.share[2] < 0.2
    assert not control.share[3:].any()
    metric = control.metric(attended)
    assert metric.trace() == pytest.approx(3)
    assert (metric.diagonal()[:2] > 10 * metric[2, 2]).all()
    assert not metric[3:].any()
    assert not metric[:, 3:].any()


class Folded:
    """Its latents hold sums and differences of place and brightness, and a constant."""

    def __call__(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        place, bright = torch.from_numpy(place_of_tensor(x)), x.amax((1, 2, 3))
        mixed = torch.stack([place + bright, place - bright, torch.ones(len(x))], 1)
        return mixed, torch.ones_like(mixed)


def place_of_tensor(x: torch.Tensor) -> np.ndarray:
    """Across, of pictures (B, 1, H, W)."""
    return place_of((255 * x).byte().permute(0, 2, 3, 1).numpy())[:, 0]


def test_the_metric_sees_what_no_single_latent_tells() -> None:
    """The sum of two latents is the place, their difference is not."""
    control = Control(3, 0.6, torch.Generator().manual_seed(0), torch.device("cpu"))
    rng = np.random.default_rng(0)
    for _ in range(20):
        frames = blobs(rng.random((64, 2)), rng.uniform(40, 255, 64))
        control.measure(Folded(), torch.from_numpy(frames).permute(0, 3, 1, 2) / 255)  # type: ignore[arg-type]
    metric = control.metric(torch.tensor([True, True, False]))
    place, bright = torch.tensor([1.0, 1.0, 0.0]), torch.tensor([1.0, -1.0, 0.0])
    assert place @ metric @ place > 30 * (bright @ metric @ bright)
