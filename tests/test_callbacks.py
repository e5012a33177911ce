"""What watches and keeps a training run: figures, checkpoints, evaluation."""

from __future__ import annotations

import gc
import io
import pickle
import re
import sys
import weakref
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from counting import OPTIONS, TINY, Counter, Memory, open_environment, venv
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import Figure as LoggedFigure
from stable_baselines3.common.logger import KVWriter, Logger, configure
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vase_rl import VASE
from vase_rl.agents import (
    Bundle,
    BundleError,
    FrameReplayBuffer,
    LogFigures,
    LogLearner,
    RefreshView,
    SaveCheckpoints,
    train_ppo,
)
from vase_rl.agents.figures import VALUES, Moment, masks, switches, traversals
from vase_rl.experiments.cli import main
from vase_rl.wrappers import VASEVecEnvWrapper

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
EXAMPLE = next(
    code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "EvalCallback" in code
)
TAGS = {"vase/traversals", "vase/masks", "vase/switches"}


class Endless(Counter):
    """Counts to 255 and then from 0 again."""

    def _observe(self) -> np.ndarray:
        image = super()._observe()
        self.number %= 256
        return image


class Changing(Endless):
    """Dark noise, and from frame 100 on bright noise."""

    seen = 0

    def _observe(self) -> np.ndarray:
        self.seen += 1
        image = super()._observe()
        return image // 2 + 120 if self.seen > 100 else image


class Paid(Endless):
    """Pays a little more, or less, with every step that it was ever asked for."""

    raise_by = 1.0
    taken = 0

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        frame, _, terminated, truncated, info = super().step(action)
        self.taken += 1
        return frame, self.raise_by * self.taken, terminated, truncated, info


class Docked(Paid):
    raise_by = -1.0


def monitored(count: int, env: type[gym.Env[Any, Any]] = Endless, **options: Any) -> Any:
    return VASEVecEnvWrapper(make_vec_env(env, count), TINY, **{**OPTIONS, **options})


def ppo(env: Any, **options: Any) -> PPO:
    return PPO(
        "MlpPolicy", env, n_steps=32, batch_size=32, n_epochs=2, seed=0, device="cpu", **options
    )


def scenes(environments: int = 3) -> VASE:
    """A learner of several environments: 0 and 3 are used in the first, masked in the second."""
    env = venv(1)
    env.reset()
    for _ in range(40):
        env.step(np.zeros(1, dtype=np.int64))
    vase = env.vase
    first = vase.environments[0]
    for _ in range(environments - 1):
        open_environment(vase, first.latent_mask.clone())
    for known in vase.environments:
        known.used_latents = torch.arange(6) == 5
    first.used_latents = torch.tensor([True, False, False, True, False, False])
    vase.environments[1].latent_mask = ~first.used_latents
    return vase


FRAME = np.random.default_rng(0).integers(0, 255, (16, 16, 1), np.uint8)


# ---------------------------------------------------------------- figures


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> tuple[EventAccumulator, LogFigures]:
    """What TensorBoard reads of a run through two worlds."""
    folder = tmp_path_factory.mktemp("tensorboard")
    env = monitored(2, Changing)
    figures = LogFigures(env, every=128)
    agent = ppo(env, tensorboard_log=str(folder))
    agent.learn(384, callback=[LogLearner(env), figures])
    agent.logger.close()
    events = EventAccumulator(str(folder / "PPO_1"))
    return events.Reload(), figures


def test_tensorboard_reads_figures_and_scalars(logged: tuple[EventAccumulator, LogFigures]) -> None:
    events, _ = logged
    tags = events.Tags()
    assert set(tags["images"]) == TAGS
    assert {"vase/environment", "vase/shifts", "vase/latents_used"} <= set(tags["scalars"])
    assert [event.value for event in events.Scalars("vase/environments")][-1] == 2
    for tag in TAGS:
        assert [event.step for event in events.Images(tag)] == [128, 256, 384]


@pytest.mark.parametrize("tag", sorted(TAGS))
def test_figures_are_pictures_of_a_readable_size(
    logged: tuple[EventAccumulator, LogFigures], tag: str
) -> None:
    for event in logged[0].Images(tag):
        with Image.open(io.BytesIO(event.encoded_image_string)) as picture:
            assert picture.size == (event.width, event.height)
            shades = len(picture.convert("L").getcolors() or ())
        assert 400 <= event.width <= 1000
        assert 100 <= event.height <= 1000
        assert shades > 10


