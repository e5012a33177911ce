"""Imagination-driven exploration, in a world of blobs that a hand-made learner sees exactly."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from blobs import SIZE, SPAN, STEP, Push, anywhere, blobs, knowing_learner, place_of, still
from gymnasium import spaces
from worlds import flat, tiny

from vase_rl import VASE
from vase_rl.agents import ExplorationWrapper, Explorer, ExplorerConfig
from vase_rl.agents.displacement import displacement, measure_steps
from vase_rl.agents.imagination import imaginable, imagine
from vase_rl.agents.policy import TranslationPolicy
from vase_rl.experiments.probes import r2_score
from vase_rl.wrappers import VASEObservationWrapper

MIDDLE = np.full((64, 2), 0.5)


def enter_still_world(vase: VASE) -> None:
    rng = np.random.default_rng(6)
    for _ in range(4):
        vase.update(still(rng))


@pytest.fixture(name="trained", scope="module")
def _trained() -> Explorer:
    explorer = Explorer(knowing_learner(), seed=0)
    rng = np.random.default_rng(0)
    for _ in range(150):
        explorer.train(anywhere(rng))
    return explorer


@pytest.fixture(name="explorer")
def _explorer(trained: Explorer) -> Explorer:
    return copy.deepcopy(trained)


def realised(explorer: Explorer, frames: np.ndarray) -> float:
    """R² between the place that is wished for and the one that is reached."""
    explored = explorer.explore(frames)
    wanted = place_of(explorer.vase.decode(explored.wish.latents.numpy(), 0))
    return float(r2_score(wanted, place_of(explored.frames)).mean())


# ---------------------------------------------------------------- imagination


def test_what_is_imagined_can_be_shown() -> None:
    vase = knowing_learner()

    def places(wishes: Any) -> np.ndarray:
        wish = imagine(vase, 0, 400, torch.Generator().manual_seed(0), wishes)
        assert wish.attended.tolist() == [True, True, True, False, False]
        assert not wish.latents[:, 3:].any()
        return (wish.latents[:, :2].numpy() * 2.6 / SPAN) + 0.5  # about SPREAD

    beyond = [np.mean((p < -0.1) | (p > 1.1)) for p in (places("prior"), places("dream"))]
    assert beyond[0] > 0.03
    assert beyond[1] == 0


def test_another_environment_is_imagined_than_the_present_one() -> None:
    vase = knowing_learner()
    assert imaginable(vase) == [0]
    enter_still_world(vase)
    assert (vase.environment, len(vase.environments)) == (1, 2)
    assert imaginable(vase) == [0]
    vase.environments[1].used_latents[:] = vase.environments[1].latent_mask
    assert imaginable(vase) == [0]
    vase.environments[0].used_latents[:] = False
    assert imaginable(vase) == [1]


def test_no_environment_is_imagined_that_was_given_up_or_forbidden() -> None:
    vase = knowing_learner()
    assert imaginable(vase) == [0]
    vase.forbid(0)
    assert imaginable(vase) == []
    vase.forbid(0, False)
    enter_still_world(vase)
    assert imaginable(vase) == [0]
    vase.merge(0, 1)
    assert imaginable(vase) == []


# ---------------------------------------------------------------- the policy


def test_the_policy_realises_what_is_imagined(explorer: Explorer) -> None:
    rng = np.random.default_rng(1)
    assert realised(explorer, anywhere(rng, 400)) > 0.9
    # Other blobs, that never moved.
    assert realised(explorer, still(rng, 400)) > 0.85


def test_an_untrained_policy_realises_nothing() -> None:
    explorer = Explorer(knowing_learner(), seed=0)
    assert realised(explorer, anywhere(np.random.default_rng(1), 400)) < 0.3


def test_the_policy_that_acts_is_the_mean_of_the_last() -> None:
    explorer = Explorer(knowing_learner(), seed=0)
    rng, weights = np.random.default_rng(0), []
    for _ in range(7):
        explorer.train(anywhere(rng))
        weights.append(torch.nn.utils.parameters_to_vector(explorer.policy.parameters()).detach())
    found = torch.nn.utils.parameters_to_vector(explorer.average.parameters())
    # For three steps there is nothing to average; from the fourth on, half of each step counts.
    expected = weights[2]
    for latest in weights[3:]:
        expected = (expected + latest) / 2
    torch.testing.assert_close(found, expected)


def test_training_the_policy_leaves_the_learner_alone(explorer: Explorer) -> None:
    frames = anywhere(np.random.default_rng(2))
    vase = explorer.vase
    before = flat({**vase.networks.state_dict(), "random": vase.generator.get_state()})
    random = torch.random.get_rng_state()
    loss = explorer.train(frames)
    explorer.explore(frames)
    assert loss is not None
    assert loss > 0
    after = flat({**vase.networks.state_dict(), "random": vase.generator.get_state()})
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert torch.equal(random, torch.random.get_rng_state())
    assert all(p.grad is None for p in vase.networks.parameters())


def test_equal_seeds_explore_alike() -> None:
    frames = anywhere(np.random.default_rng(2))
    runs = [Explorer(knowing_learner(), seed=3) for _ in "ab"]
    losses = [[run.train(frames) for _ in range(3)] for run in runs]
    assert losses[0] == losses[1]
    first, second = (run.explore(frames) for run in runs)
    assert np.array_equal(first.frames, second.frames)


# ---------------------------------------------------------------- in the learner's stream


def visit(explorer: Explorer, batches: int) -> list[np.ndarray]:
    """Blobs that stand still in another world; what the learner practised on."""
    practised: list[np.ndarray] = []
    practise = explorer.vase.practise

    def noting(frames: np.ndarray) -> dict[str, float]:
        practised.append(frames)
        return practise(frames)

    explorer.vase.practise = noting  # type: ignore[method-assign]
    rng = np.random.default_rng(6)
    for _ in range(batches):
        explorer.update(still(rng))
    return practised


def test_from_the_second_environment_on_the_learner_sees_what_it_imagined(
    explorer: Explorer,
) -> None:
    explorer.update(anywhere(np.random.default_rng(4)))
    assert not explorer.exploring
    practised = visit(explorer, 12)
    assert explorer.exploring
    assert len(explorer.vase.environments) == 2
    assert len(practised) >= 10
    assert place_of(np.concatenate(practised)).std(0).min() > 0.15
    # The place was constant on entry, and so masked; what moves makes it typical again.
    assert explorer.vase.environments[1].latent_mask[:2].all()


@pytest.mark.parametrize(("share", "least", "most"), [(0.25, 3, 4), (0.5, 10, 12), (0.75, 30, 36)])
def test_the_share_of_explored_frames(
    trained: Explorer, share: float, least: int, most: int
) -> None:
    explorer = copy.deepcopy(trained)
    explorer.config = ExplorerConfig(share=share)
    assert least <= len(visit(explorer, 12)) <= most


def test_an_update_keeps_what_was_explored(trained: Explorer) -> None:
    explorer = copy.deepcopy(trained)
    explorer.config = ExplorerConfig(share=0.75)
    practised = visit(explorer, 12)
    assert len(explorer.explored) == 3
    for kept, learnt in zip(explorer.explored, practised[-3:], strict=True):
        np.testing.assert_array_equal(kept.frames, learnt)
        wanted = place_of(explorer.vase.decode(kept.wish.latents.numpy(), 0))
        assert float(r2_score(wanted, place_of(kept.frames)).mean()) > 0.7
    # The same frames, each time elsewhere.
    places = [place_of(each.frames) for each in explorer.explored]
    assert np.abs(places[0] - places[1]).max() > 0.3
    assert np.abs(places[1] - places[2]).max() > 0.3


@pytest.mark.parametrize("steps", [1, 3])
def test_the_policy_takes_its_steps(trained: Explorer, steps: int) -> None:
    explorer = copy.deepcopy(trained)
    explorer.config = ExplorerConfig(policy_steps=steps)
    before = explorer.updates
    assert explorer.update(anywhere(np.random.default_rng(4))).trained
    assert explorer.updates == before + steps
    assert not explorer.explored


@pytest.mark.parametrize(
    ("size", "layers", "side"), [(16, 2, 4), (32, 3, 4), (64, 4, 4), (84, 4, 5)]
)
def test_the_policy_keeps_sight_of_where_things_are(size: int, layers: int, side: int) -> None:
    """The paper's four convolutions at 64x64 leave 4x4."""
    policy = TranslationPolicy(size, 3, 5, 8, 0.6)
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in policy.eyes) == layers
    assert policy.eyes(torch.zeros(2, 3, size, size)).shape == (2, 16 * side**2)
    assert policy(torch.zeros(2, 5), torch.zeros(2, 3, size, size)).shape == (2, 2)


