"""The observation wrapper: any image environment in, masked latents out, nothing corrupted."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from counting import TINY
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from vase_rl import VASE, CheckpointError, VASEConfig
from vase_rl.reports import UpdateReport
from vase_rl.shifts import LONG_PERSISTENCE
from vase_rl.wrappers import FrameStream, PixelReader, StreamConfig, VASEObservationWrapper
from vase_rl.wrappers.pixels import resize


class Painted(gym.Env[Any, int]):
    """Noise of one brightness per world; `worlds` lists (brightness, frames)."""

    def __init__(
        self,
        shape: tuple[int, ...] = (24, 24, 3),
        worlds: tuple[tuple[int, int], ...] = ((60, 10**6),),
        key: str | None = None,
    ) -> None:
        self.shape, self.worlds, self.key = shape, worlds, key
        image = spaces.Box(0, 255, shape, np.uint8)
        other = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.observation_space = image if key is None else spaces.Dict({key: image, "speed": other})
        self.action_space = spaces.Discrete(2)
        self.frame = 0

    def _observe(self) -> Any:
        count = 0
        for level, frames in self.worlds:
            brightness = level
            count += frames
            if self.frame < count:
                break
        image = self.np_random.integers(
            brightness - 40, brightness + 40, self.shape, dtype=np.uint8
        )
        self.frame += 1
        if self.key is None:
            return image
        return {self.key: image, "speed": np.zeros(2, dtype=np.float32)}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self._observe(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self._observe(), 0.0, False, False, {}


def wrapped(env: gym.Env[Any, Any], **kwargs: Any) -> VASEObservationWrapper:
    kwargs = {"config": TINY, "seed": 0, "warmup_frames": 32, "device": "cpu", **kwargs}
    return VASEObservationWrapper(env, **kwargs)


def run(env: VASEObservationWrapper, frames: int) -> list[dict[str, Any]]:
    _, info = env.reset(seed=0)
    infos = [info["vase"]]
    for _ in range(frames - 1):
        infos.append(env.step(0)[4]["vase"])
    return infos


@pytest.mark.parametrize("shape", [(16, 16), (20, 30, 1), (24, 24, 3), (40, 17, 4), (5, 5, 3)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_image_becomes_a_vector_of_latents(shape: tuple[int, ...], channels: int) -> None:
    config = VASEConfig.from_dict({**TINY.to_dict(), "channels": channels})
    env = wrapped(Painted(shape), config=config)
    observation, info = env.reset(seed=1)
    assert env.observation_space.shape == (6,)
    assert env.observation_space.contains(observation)
    assert observation.dtype == np.float32
    assert set(info["vase"]) == {
        "environment", "shift", "new_environment", "reconstruction_loss", "updates", "status",
        "name", "forbidden",
    }  # fmt: skip
    assert all(type(value) in (int, bool, float, str) for value in info["vase"].values())


@pytest.mark.parametrize(("shape", "channels"), [((9, 9), 1), ((9, 9, 1), 1), ((9, 9, 4), 3)])
def test_a_preset_takes_its_channels_from_the_images(shape: tuple[int, ...], channels: int) -> None:
    env = VASEObservationWrapper(Painted(shape), config="compact", device="cpu")
    assert env.vase.config.channels == channels


def test_pixels_are_averaged_over_areas_and_weighted_to_grey() -> None:
    space = spaces.Box(0, 255, (4, 4, 3), np.uint8)
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5
    rgb = PixelReader(space).read(image, 2, 3)
    expected = image.reshape(2, 2, 2, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(rgb, expected, atol=0.51)
    grey = PixelReader(space).read(image, 4, 1)[..., 0]
    np.testing.assert_allclose(grey, image @ np.array([0.299, 0.587, 0.114]), atol=0.51)


def test_the_image_of_a_dict_is_found_by_its_key() -> None:
    env = wrapped(Painted(key="camera"), pixels_key="camera")
    assert env.reset(seed=0)[0].shape == (6,)
    assert wrapped(Painted(key="camera")).reset(seed=0)[0].shape == (6,)


def test_masked_latents_are_zero_and_the_environment_is_appended() -> None:
    env = wrapped(Painted(worlds=((60, 200), (180, 10**6))), append_environment=True)
    run(env, 320)
    assert len(env.vase.environments) == 2
    mask = env.vase.environments[1].latent_mask
    mask[:] = True
    mask[:3] = False
    observation = env.step(0)[0]
    assert observation.shape == (6 + TINY.max_environments,)
    np.testing.assert_array_equal(observation[:3], 0.0)
    assert (observation[3:6] != 0.0).all()
    np.testing.assert_array_equal(observation[6:], np.eye(TINY.max_environments)[1])


def test_observations_are_fresh_arrays_and_infos_fresh_objects() -> None:
    env = wrapped(Painted(), training=False)
    first, info = env.reset(seed=0)
    kept = first.copy()
    second, _, _, _, next_info = env.step(0)
    assert not np.shares_memory(first, second)
    np.testing.assert_array_equal(first, kept)
    assert info["vase"] is not next_info["vase"]


def test_shifts_are_found_and_a_world_that_returns_is_recognised() -> None:
    worlds = ((60, 300), (180, 300), (60, 10**6))
    infos = run(wrapped(Painted(worlds=worlds)), 900)
    shifts = [(n, i["environment"]) for n, i in enumerate(infos) if i["shift"]]
    opened = [i["environment"] for i in infos if i["new_environment"]]
    assert opened == [0, 1]
    assert [environment for _, environment in shifts] == [1, 0]
    assert all(start <= n < start + 100 for (n, _), start in zip(shifts, (300, 600), strict=True))


def test_warm_up_comes_before_the_first_training_step() -> None:
    infos = run(wrapped(Painted(), warmup_frames=50), 60)
    assert [i["updates"] > 0 for i in infos] == [False] * 49 + [True] * 11


def test_training_can_be_switched_at_any_time() -> None:
    env = wrapped(Painted(), frames_per_update=4)
    assert run(env, 200)[-1]["updates"] > 30
    env.training = False
    before = {k: v.clone() for k, v in env.vase.networks.state_dict().items()}
    updates = [env.step(0)[4]["vase"]["updates"] for _ in range(100)]
    assert len(set(updates)) == 1
    assert all(v.equal(before[k]) for k, v in env.vase.networks.state_dict().items())
    env.training = True
    env.step(0)
    assert [env.step(0)[4]["vase"]["updates"] for _ in range(40)][-1] > updates[0]


def test_frozen_it_follows_the_environment_without_learning(tmp_path: Any) -> None:
    trained = wrapped(Painted(worlds=((60, 300), (180, 10**6))))
    run(trained, 600)
    trained.save(tmp_path / "vase.pt")
    env = VASEObservationWrapper(
        Painted(worlds=((60, 150), (180, 10**6))),
        load_path=tmp_path / "vase.pt",
        training=False,
        device="cpu",
    )
    found = [i["environment"] for i in run(env, 400)]
    assert found[0] == 0
    assert found[149] == 0
    assert found[-1] == 1


def test_a_loaded_wrapper_sees_what_the_saved_one_saw(tmp_path: Any) -> None:
    first = wrapped(Painted())
    run(first, 100)
    first.save(tmp_path / "vase.pt")
    first.training = False
    second = VASEObservationWrapper(
        Painted(), load_path=tmp_path / "vase.pt", training=False, device="cpu"
    )
    np.testing.assert_array_equal(first.reset(seed=3)[0], second.reset(seed=3)[0])


def checks_a_wrapped_environment(test: Any) -> Any:
    """Gymnasium's checker warns of every wrapper, and of every unbounded observation."""
    for message in (
        "is different from the unwrapped version",
        "A Box observation space (min|max)imum value is -?infinity",
    ):
        test = pytest.mark.filterwarnings(f"ignore:.*{message}")(test)
    return test