def test_moments_are_what_the_infos_said(logged: tuple[EventAccumulator, LogFigures]) -> None:
    start, first, second = logged[1].moments
    assert start == Moment(2, 0, False, False)
    assert first == Moment(30, 0, False, True)  # with the reset's, 32 frames of warm-up
    assert second[1:] == (1, True, True)
    assert second.frame > 100


def test_nothing_is_drawn_before_an_environment_is_known() -> None:
    env = venv(1, warmup_frames=80)
    agent, memory = ppo(env), Memory()
    agent.set_logger(Logger(None, [memory]))
    agent.learn(128, callback=LogFigures(env, every=32))
    drawn = [set(values) & TAGS for values in memory.written]
    assert drawn == [set(), set(), TAGS, TAGS]


def test_other_logs_than_tensorboards_go_on(tmp_path: Path) -> None:
    env = venv(1)
    agent = ppo(env)
    agent.set_logger(configure(str(tmp_path), ["stdout", "log", "json", "csv"]))
    agent.learn(64, callback=LogFigures(env, every=32))
    agent.logger.close()
    assert "traversals" not in "".join(path.read_text() for path in tmp_path.iterdir())


def test_a_second_run_starts_its_own_history() -> None:
    env = venv(1)
    agent, figures = ppo(env), LogFigures(env, every=32)
    agent.learn(64, callback=figures)
    agent.learn(64, callback=figures, reset_num_timesteps=False)
    assert [moment.frame for moment in figures.moments] == [1, 31]
    agent.learn(64, callback=figures)
    assert [moment.frame for moment in figures.moments] == [1]


def test_figures_are_not_kept(tmp_path: Path) -> None:
    drawn: list[weakref.ref[Figure]] = []
    before = plt.get_fignums()

    class Watch(KVWriter):
        def write(self, key_values: dict[str, Any], key_excluded: Any, step: int = 0) -> None:
            found = [v.figure for v in key_values.values() if isinstance(v, LoggedFigure)]
            drawn.extend(weakref.ref(figure) for figure in found)

        def close(self) -> None:
            pass

    env = venv(1)
    agent = ppo(env)
    logger = configure(str(tmp_path), ["tensorboard"])
    logger.output_formats.append(Watch())
    agent.set_logger(logger)
    agent.learn(96, callback=LogFigures(env, every=32))
    logger.close()
    gc.collect()
    assert len(drawn) == 9
    assert [reference() for reference in drawn] == [None] * 9
    assert plt.get_fignums() == before