def test_without_exploration_the_place_stays_masked() -> None:
    vase = knowing_learner()
    enter_still_world(vase)
    assert not vase.environments[1].latent_mask[:2].any()


def test_algorithm_1_keeps_its_masks(explorer: Explorer) -> None:
    visit(explorer, 4)
    explorer.vase.environments[1].latent_mask[:2] = False
    object.__setattr__(explorer.vase.config, "inference", "algorithm1")
    explorer.learn_from(anywhere(np.random.default_rng(5)))
    assert not explorer.vase.environments[1].latent_mask[:2].any()


def test_nothing_is_wished_for_before_anything_is_used() -> None:
    vase = knowing_learner()
    vase.environments[0].used_latents[:] = False
    explorer = Explorer(vase, seed=0)
    assert not explorer.ready
    assert explorer.train(blobs(MIDDLE)) is None
    weights = copy.deepcopy(explorer.policy.state_dict())
    rng = np.random.default_rng(6)
    for _ in range(5):
        assert explorer.update(anywhere(rng)).trained
    assert all(torch.equal(weights[k], v) for k, v in explorer.policy.state_dict().items())
    with pytest.raises(RuntimeError, match="which latents a world uses"):
        explorer.imagine(1)


def test_a_mask_that_leaves_nothing_is_no_wish() -> None:
    vase = knowing_learner()
    vase.environments[0].latent_mask[:3] = False
    assert not Explorer(vase, seed=0).ready


