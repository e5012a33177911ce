"""RL Unplugged's DeepMind Lab recordings (Gulcehre et al. 2021), as they are published."""

from __future__ import annotations

from pathlib import Path

from .records import ExampleReader, Layout, shards_of

# OpenCV encoded RGB as if it were BGR.
LAYOUT = Layout(
    pixels="observations_pixels",
    swapped=True,
    actions="actions",
    rewards="rewards",
    needed=("actions", "rewards"),
)


class DMLabReader(ExampleReader):
    """GZIP TFRecords of one `tf.Example` per episode, 72×96×3 there, any size here.

    Frames have red and blue the right way round. `Steps.extra` has, by their own names,
    `observations_reward` (T,), `observations_action` (T, 15; one-hot, the action before),
    `discounted_rewards`, `discounts`, and `episode_id`, `start_idx`, `episode_return` (1,). Nothing
    says whether an episode terminated.

    Args:
        path: a shard, or a folder of shards `tfrecord-00000-of-00500`, read in natural order.

    Raises:
        TrajectoryError: there is no such file, or none in the folder.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(shards_of(path), LAYOUT)