def texts(figure: Figure) -> list[str]:
    """All that is written, once drawn; no two labels overlap, and none leaves the figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    labels = [*figure.texts, *(t for legend in figure.legends for t in legend.texts)]
    for axes in figure.axes:
        labels += [axes.xaxis.label, axes.yaxis.label, axes.title]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
            labels += [tick.label1 for tick in ticks]
    written = [label for label in labels if label.get_text() and label.get_visible()]
    boxes = [label.get_window_extent(canvas.get_renderer()) for label in written]
    for (one, first), (other, second) in combinations(zip(written, boxes, strict=True), 2):
        assert not first.overlaps(second), (one.get_text(), other.get_text())
    width, height = canvas.get_width_height()
    for label, box in zip(written, boxes, strict=True):
        inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
        assert inside, label.get_text()
    return [label.get_text() for label in written]


def test_traversals_show_used_latents_and_mark_masked_ones() -> None:
    vase = scenes()
    rows = [text for text in texts(traversals(vase, 0, FRAME)) if text[0].isdigit()]
    assert {"0  used", "3  used", "5"} <= set(rows)
    rows = [text for text in texts(traversals(vase, 1, FRAME)) if text[0].isdigit()]
    assert {"0  masked", "3  masked", "5  used"} <= set(rows)
    for known in vase.environments:
        known.used_latents[:] = False
    assert {"0", "1", "2", "3", "4", "5"} <= set(texts(traversals(vase, 0, FRAME)))


def test_traversals_are_decoded_around_the_posterior_mean() -> None:
    vase = scenes()
    picture = traversals(vase, 0, FRAME).axes[1].images[0].get_array()
    code = vase.encode(FRAME[None])[0]
    code[0, 3] = VALUES[-1]
    expected = vase.decode(code, 0)[0]
    np.testing.assert_array_equal(picture[18:34, -16:, :1], expected)


def test_masked_latents_do_nothing_and_are_pale() -> None:
    vase = scenes()
    picture = np.asarray(traversals(vase, 1, FRAME).axes[1].images[0].get_array())
    cells = picture[:16].reshape(16, -1, 3)
    np.testing.assert_array_equal(cells[:, :16], cells[:, -16:])
    assert cells[:, :16].min() >= 191


def test_colour_frames_are_drawn() -> None:
    config = TINY.__class__.preset("compact", image_size=16, filters=(8,), hidden=16, channels=3)
    vase = VASE(config, seed=0, device="cpu")
    frames = np.random.default_rng(0).integers(0, 255, (64, 16, 16, 3), np.uint8)
    vase.update(frames)
    shown = traversals(vase, 0, frames[0]).axes[0].images[0].get_array()
    np.testing.assert_array_equal(shown[:16], frames[0])


def test_masks_tell_three_states_apart() -> None:
    vase = scenes()
    figure = masks(vase, 1)
    shown = texts(figure)
    assert {"0", "present: 1", "2", "masked", "unmasked", "used"} <= set(shown)
    states = figure.axes[0].images[0].get_array()
    assert states.tolist() == [[2, 1, 1, 2, 1, 1], [0, 1, 1, 0, 1, 2], [1, 1, 1, 1, 1, 2]]


def test_a_merged_environment_is_not_drawn() -> None:
    vase = scenes()
    vase.merge(1, 2)
    figure = masks(vase, 2)
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "present: 2"]
    assert [label.get_fontweight() for label in axes.get_yticklabels()] == ["normal", "bold"]
    assert axes.images[0].get_array().tolist() == [[2, 1, 1, 2, 1, 1], [1, 1, 1, 1, 1, 2]]


def test_many_environments_have_room() -> None:
    # `texts` also asserts that no two of them overlap, and that none leaves the figure.
    assert {*"012345", "present: 6"} <= set(texts(masks(scenes(7), 6)))
    moments = [Moment(100_000 * i, i, True, True) for i in range(1, 31)]
    shown = texts(switches(moments, 3_456_789))
    assert {"0", "28", "1,600,000"} <= set(shown)
    assert "1" not in shown


def test_switches_are_a_step_line_with_both_kinds_of_moments() -> None:
    moments = [
        Moment(2, 0, False, False), Moment(32, 0, False, True), Moment(110, 1, True, True),
        Moment(300, 0, True, False),
    ]  # fmt: skip
    figure = switches(moments, 400)
    assert {"new environment", "shift to a known one", "0", "1"} <= set(texts(figure))
    line, new, shifts = figure.axes[0].lines
    assert line.get_drawstyle() == "steps-post"
    assert np.asarray(line.get_xydata()).tolist() == [[2, 0], [32, 0], [110, 1], [300, 0], [400, 0]]
    assert np.asarray(new.get_xydata()).tolist() == [[32, 0], [110, 1]]
    assert np.asarray(shifts.get_xydata()).tolist() == [[300, 0]]


# ---------------------------------------------------------------- checkpoints


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    (tmp_path / "agent-1.zip").write_bytes(b"of an earlier run")
    env = monitored(1)
    agent = ppo(env)
    agent.learn(160, callback=SaveCheckpoints(env, tmp_path, every=48, keep=2, env_id="x"))
    assert names(tmp_path) == ["agent-1.zip", "agent-128.zip", "agent-64.zip"]
    assert Bundle.load(tmp_path / "agent-128.zip").card.frames == 128
    assert Bundle.load(tmp_path / "agent-128.zip").card.env_id == "x"
    agent.learn(96, callback=SaveCheckpoints(env, tmp_path, every=96), reset_num_timesteps=False)
    assert names(tmp_path)[1:] == ["agent-128.zip", "agent-256.zip", "agent-64.zip"]
    latents = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    saved = Bundle.load(tmp_path / "agent-256.zip")
    assert saved.encoder("cpu").updates == env.vase.updates
    assert len(saved.policy().predict(latents)[0]) == 20


def test_training_in_pieces_counts_on(tmp_path: Path) -> None:
    env = monitored(1)
    agent, callback = ppo(env), SaveCheckpoints(env, tmp_path, every=96)
    for piece in range(8):
        agent.learn(32, callback=callback, reset_num_timesteps=piece == 0)
    assert names(tmp_path) == ["agent-192.zip", "agent-96.zip"]


@pytest.mark.parametrize(("env", "frames"), [(Paid, 128), (Docked, 32), (Endless, 32)])
def test_the_best_is_kept_beside_them(tmp_path: Path, env: Any, frames: int) -> None:
    world = monitored(1, env)
    callback = SaveCheckpoints(world, tmp_path, every=32, keep=1, best=True)
    ppo(world).learn(128, callback=callback)
    assert names(tmp_path) == ["agent-128.zip", "best.zip"]
    assert Bundle.load(tmp_path / "best.zip").card.frames == frames


def test_what_cannot_be_saved_is_found_before_the_first_step(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    bare, watched = venv(1), monitored(1)
    other_policy = {"policy_kwargs": {"ortho_init": False}}
    table: list[tuple[Any, dict[str, Any], dict[str, Any], type[Exception], str]] = [
        (bare, other_policy, {}, BundleError, "policy_kwargs must be among"),
        (bare, {"learning_rate": lambda left: left}, {}, BundleError, "learning_rate must be"),
        (VecNormalize(bare), {}, {}, ValueError, "trains on, which is a VecNormalize"),
        (monitored(1), {}, {}, ValueError, "trains on, which is a VASEVecEnvWrapper"),
        (bare, {}, {"best": True}, ValueError, "best needs environments in a Monitor"),
        (bare, {}, {"folder": tmp_path / "file"}, OSError, "File exists"),
    ]
    for env, model, options, kind, message in table:
        callback = SaveCheckpoints(bare, **{"folder": tmp_path / "new", **options})
        agent = ppo(env, **model)
        with pytest.raises(kind, match=message):
            agent.learn(64, callback=callback)
        assert agent.num_timesteps == 0
    for env in (watched, VecMonitor(bare), VecNormalize(VecMonitor(bare), norm_obs=False)):
        inner = env if env is watched else bare
        ppo(env).learn(32, callback=SaveCheckpoints(inner, tmp_path / "new", best=True))


def test_bad_input() -> None:
    env = venv(1)
    table: list[tuple[Any, str]] = [
        (lambda: SaveCheckpoints(env, "x", every=0), "every must be a positive .*, got 0"),
        (lambda: SaveCheckpoints(env, "x", keep=0), "keep must be a positive integer, got 0"),
        (lambda: LogFigures(env, every=1.5), "every must be a positive .*, got 1.5"),  # type: ignore[arg-type]
        (lambda: env.evaluation(env.venv), "venv must hold other environments"),
        (lambda: env.evaluation(VecMonitor(env.venv)), "venv must hold other environments"),
    ]
    for call, message in table:
        with pytest.raises(ValueError, match=message):
            call()


# ---------------------------------------------------------------- evaluation


def final_state(agent: Any, env: VASEVecEnvWrapper, folder: Path) -> dict[str, Any]:
    """All that evaluation could have moved, by name."""
    file = io.BytesIO()
    torch.save(agent.policy.state_dict(), file)
    env.save(folder / "vase.pt")
    return {
        # Weights, optimizer, snapshot, environments and random state.
        "learner": (folder / "vase.pt").read_bytes(),
        "policy": file.getvalue(),
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": pickle.dumps(np.random.get_state()),  # noqa: NPY002
        "order of frames": str(env.stream._rng.bit_generator.state),
        "environment": (env.stream.environment, env.stream.reconstruction_loss),
        "observations": env.observer.latents(env.frames).tobytes(),
    }


class Probe(BaseCallback):
    """The learner's training steps at each evaluation."""

    def __init__(self, env: VASEVecEnvWrapper) -> None:
        super().__init__()
        self.env = env
        self.updates: list[int] = []

    def _on_step(self) -> bool:
        self.updates.append(self.env.vase.updates)
        return True