# ---------------------------------------------------------------- in an environment


@pytest.mark.parametrize("axes", [((1, 0), (0, 1)), ((0, -1), (1, 0)), ((1, 0.4), (-0.4, 1))])
def test_what_actions_do_is_found_out(axes: Any) -> None:
    found = measure_steps(Push(axes), lambda frame: frame, seed=0)
    np.testing.assert_allclose(found, STEP * SPAN / SIZE * np.array(axes), atol=0.03)


def test_displacement_is_that_of_the_content() -> None:
    before, after = blobs(np.array([[0.2, 0.3], [0.6, 0.9]]))
    places = place_of(np.stack([before, after]))
    wanted = (places[1] - places[0]) * SPAN / SIZE
    np.testing.assert_allclose(displacement(before, after), wanted, atol=0.02)


def exploring_env(vase: VASE, env: gym.Env[Any, Any], **options: Any) -> ExplorationWrapper:
    adapter = VASEObservationWrapper(env, vase.config, warmup_frames=64, seed=0, device="cpu")
    adapter.stream.use(vase)
    return ExplorationWrapper(adapter, seed=0, **options)


def play(env: gym.Env[Any, Any], episodes: int) -> list[dict[str, Any]]:
    """An agent that stands still."""
    infos = []
    for _ in range(episodes):
        infos.append(env.reset()[1])
        done = False
        while not done:
            _, _, terminated, truncated, _ = env.step(np.zeros(2, np.float32))
            done = terminated or truncated
    return infos


def test_the_environment_carries_wishes_out(explorer: Explorer) -> None:
    """Every episode begins in the middle, in a world of its own; the agent never moves."""
    world = Push(axes=((0, 1), (1, 0)), still=True)
    enter_still_world(explorer.vase)
    env = exploring_env(explorer.vase, world)
    env.explorer.policy, env.explorer.average = explorer.policy, explorer.average
    env.explorer.updates = explorer.updates
    moves = world.moves
    infos = play(env, 9)
    counts = infos[-1]["exploration"]
    assert counts["frames"] == world.moves - moves - 9 * 20
    assert counts["frames"] == pytest.approx(8 * 20, abs=20)
    assert counts["policy_updates"] > explorer.updates
    assert counts["updates"] > 0
    assert len(explorer.vase.environments) == 2
    reached = place_of(np.stack(list(env._window)))
    assert reached.std(0).min() > 0.1


def test_exploring_keeps_the_pace_and_the_window_of_the_stream(explorer: Explorer) -> None:
    adapter = VASEObservationWrapper(
        Push(), explorer.vase.config, seed=0, device="cpu",
        warmup_frames=64, window_frames=70, frames_per_update=5,
    )  # fmt: skip
    adapter.stream.use(explorer.vase)
    env = ExplorationWrapper(adapter, seed=0)
    counts = play(env, 8)[-1]["exploration"]
    assert counts["frames"] > 70
    assert counts["policy_updates"] == counts["frames"] // 5
    assert len(env._window) == 70