@checks_a_wrapped_environment
@pytest.mark.parametrize("env_id", ["vase_rl/SpriteReach-v0", "vase_rl/SpriteStream-v0"])
def test_both_checkers_pass_when_frozen(env_id: str, tmp_path: Any) -> None:
    trained = VASEObservationWrapper(
        gym.make(env_id), config=TINY, seed=0, warmup_frames=20, device="cpu"
    )
    trained.reset(seed=0)
    for _ in range(30):
        _, _, terminated, truncated, _ = trained.step(trained.action_space.sample())
        if terminated or truncated:
            trained.reset()
    trained.save(tmp_path / "vase.pt")
    env = VASEObservationWrapper(
        gym.make(env_id), load_path=tmp_path / "vase.pt", training=False, device="cpu"
    )
    check_env(env, skip_render_check=True)
    sb3_check_env(env, warn=True, skip_render_check=True)


@checks_a_wrapped_environment
def test_an_untrained_frozen_wrapper_passes_the_checker() -> None:
    check_env(
        VASEObservationWrapper(
            gym.make("vase_rl/SpriteReach-v0"), training=False, seed=0, device="cpu"
        ),
        skip_render_check=True,
    )


def test_the_spec_makes_the_wrapped_environment_again() -> None:
    env = VASEObservationWrapper(
        gym.make("vase_rl/SpriteReach-v0"), config="compact", seed=4, device="cpu"
    )
    assert env.spec is not None
    again = gym.make(env.spec)
    np.testing.assert_array_equal(env.reset(seed=1)[0], again.reset(seed=1)[0])