@pytest.mark.parametrize("view", ["live", "held"])
def test_evaluation_leaves_ppo_and_its_learner_as_they_were(tmp_path: Path, view: str) -> None:
    states = []
    for evaluated in (False, True):
        env = monitored(2, Changing, view=view)
        test = env.evaluation(make_vec_env(Changing, 3))
        agent, probe = ppo(env), Probe(env)
        callbacks: list[BaseCallback] = [RefreshView(env)] if view == "held" else []
        if evaluated:
            found = EvalCallback(
                test, callback_after_eval=probe, eval_freq=40, verbose=0,
                log_path=str(tmp_path), best_model_save_path=str(tmp_path),
            )  # fmt: skip
            callbacks.append(found)
        agent.learn(320, callback=callbacks)
        states.append(final_state(agent, env, tmp_path))
    assert states[0] == states[1]
    assert len(found.evaluations_results) == len(probe.updates) == 4
    assert found.last_mean_reward == 5.0
    assert probe.updates == sorted(set(probe.updates))
    assert len(env.vase.environments) == 2


def test_evaluation_leaves_an_off_policy_agent_as_it_was(tmp_path: Path) -> None:
    states = []
    for evaluated in (False, True):
        env = monitored(1)
        test = env.evaluation(make_vec_env(Endless, 1))
        agent = DQN(
            "MlpPolicy", env, replay_buffer_class=FrameReplayBuffer, seed=0, device="cpu",
            replay_buffer_kwargs={"venv": env}, buffer_size=200, learning_starts=20, batch_size=16,
        )  # fmt: skip
        callback = EvalCallback(test, eval_freq=16, verbose=0, best_model_save_path=str(tmp_path))
        agent.learn(80, callback=callback if evaluated else None)
        states.append(final_state(agent, env, tmp_path))
    assert states[0] == states[1]


