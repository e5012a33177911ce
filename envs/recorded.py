"""`vase_rl/RecordedTrajectory-v0`: recorded episodes, shown again as an environment."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.error import ResetNeeded

from .canvas import Images, show
from .stream import check_render_mode
from .trajectories.episode import Episode
from .trajectories.preparation import prepare
from .trajectories.reader import TrajectoryError
from .trajectories.recording import RecordedTrajectories


class RecordedTrajectory(gymnasium.Env[Images, np.int64]):
    """Replays a recording: one frame per step, one recorded episode per episode.

    Observation: uint8 (H, W, C) as recorded, C 1 or 3 (RGB), or (size, size, C) with `size`.
    Action: `Discrete(1)`, ignored. Reward: the recorded one, 0 where there is none. With its last
    frame an episode is terminated if the recording says so, and truncated if it says no or
    nothing. One of a single frame shows it twice. A last frame that shows no world is shown as it
    was recorded; the wrappers learn nothing from it. With `skip_bad`, one ends before its first
    damaged frame, earlier where frames are read several at a time.

    `reset` shows the next episode: in the recorded order, or with `shuffle` in one that its seed
    decides. Given a seed, it starts with the first again. `reset(options={"episode": i})` shows
    episode i, and the order goes on behind it.

    `info`: `recorded_episode` and `recorded_frame`, both 0-based; after a step also
    `recorded_action`, where actions were recorded: as `reward` does, it belongs between the
    previous frame and this one.

    The environments of a vector all show the same episodes unless `shuffle` is on.

    Args:
        path, format, pixels_key, skip_bad: as in `RecordedTrajectories`.
        size, crop, channels: as in `prepare`; without `size`, frames stay as they were recorded.
        shuffle: show the episodes in random order, each of them once before any comes again.
        loop: start over after the last episode; if False, `reset` raises `EOFError` instead.
        render_mode: None or `"rgb_array"`, an enlarged frame.

    Raises:
        ValueError: an argument breaks its rule, or a frame has another shape than the first one.
        TrajectoryError: (a ValueError) the recording is missing or damaged.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012

    def __init__(
        self,
        path: str | Path,
        *,
        format: str | None = None,
        pixels_key: str | None = None,
        skip_bad: bool = False,
        size: int | None = None,
        crop: str = "paper",
        channels: int | None = None,
        shuffle: bool = False,
        loop: bool = True,
        render_mode: str | None = None,
    ) -> None:
        self.render_mode = check_render_mode(render_mode)
        if size is None and (crop, channels) != ("paper", None):
            raise ValueError(f"crop and channels must come with size, got crop={crop!r}, "
                             f"channels={channels!r} and no size")  # fmt: skip
        self.size, self.crop, self.channels = size, crop, channels
        self.recording = RecordedTrajectories(
            path, format=format, pixels_key=pixels_key, skip_bad=skip_bad
        )
        shape = self._prepare(np.zeros((1, *self.recording.shape), np.uint8)).shape[1:]
        self.observation_space = spaces.Box(0, 255, shape, np.uint8)
        self.action_space = spaces.Discrete(1)
        self._order = _Order(self.recording, shuffle, loop)
        self._replay: _Replay | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Images, dict[str, Any]]:
        """Shows the first frame of the next episode; `options` may hold `episode`.

        Raises:
            ValueError: there is no such option or episode.
            EOFError: all episodes have been shown, and `loop` is False.
            TrajectoryError: the episode is damaged; with `skip_bad`, it was asked for, or all are.
        """
        super().reset(seed=seed)
        wanted = self._wanted(options or {})
        if seed is not None:
            self._order.restart()
        if wanted is not None:
            self._order.go_to(wanted, self.np_random)
            self._replay = self._start(wanted)
        else:
            self._replay = self._start_next()
        return self._observe(self._replay)

    def step(self, action: np.int64) -> tuple[Images, float, bool, bool, dict[str, Any]]:
        """Shows the next frame, whatever the action."""
        replay = self._replay
        if replay is None or replay.is_over():
            raise ResetNeeded("RecordedTrajectory has shown its last frame (or none): call reset()")
        taken = replay.advance()
        rewards, actions = replay.steps.rewards, replay.steps.actions
        reward = 0.0 if rewards is None or taken >= len(rewards) else float(rewards[taken])
        over, terminated = replay.is_over(), replay.is_terminated()
        observation, info = self._observe(replay)
        if actions is not None and taken < len(actions):
            info["recorded_action"] = _own(actions[taken])
        return observation, reward, terminated, over and not terminated, info

    def render(self) -> Images | None:
        """The frame as an RGB picture, its shorter side at least 256 pixels."""
        if self.render_mode is None or self._replay is None:
            return None
        return show(self._replay.frame)

    def close(self) -> None:
        """Closes the recording's files."""
        self.recording.close()

    def _wanted(self, options: dict[str, Any]) -> int | None:
        unknown = sorted(set(options) - {"episode"})
        if unknown:
            raise ValueError(f"options of reset must be among episode, got {unknown}")
        if "episode" not in options:
            return None
        try:
            number = operator.index(options["episode"])
            if number >= 0:
                _ = self.recording[number]
                return number
        except (TypeError, IndexError):
            pass
        raise ValueError(f"episode must be an integer in [0, {len(self.recording)}), "
                         f"got {options['episode']!r}")  # fmt: skip

    def _start(self, number: int) -> _Replay:
        return _Replay(self.recording[number], number, self._frames)

    def _start_next(self) -> _Replay:
        """The next episode; with `skip_bad`, the next of which at least a frame can be read."""
        tried: set[int] = set()
        while True:
            number = self._order.next(self.np_random)
            try:
                return self._start(number)
            except TrajectoryError:
                if not self.recording.skip_bad or number in tried:
                    raise
                tried.add(number)

    def _frames(self, episode: Episode) -> Iterator[Images]:
        shape = self.observation_space.shape
        for piece in episode.chunks():
            ready = self._prepare(piece)
            if ready.shape[1:] != shape:
                raise ValueError(
                    f"frames must have the shape {shape} of the recording's first one (see size "
                    f"and channels), got {ready.shape[1:]} in episode {episode.number} of "
                    f"{episode.path}"
                )
            yield from ready

    def _prepare(self, frames: Images) -> Images:
        if self.size is None:
            return frames
        return prepare(frames, self.size, crop=self.crop, channels=self.channels)

    def _observe(self, replay: _Replay) -> tuple[Images, dict[str, Any]]:
        info = {"recorded_episode": replay.number, "recorded_frame": replay.place}
        return replay.frame.copy(), info