def test_the_image_may_not_change_in_mid_stream() -> None:
    env = Painted()
    stream = wrapped(env)
    stream.reset(seed=0)
    env.shape = (12, 24, 3)
    with pytest.raises(ValueError, match=r"must be uint8 \(24, 24, 3\).*got uint8 \(12, 24, 3\)"):
        stream.step(0)


def _area(source: int, target: int) -> np.ndarray:
    """(target, source): the share of each source pixel in each target pixel."""
    edges = np.linspace(0, source, target + 1)
    pixels = np.arange(source)
    upper = np.minimum(edges[1:, None], pixels + 1)
    lower = np.maximum(edges[:-1, None], pixels)
    return np.clip(upper - lower, 0, None) * target / source


def _linear(source: int, target: int) -> np.ndarray:
    """(target, source): interpolation between pixel centres, the border repeated."""
    centres = (np.arange(target) + 0.5) * source / target - 0.5
    return np.stack(
        [np.interp(centres, np.arange(source), unit) for unit in np.eye(source)], axis=1
    )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("height", "width"), [(200, 20), (20, 200), (200, 100), (20, 12), (32, 100), (32, 20), (32, 32)]
)
def test_each_axis_is_resized_by_its_own_rule(height: int, width: int, channels: int) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    rows = (_area if height >= 32 else _linear)(height, 32)
    columns = (_area if width >= 32 else _linear)(width, 32)
    resized = resize(image, 32)
    assert resized.dtype == np.uint8
    np.testing.assert_allclose(
        resized, np.einsum("ih,hwc,jw->ijc", rows, image, columns), rtol=0, atol=1.1
    )


BAD_ARGUMENTS = [
    (gym.make("CartPole-v1"), {}, ValueError, r"observation space must be a uint8 Box"),
    (Painted((3, 24, 24)), {}, ValueError, r"observation space must be a uint8 Box"),
    (Painted(), {"pixels_key": "camera"}, ValueError, r"pixels_key must be None.*'camera'"),
    (Painted(key="a"), {"pixels_key": "speed"}, ValueError, r"one of \['a'\], got 'speed'"),
    (Painted(), {"config": "small"}, ValueError, r"preset must be one of .*got 'small'"),
    (Painted(), {"config": 3}, TypeError, r"config must be the name of a preset.*got 3"),
    (Painted(), {"warmup_frames": 0}, ValueError, r"warmup_frames must be a positive.*got 0"),
    (Painted(), {"frames_per_update": 0.5}, ValueError, r"frames_per_update must be.*got 0.5"),
    (Painted(), {"device": "abacus"}, ValueError, r"device must be .*'abacus'"),
    (Painted(), {"load_path": "nowhere.pt"}, FileNotFoundError, r"nowhere\.pt"),
]


@pytest.mark.parametrize(("env", "kwargs", "exception", "message"), BAD_ARGUMENTS)
def test_bad_arguments_are_named(
    env: gym.Env[Any, Any], kwargs: dict[str, Any], exception: type[Exception], message: str
) -> None:
    with pytest.raises(exception, match=message):
        wrapped(env, **kwargs)


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path: Any) -> None:
    VASE(TINY, seed=0, device="cpu").save(tmp_path / "vase.pt")
    other = VASEConfig.from_dict({**TINY.to_dict(), "latents": 8})
    with pytest.raises(CheckpointError, match=r"latents is 6 there and 8 here"):
        wrapped(Painted(), config=other, load_path=tmp_path / "vase.pt")