def test_the_agents_own_episodes_stay_as_they_are(explorer: Explorer) -> None:
    env = exploring_env(explorer.vase, Push())
    plain = VASEObservationWrapper(Push(), explorer.vase.config, seed=0, device="cpu")
    plain.stream.use(explorer.vase)
    env.env.training = plain.training = False
    play(env, 2)
    seen = [each.reset(seed=5)[0] for each in (env, plain)]
    np.testing.assert_array_equal(*seen)
    steps = [each.step(np.array([0.5, -1.0], np.float32))[0] for each in (env, plain)]
    np.testing.assert_array_equal(*steps)
    assert env.frames == 0  # frozen, nothing is explored


def test_actions_towards_a_translation_keep_its_direction() -> None:
    env = exploring_env(knowing_learner(), Push(), step_map=[[0.1, 0.0], [0.0, 0.05]])
    np.testing.assert_allclose(env.towards(np.array([0.05, 0.01])), [0.5, 0.2], rtol=1e-6)
    np.testing.assert_allclose(env.towards(np.array([0.4, -0.1])), [1.0, -0.5], rtol=1e-6)


class Turned(Push):
    """Actions that do something else."""

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        return super().step(self.np_random.uniform(-1, 1, 2))


def boxed(low: Any, high: Any, shape: tuple[int, ...] = (2,)) -> gym.Env[Any, Any]:
    env = Push()
    env.action_space = spaces.Box(low, high, shape, np.float32)
    return env


def discrete() -> gym.Env[Any, Any]:
    env = Push()
    env.action_space = spaces.Discrete(4)
    return env


@pytest.mark.parametrize(
    ("make", "exception", "message"),
    [
        (lambda: exploring_env(knowing_learner(), discrete()), ValueError, r"shape \(2,\).*Discr"),
        (lambda: exploring_env(knowing_learner(), boxed(-1, 1, (3,))), ValueError, r"\(3,\)"),
        (lambda: exploring_env(knowing_learner(), boxed(0, 1)), ValueError, "around 0"),
        (lambda: exploring_env(knowing_learner(), boxed(-np.inf, np.inf)), ValueError, "finite"),
        (lambda: exploring_env(knowing_learner(), Turned()), ValueError, "must be translations"),
        (lambda: exploring_env(knowing_learner(), Push(((0, 0), (0, 0)))), ValueError, "0%"),
        (lambda: exploring_env(knowing_learner(), Push(((1, 1), (1, 1)))), ValueError, "both"),
        (lambda: exploring_env(knowing_learner(), Push(), horizon=0), ValueError, "horizon.*0"),
        (
            lambda: exploring_env(knowing_learner(), Push(), step_map=np.zeros((2, 2))),
            ValueError,
            "step_map must be an invertible",
        ),
        (lambda: ExplorationWrapper(Push()), TypeError, "VASEObservationWrapper, got"),  # type: ignore[arg-type]
        (lambda: Explorer("vase"), TypeError, "vase must be a VASE, got 'vase'"),  # type: ignore[arg-type]
        (lambda: Explorer(VASE(tiny(), device="cpu")), ValueError, "at least 16 .* got 8"),
        (lambda: ExplorerConfig(share=1.0), ValueError, "share must be below 1, got 1.0"),
        (lambda: ExplorerConfig(share=0), ValueError, r"share must be a number in \(0, 1\], got 0"),
        (lambda: ExplorerConfig(reach=2.0), ValueError, "reach must be"),
        (lambda: ExplorerConfig(wishes="hope"), ValueError, "wishes must be one of"),  # type: ignore[arg-type]
        (lambda: Explorer(knowing_learner()).train(np.zeros((2, 8, 8, 1), np.uint8)), ValueError,
         "frames must have shape"),
        (lambda: Explorer(knowing_learner()).train(np.zeros((2, 16, 16, 1))), TypeError, "uint8"),
        (lambda: Explorer(VASE(knowing_learner().config, device="cpu")).learn_from(blobs(MIDDLE)),
         RuntimeError, "call update first"),
    ],
)  # fmt: skip
def test_bad_input_is_named(make: Any, exception: type[Exception], message: str) -> None:
    with pytest.raises(exception, match=message):
        make()