class _Replay:
    """One episode while it is shown.

    Attributes:
        number: its place in the recording.
        steps: what was recorded beside its frames.
        frame, place: the present frame and its 0-based number.
    """

    def __init__(
        self, episode: Episode, number: int, frames: Callable[[Episode], Iterator[Images]]
    ) -> None:
        self.number, self.steps, self._length = number, episode.steps(), len(episode)
        self._frames, self._taken = frames(episode), 0
        first = next(self._frames, None)
        if first is None:
            reason = "has no frame that can be read"
            raise TrajectoryError(episode.path, reason, episode=episode.number)
        self.frame, self.place = first, 0
        self._following = next(self._frames, None)

    def advance(self) -> int:
        """Takes a step and says which one, 0-based."""
        if self._following is not None:
            self.frame, self.place = self._following, self.place + 1
            self._following = next(self._frames, None)
        self._taken += 1
        return self._taken - 1

    def is_over(self) -> bool:
        """Whether the last frame is shown, and a step has been taken."""
        return self._following is None and self._taken > 0

    def is_terminated(self) -> bool:
        """Whether it is over as recorded; one that damage cut short is not."""
        whole = self.place == self._length - 1
        return self.is_over() and whole and self.steps.terminated is True


class _Order:
    """Which episode comes next. Only a shuffled order needs to know how many there are."""

    def __init__(self, recording: RecordedTrajectories, shuffle: bool, loop: bool) -> None:
        self._recording, self._shuffle, self._loop = recording, shuffle, loop
        self.restart()

    def restart(self) -> None:
        self._numbers: npt.NDArray[np.int64] | None = None
        self._place = 0

    def next(self, rng: np.random.Generator) -> int:
        if self._place and self._is_over():
            if not self._loop:
                raise EOFError(f"all episodes of {self._recording.path} have been shown")
            self.restart()
        number = int(self._drawn(rng)[self._place]) if self._shuffle else self._place
        self._place += 1
        return number

    def go_to(self, number: int, rng: np.random.Generator) -> None:
        """The order goes on behind this episode."""
        here = np.flatnonzero(self._drawn(rng) == number)[0] if self._shuffle else number
        self._place = int(here) + 1

    def _drawn(self, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        if self._numbers is None:
            self._numbers = rng.permutation(len(self._recording))
        return self._numbers

    def _is_over(self) -> bool:
        if self._numbers is not None:
            return self._place == len(self._numbers)
        try:
            _ = self._recording[self._place]
        except IndexError:
            return True
        return False


def _own(action: Any) -> Any:
    """A Python scalar, or an array that nobody else holds."""
    array = np.array(action)
    return array if array.ndim else array.item()