def test_blocks_of_several_environments_keep_each_ones_order() -> None:
    stream = FrameStream(VASE(TINY, seed=0, device="cpu"), StreamConfig(warmup_frames=10**6))
    for step in range(3):
        stream.observe(
            np.stack([np.full((16, 16, 1), 10 * e + step, dtype=np.uint8) for e in range(2)])
        )
    assert stream._block()[:, 0, 0, 0].tolist() == [0, 1, 2, 10, 11, 12]


def test_a_loaded_learner_goes_on_learning(tmp_path: Any) -> None:
    first = wrapped(Painted())
    run(first, 100)
    first.save(tmp_path / "vase.pt")
    again = wrapped(Painted(), load_path=tmp_path / "vase.pt", config="compact")
    infos = run(again, 60)
    assert infos[0]["updates"] == first.vase.updates
    assert infos[-1]["updates"] > first.vase.updates
    assert not any(info["new_environment"] for info in infos)


# ---------------------------------------------------------------- worlds, as users see them


def stages(infos: list[dict[str, Any]], *keys: str) -> list[tuple[Any, ...]]:
    """What some entries were in turn."""
    values = [tuple(info[key] for key in keys) for info in infos]
    return [value for n, value in enumerate(values) if n == 0 or value != values[n - 1]]


AND_BACK = ((60, 400), (180, 500), (60, 10**6))


def test_a_new_world_is_a_candidate_first_and_a_known_one_is_recognised() -> None:
    infos = run(wrapped(Painted(worlds=AND_BACK), frames_per_update=64), 1000)
    assert stages(infos, "environment", "status") == [
        (0, "confirmed"),
        (1, "candidate"),
        (1, "confirmed"),
        (0, "recognised"),
    ]


def test_a_frozen_wrapper_recognises_only() -> None:
    trained = wrapped(Painted(worlds=AND_BACK), frames_per_update=64)
    run(trained, 500)
    assert trained.vase.status == "candidate"
    trained.training = False
    assert stages(run(trained, 40), "environment", "status") == [(1, "recognised")]


def test_the_name_of_a_world_is_shown_wherever_it_is_met() -> None:
    env = wrapped(Painted(worlds=AND_BACK), frames_per_update=64)
    infos = run(env, 100)
    env.vase.rename(0, "dusk")
    infos += [env.step(0)[4]["vase"] for _ in range(900)]
    assert stages(infos, "environment", "name") == [(0, ""), (0, "dusk"), (1, ""), (0, "dusk")]


@pytest.mark.parametrize("training", [True, False])
def test_a_forbidden_world_is_shown_as_such(training: bool) -> None:
    env = wrapped(Painted(worlds=AND_BACK), frames_per_update=64)
    run(env, 700)
    env.vase.forbid(1)
    env.training = training
    assert stages(run(env, 400), "environment", "forbidden") == [(1, True), (0, False)]


def steps_and_updates(env: VASEObservationWrapper, frames: int) -> tuple[list[int], list[int]]:
    """Environment and training steps after each further frame."""
    infos = [env.step(0)[4]["vase"] for _ in range(frames)]
    return [info["environment"] for info in infos], [info["updates"] for info in infos]


def test_a_forbidden_world_is_recognised_and_never_learnt_from() -> None:
    env = wrapped(Painted(worlds=((60, 400), (180, 1600), (60, 400), (180, 10**6))))
    run(env, 800)
    env.vase.forbid(1)
    before = env.vase.updates
    environments, updates = steps_and_updates(env, 1100)
    assert set(environments) == {1}
    assert set(updates) == {before}
    _, updates = steps_and_updates(env, 500)
    assert env.vase.environment == 0
    assert updates[-1] - before > 300 / 8, "it goes on at once where it may"
    env.step(0)
    environments, updates = steps_and_updates(env, 200)
    assert environments[-100:] == [1] * 100
    assert len(set(updates[-100:])) == 1
    env.vase.forbid(1, False)
    assert steps_and_updates(env, 100)[1][-1] > updates[-1]


