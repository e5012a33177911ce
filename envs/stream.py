"""`vase_rl/SpriteStream-v0`: a passive stream of frames whose source changes on a schedule."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded

from .batch import Batch, Source
from .canvas import Images, check_size, show
from .names import Segment, parse_sequence
from .sources import make_source
from .trajectories.preparation import prepare

CHUNK = 64
"""Frames drawn at once: a whole batch costs little more than one frame."""
NUMBERS = {"class": "class", "episode": "source_episode", "step": "source_step"}
"""Whole numbers of a frame that `info` tells, and how: Gymnasium's own `episode` is another."""


class SpriteStream(gymnasium.Env[Images, np.int64]):
    """Shows the sources of a sequence one after the other, one frame per step.

    Observation: uint8 (size, size, C), grey (C = 1) unless a source is coloured. Action:
    `Discrete(1)`, ignored. Reward: always 0.
    The episode is truncated with the sequence's last frame, so that `reset` and the steps after
    it show exactly as many frames as the sequence names.

    `info` describes the frame beside it, and nothing of it is in the observation: `source` (its
    name), `source_index` (0-based number of the source, in order of first appearance; a source
    that returns keeps its number), `segment` (0-based place in the sequence). Sprites add `class`
    and `position` (float32 (2,), x and y in [0, 1] of the sprite's range); worlds and recordings
    (`env:ID`, `trajectory:PATH`) add `source_episode` and `source_step`, 0-based, and go on where
    they stopped when their turn comes again.

    Args:
        sequence: sources joined by commas, each with an optional `:N` frames.
        frames: number of frames of a source without `:N`.
        size, data_dir, motion, seed, split, skip_bad: as in `make_source`; `seed` decides which
            sprites are drawn, the seed of `reset` in what order and where they are shown, and
            how worlds are seeded and played.
        channels: 1 for grey, 3 for RGB; None: 3 if a source is coloured, and 1 otherwise.
        render_mode: None or `"rgb_array"`, an enlarged frame.

    Raises:
        ValueError: an argument breaks its rule, or the sequence has fewer than two frames.
        DataError: (a ValueError) the data files of a source are missing or damaged.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012

    def __init__(
        self,
        sequence: str = "moving-garments,glyphs,moving-glyphs",
        *,
        frames: int = 1000,
        size: int = 64,
        data_dir: str | Path | None = None,
        motion: str = "independent",
        seed: int = 0,
        split: str = "train",
        skip_bad: bool = False,
        channels: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        if channels not in (None, 1, 3):
            raise ValueError(f"channels must be None, 1 or 3, got {channels!r}")
        self.segments: list[Segment] = parse_sequence(sequence, frames)
        self.total_frames = sum(segment.frames for segment in self.segments)
        if self.total_frames < 2:
            raise ValueError(f"sequence must have at least 2 frames in all, got {sequence!r}")
        self.render_mode = check_render_mode(render_mode)
        names = list(dict.fromkeys(segment.source for segment in self.segments))
        self._sources: dict[str, Source] = {
            name: make_source(
                name, size=size, seed=seed, data_dir=data_dir, motion=motion, split=split,
                skip_bad=skip_bad,
            )
            for name in names
        }  # fmt: skip
        self._numbers = {name: number for number, name in enumerate(names)}
        self.channels = channels or max(source.channels for source in self._sources.values())
        shape = (check_size(size), check_size(size), self.channels)
        self.observation_space = spaces.Box(0, 255, shape, np.uint8)
        self.action_space = spaces.Discrete(1)
        self._batch: Batch | None = None

    @property
    def skipped(self) -> list[str]:
        """Damaged images that others stood in for (`skip_bad`), one line each."""
        return [line for source in self._sources.values() for line in source.skipped]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Images, dict[str, Any]]:
        """Starts the sequence again, with new frames unless `seed` is given again."""
        super().reset(seed=seed)
        if options:
            raise ValueError(f"options of reset must be empty for SpriteStream, got {options!r}")
        for source in self._sources.values():
            source.reset(self.np_random)
        self._segment = self._shown = 0
        self._left = self.total_frames
        self._draw()
        return self._observe()

    def step(self, action: np.int64) -> tuple[Images, float, bool, bool, dict[str, Any]]:
        """Shows the next frame, whatever the action."""
        if self._batch is None or self._left == 1:
            raise ResetNeeded("SpriteStream has shown its last frame (or none): call reset()")
        self._left -= 1
        self._shown += 1
        if self._shown == self.segments[self._segment].frames:
            self._segment, self._shown = self._segment + 1, 0
            self._draw()
        elif self._shown % CHUNK == 0:
            self._draw()
        observation, info = self._observe()
        return observation, 0.0, False, self._left == 1, info

    def render(self) -> Images | None:
        """The frame as an RGB picture of about 256 pixels square."""
        if self.render_mode is None or self._batch is None:
            return None
        return show(self._batch.frames[self._shown % CHUNK])

    def close(self) -> None:
        """Closes the worlds and recordings behind the sources."""
        for source in self._sources.values():
            source.close()

    def _draw(self) -> None:
        segment = self.segments[self._segment]
        count = min(CHUNK, segment.frames - self._shown)
        batch = self._sources[segment.source].sample(count)
        frames = prepare(batch.frames, batch.frames.shape[1], channels=self.channels)
        self._batch = replace(batch, frames=frames)

    def _observe(self) -> tuple[Images, dict[str, Any]]:
        assert self._batch is not None
        source, place = self.segments[self._segment].source, self._shown % CHUNK
        factors = self._batch.factors
        info = {
            "source": source,
            "source_index": self._numbers[source],
            "segment": self._segment,
            **{name: int(factors[key][place]) for key, name in NUMBERS.items() if key in factors},
        }
        if "position" in factors:
            info["position"] = factors["position"][place].copy()
        return self._batch.frames[place].copy(), info


def check_render_mode(render_mode: str | None) -> str | None:
    """Returns the mode, or raises ValueError where there is no such mode."""
    if render_mode not in (None, "rgb_array"):
        raise ValueError(f"render_mode must be None or 'rgb_array', got {render_mode!r}")
    return render_mode
