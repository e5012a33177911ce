"""Last frames that show no world: shown to the agent, neither learnt from nor tested for shifts."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from counting import OPTIONS, TINY, actions
from ending import BLACK, LENGTH, REPEATED, SEEN, Ending
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3.common.vec_env import DummyVecEnv

from vase_rl.wrappers import (
    FrameStream,
    VASEObservationWrapper,
    VASEVecEnvWrapper,
    VASEVectorObservationWrapper,
)

WAITING = {**OPTIONS, "warmup_frames": 10**6}


def gathered(stream: FrameStream) -> list[list[int]]:
    """Brightness of the frames that wait to be tested, environment by environment."""
    return [[int(frame[0, 0, 0]) for frame in row] for row in stream._fresh]


@pytest.mark.parametrize("truncated", [False, True])
@pytest.mark.parametrize("last", [BLACK, REPEATED, SEEN])
def test_a_single_environment(last: str, truncated: bool) -> None:
    env = VASEObservationWrapper(Ending(last, truncated=truncated), TINY, **WAITING)
    for _ in range(2):
        env.reset()
        for _ in range(LENGTH):
            latents = env.step(0)[0]
    expected = [2, 0, 0, 3, 4, 5, 0, 0, 6, 7] if last == SEEN else [2, 0, 0, 3, 4, 0, 0, 5]
    assert gathered(env.stream) == [expected]
    level = {BLACK: 0, REPEATED: 5, SEEN: 7}[last]
    shown = env.observer.latents(np.full((1, 16, 16, 1), level, np.uint8))[0]
    np.testing.assert_allclose(latents, shown, rtol=1e-5)


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_a_vector_with_any_autoreset(mode: AutoresetMode) -> None:
    makers = [partial(Ending, last, 100 * i) for i, last in enumerate((BLACK, REPEATED, SEEN))]
    plain = SyncVectorEnv(makers, autoreset_mode=mode)
    envs = VASEVectorObservationWrapper(plain, TINY, **WAITING)
    envs.reset()
    for _ in range(LENGTH):
        envs.step(actions(3))
    if mode is AutoresetMode.DISABLED:
        envs.reset(options={"reset_mask": np.array([True, True, True])})
    elif mode is AutoresetMode.NEXT_STEP:
        envs.step(actions(3))
    ends = [103] * (mode is not AutoresetMode.SAME_STEP)
    assert gathered(envs.stream) == [
        [1, 0, 0, 2, 3], [101, 0, 0, 102, 103], [201, 0, 0, 202, *(n + 100 for n in ends), 204],
    ]  # fmt: skip


def test_the_first_frame_of_an_episode_may_look_like_the_last_one_before() -> None:
    """In SAME_STEP the frame beside `terminated` is the next episode's first, black or not."""

    class Night(Ending):
        def _brighter(self) -> np.ndarray:
            return self._black()

    plain = SyncVectorEnv([partial(Night, BLACK)], autoreset_mode=AutoresetMode.SAME_STEP)
    envs = VASEVectorObservationWrapper(plain, TINY, **WAITING)
    envs.reset()
    for _ in range(LENGTH):
        envs.step(actions(1))
    assert gathered(envs.stream) == [[0] * (LENGTH + 1)]


@pytest.mark.parametrize("last", [BLACK, REPEATED])
def test_a_venv_of_stable_baselines3(last: str) -> None:
    env = VASEVecEnvWrapper(DummyVecEnv([partial(Ending, last)]), TINY, **WAITING)
    env.reset()
    for _ in range(LENGTH):
        _, _, dones, infos = env.step(actions(1))
    assert dones.all()
    assert infos[0]["terminal_observation"].shape == (6,)
    assert gathered(env.stream) == [[2, 0, 0, 3, 4]]


def test_a_frozen_stream_does_not_judge_by_them() -> None:
    env = VASEObservationWrapper(Ending(BLACK), TINY, **WAITING)
    rng = np.random.default_rng(0)
    env.vase.update(rng.integers(0, 255, (32, 16, 16, 1), dtype=np.uint8))
    env.training = False
    env.reset()
    for _ in range(LENGTH):
        env.step(0)
    # Of the four that are counted, two are kept.
    assert env.stream._watch._count == [4]
    assert [int(frame[0, 0, 0]) for frame in env.stream._watch._recent[0]] == [2, 0]