def test_frames_seen_while_forbidden_are_not_practised_on_later() -> None:
    env = wrapped(Painted((16, 16, 1)), frames_per_update=64)
    run(env, 400)
    env.vase.forbid(0)
    kept = len(env.stream._window)
    steps_and_updates(env, 200)
    assert len(env.stream._window) == kept


def test_a_listener_may_merge_the_world_that_was_just_confirmed() -> None:
    env = wrapped(Painted(worlds=AND_BACK), frames_per_update=64)
    heard = []

    def merge(vase: VASE, report: UpdateReport) -> None:
        heard.append((report.environment, report.status))
        if (report.environment, report.status) == (1, "confirmed"):
            vase.merge(1, 0)

    env.vase.on_change = merge
    infos = run(env, 1400)
    assert heard == [(0, "confirmed"), (1, "candidate"), (1, "confirmed")]
    assert [environment for (environment,) in stages(infos, "environment")] == [0, 1, 0]
    assert env.vase.registry.opened == [0, 0]
    assert infos[-1]["updates"] > infos[-100]["updates"]


def test_after_a_merge_observations_are_those_of_the_world_that_stays_at_once() -> None:
    """The index of the world that is given up stays empty, for a third has the next one."""
    worlds = ((60, 400), (180, 400), (110, 400), (180, 10**6))
    env = wrapped(Painted(worlds=worlds), append_environment=True, frames_per_update=64)

    def merge(vase: VASE, report: UpdateReport) -> None:
        if (report.environment, report.status) == (1, "recognised"):
            vase.merge(1, 0)
            vase.rename(0, "all")

    env.vase.on_change = merge
    run(env, 1200)
    assert [e.index for e in env.vase.registry.known] == [0, 1, 2]
    while True:
        observation, *_, info = env.step(0)
        if info["vase"]["shift"]:
            break
    assert (info["vase"]["environment"], info["vase"]["name"]) == (0, "all")
    np.testing.assert_array_equal(observation[6:], np.eye(TINY.max_environments)[0])
    assert [e.index for e in env.vase.registry.known] == [0, 2]


# ---------------------------------------------------------------- quarantine


def held_frames(env: VASEObservationWrapper) -> set[int]:
    return {20 * round(float(frame.mean()) / 20) for frame in env.stream._window}


def test_frames_in_quarantine_never_join_another_world() -> None:
    """Two strangers too brief to be confirmed, then one that stays: only its frames are kept."""
    worlds = ((60, 304), (140, 16), (60, 96), (100, 16), (60, 96), (200, 10**6))
    env = wrapped(Painted((16, 16, 1), worlds=worlds), frames_per_update=10**6)
    run(env, 304 + 224)
    assert held_frames(env) == {60}
    run(env, 100)
    assert len(env.vase.environments) == 2
    assert held_frames(env) == {200}


def test_the_block_that_straddles_a_switch_joins_no_world() -> None:
    worlds = ((60, 312), (200, 10**6))
    env = wrapped(Painted((16, 16, 1), worlds=worlds), frames_per_update=10**6)
    shift = next(n for n, info in enumerate(run(env, 450)) if info["shift"])
    assert shift == 312 + 8 + 16 - 1
    assert held_frames(env) == {200}
    assert len(env.stream._window) == 450 // 16 * 16 - 320


@pytest.mark.parametrize(
    ("held", "blocks", "last", "joining"),
    [
        (1, 2, 16, []),
        (3, 4, 16, [1, 2]),
        (3, 2, 16, []),
        (4, 3, 16, [3]),
        (4, 9, 16, [0, 1, 2, 3]),
        (3, 4, 40, []),
        (3, 6, 32, [2]),
        (2, 4, 32, []),
        (0, 0, 16, []),
    ],
)
def test_held_blocks_join_the_world_that_they_spoke_for(
    held: int, blocks: int, last: int, joining: list[int]
) -> None:
    """But for the first of them, and as many as the learner's blocks, of which one held may be
    several."""
    stream = FrameStream(VASE(TINY, seed=0, device="cpu"))
    stream._held.extend(np.full(last, number) for number in range(held))
    found = stream._pure(blocks, np.zeros(last))
    assert [int(block[0]) for block in found] == joining