def test_evaluation_sees_what_is_being_learnt() -> None:
    env = monitored(2, view="held")
    test = env.evaluation(make_vec_env(Endless, 2))
    ppo(env).learn(256, callback=[RefreshView(env)])
    assert not test.training
    np.testing.assert_array_equal(
        test.observer.latents(env.frames), env.observer.latents(env.frames)
    )


def test_normalised_latents_are_evaluated_with_the_same_statistics() -> None:
    env = monitored(2)
    outer = VecNormalize(env)
    test = VecNormalize(env.evaluation(make_vec_env(Endless, 1)), training=False, norm_reward=False)
    agent = ppo(outer)
    agent.learn(64, callback=EvalCallback(test, eval_freq=16, verbose=0))
    np.testing.assert_array_equal(test.obs_rms.mean, outer.obs_rms.mean)


# ---------------------------------------------------------------- as a user types it


def test_the_readmes_example(tmp_path: Path) -> None:
    code = EXAMPLE.replace("runs/", f"{tmp_path}/").replace("20_000", "256")
    code = code.replace("venv, tensorboard_log", "venv, n_steps=16, tensorboard_log")
    code = code.replace("every=10_000, keep", "every=128, keep")
    code = code.replace("2_000", "16").replace("10_000", "256")
    names_in_code: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names_in_code)
    names_in_code["agent"].logger.close()
    assert names(tmp_path / "checkpoints") == ["agent-128.zip", "agent-256.zip", "best.zip"]
    events = EventAccumulator(str(tmp_path / "tensorboard" / "PPO_1")).Reload()
    assert set(events.Tags()["images"]) == TAGS
    assert "eval/mean_reward" in events.Tags()["scalars"]


@pytest.fixture
def env_id() -> Any:
    gym.register("callbacks_test/Counter-v0", Endless)
    yield "callbacks_test/Counter-v0"
    del gym.registry["callbacks_test/Counter-v0"]


def test_train_ppo_logs(tmp_path: Path, env_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vase_rl.agents.train.LogFigures", partial(LogFigures, every=512))
    train_ppo(env_id, config=TINY, frames=512, device="cpu", tensorboard=tmp_path)
    events = EventAccumulator(str(tmp_path / "PPO_1")).Reload()
    assert {"vase/environment", "vase/drift", "rollout/ep_rew_mean"} <= set(
        events.Tags()["scalars"]
    )
    assert set(events.Tags()["images"]) == TAGS


def test_the_command_needs_tensorboard(
    tmp_path: Path, env_id: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    arguments = ["train", "--env", env_id, "--out", str(tmp_path), "--tensorboard", str(tmp_path)]
    assert main(arguments) == 2
    assert 'pip install "vase_rl[tensorboard]"' in capsys.readouterr().err