@pytest.mark.filterwarnings("ignore:all 2 environments")
def test_a_world_too_many_is_not_learnt_from() -> None:
    config = VASEConfig.from_dict({**TINY.to_dict(), "max_environments": 2})
    worlds = ((60, 304), (200, 304), (130, 304), (60, 10**6))
    env = wrapped(Painted((16, 16, 1), worlds=worlds), config=config)
    infos = run(env, 304 * 3)
    assert len(env.vase.environments) == 2
    assert infos[304 * 2 + 64]["updates"] == infos[-1]["updates"]
    assert len(env.stream._held) <= LONG_PERSISTENCE
    for _ in range(100):
        info = env.step(0)[4]["vase"]
    assert info["environment"] == 0
    assert held_frames(env) == {60}


def test_frames_of_an_agent_open_a_new_world_only_when_it_changes() -> None:
    """Neighbouring frames resemble each other, and a sprite stays for an episode."""
    env = VASEObservationWrapper(
        gym.make("vase_rl/SpriteReach-v0"), seed=1, frames_per_update=10**6, device="cpu"
    )
    rng = np.random.default_rng(1)
    env.reset(seed=1)
    opened = []
    for frame in range(5000):
        _, _, terminated, truncated, info = env.step(rng.uniform(-1, 1, 2).astype(np.float32))
        if info["vase"]["new_environment"]:
            opened.append(frame)
        if terminated or truncated:
            env.reset(options={"family": "glyphs" if frame > 3000 else "garments"})
    assert len(opened) == 2
    assert opened[0] < 256
    assert opened[1] > 3000


@pytest.mark.parametrize(
    ("environments", "expected"),
    [
        # (steps so far, frames compared) of every question, with blocks of 16 frames.
        (1, [(1, 1), (2, 2), (4, 2), (8, 4), (16, 8), (48, 8)]),
        (3, [(1, 3), (2, 6), (4, 6), (8, 9), (40, 9)]),
        (20, [(1, 20), (33, 20)]),
    ],
)
def test_a_frozen_stream_asks_for_its_world_now_and_then(
    environments: int, expected: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    vase = VASE(TINY, seed=0, device="cpu")
    shape = (TINY.image_size, TINY.image_size, TINY.channels)
    vase.update(rng.integers(0, 256, (TINY.block_frames, *shape), dtype=np.uint8))
    stream = FrameStream(vase, training=False)
    asked: list[tuple[int, int]] = []
    for step in range(1, 65):
        monkeypatch.setattr(vase, "recognise", lambda f, s=step: asked.append((s, len(f))) or 0)
        stream.observe(rng.integers(0, 256, (environments, *shape), dtype=np.uint8))
    assert asked == expected


@pytest.mark.parametrize("phase", range(4))
def test_what_blinks_is_compared_in_both_its_states(
    phase: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    vase = VASE(TINY, seed=0, device="cpu")
    shape = (TINY.image_size, TINY.image_size, TINY.channels)
    vase.update(np.zeros((TINY.block_frames, *shape), np.uint8))
    stream = FrameStream(vase, training=False)
    compared: list[np.ndarray] = []
    monkeypatch.setattr(vase, "recognise", lambda frames: compared.append(frames) or 0)
    for step in range(phase, phase + 4 * TINY.block_frames):
        stream.observe(np.full((1, *shape), step % 2, np.uint8))
    assert compared[-1].mean() == 0.5


@pytest.mark.parametrize("size", [16, 24, 40])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(24, 24), (24, 24, 1), (24, 24, 3), (24, 24, 4), (40, 24, 3)])
def test_several_images_are_read_as_each_by_itself(
    shape: tuple[int, ...], channels: int, size: int
) -> None:
    reader = PixelReader(spaces.Box(0, 255, shape, np.uint8))
    images = np.random.default_rng(0).integers(0, 256, (3, *shape), dtype=np.uint8)
    frames = reader.read_all(images, 3, size, channels)
    np.testing.assert_array_equal(frames, [reader.read(i, size, channels) for i in images])
    assert not np.shares_memory(frames, images)
    assert frames.flags.c_contiguous
