"""`vase-rl demo`: the whole idea on built-in data, from a stream of frames to an agent's transfer.

1. *Stream*: moving garments, glyphs, moving glyphs, and the moving garments again, through
   `VASEObservationWrapper`, which learns and tells the worlds apart.
2. *Probe*: the learner is frozen; a linear read-out of the sprite's position is tested in both
   moving worlds. (It is tested after every visit too, to see what is forgotten.)
3. *Agent*: PPO on the latents moves a garment to a target place; then it has to do the same with
   glyphs, which it was never rewarded for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..agents import Bundle, Evaluation, evaluate_agent, train_ppo
from ..envs import make_source
from ..files import write_whole
from ..learner import VASE
from .history import History
from .pictures import gif, png, together
from .probes import probe_position, world_frames
from .progress import Progress, say
from .report import write_report
from .results import RunDirectory
from .stream import StreamSettings, make_stream, watch
from .training import curve_columns

SEQUENCE = "moving-garments,glyphs,moving-glyphs,moving-garments"
REACH = "vase_rl/SpriteReach-v0"
TRAINED_IN, TRANSFERRED_TO = "garments", "glyphs"
RECORDED_EPISODES = 8
WRITTEN = (
    "report.html", "encoder.pt", "history.npz", "agent.zip", "agent.gif", "agent.png",
    "pictures/timeline.svg", "pictures/atypicality.svg", "pictures/probe.svg",
    "pictures/learning.svg",
)  # fmt: skip
"""What the demo leaves beside `metrics.json`."""


@dataclass(frozen=True)
class DemoSettings:
    """How long the demo takes; as the options of `vase-rl demo`."""

    frames: int = 5_000
    """Frames per visit to a world."""
    agent_frames: int = 12_000
    """Frames that the agent practises on."""
    episodes: int = 200
    """Episodes per evaluation."""
    seed: int = 0
    device: str = "auto"

    @property
    def stream(self) -> StreamSettings:
        """The stream's part."""
        return StreamSettings(
            sequence=SEQUENCE,
            frames=self.frames,
            seed=self.seed,
            device=self.device,
        )


def run_demo(settings: DemoSettings, out: str | Path, arguments: list[str]) -> RunDirectory:
    """Run the demo; leave `metrics.json`, `report.html`, pictures, encoder and agent.

    An interrupt leaves a report on what was finished.

    Raises:
        ValueError: a setting breaks its rule, or `out` cannot be written.
        KeyboardInterrupt: after the report was written.
    """
    env = make_stream(settings.stream)
    run = RunDirectory(out, "demo", arguments, stale=WRITTEN)
    say(f"vase_rl demo, seed {settings.seed}: results go to {run.path}")
    run.record(
        seed=settings.seed,
        sequence=SEQUENCE,
        size=settings.stream.size,
        motion=settings.stream.motion,
        stream_frames=settings.frames * len(SEQUENCE.split(",")),
    )
    try:
        stream_and_probe(settings, env, run)
        agent_and_transfer(settings, run)
    finally:
        env.close()
        if (run.path / "encoder.pt").exists():
            say("writing the report")
            run.record()
            write_report(run.path)
    run.finish()
    return run


def stream_and_probe(settings: DemoSettings, env: Any, run: RunDirectory) -> None:
    """Steps 1 and 2."""
    say("1/3  watching the stream")
    history = History()
    memory: list[dict[str, Any]] = []

    def remember(source: str) -> None:
        memory.append({"frame": history.frames, "visit": source, **recall(env.vase, history, run)})
        run.record(memory=memory)

    watch(env, history, run, seed=settings.seed, at_end_of_visit=remember)
    say("2/3  probing the position")
    probes = [
        probe_position(env.vase, source, seed=settings.seed, size=settings.stream.size)
        for source in moving(history.sources)
    ]
    run.record(
        position_r2=min(probe.r2 for probe in probes),
        position_r2_by_world={probe.source: probe.r2 for probe in probes},
        stream_seconds=round(run.seconds, 1),
    )


def recall(vase: VASE, history: History, run: RunDirectory) -> dict[str, Any]:
    """What the learner makes of the worlds seen so far, on sprites that it never saw."""
    seed, size = run.metrics["seed"], run.metrics["size"]
    losses, positions = {}, {}
    if vase.environments:
        for source in history.sources:
            frames, _ = world_frames(
                make_source(source, seed=seed, size=size, split="test"), 256, vase
            )
            losses[source] = vase.infer(frames).reconstruction_loss
            if source in moving(history.sources):
                positions[source] = probe_position(vase, source, seed=seed, size=size).r2
    return {"loss": losses, "position_r2": positions}


def moving(sources: list[str]) -> list[str]:
    """Those worlds in which there is a position to read."""
    return [source for source in sources if source.startswith("moving-")]


def agent_and_transfer(settings: DemoSettings, run: RunDirectory) -> None:
    """Step 3, on the encoder that the stream left, frozen."""
    say("3/3  teaching an agent on the frozen latents, then moving it to the other world")
    with Progress(settings.agent_frames, "training") as progress:
        trained = train_ppo(
            REACH,
            env_kwargs={"family": TRAINED_IN, "seed": settings.seed},
            encoder=run.path / "encoder.pt",
            frames=settings.agent_frames,
            seed=settings.seed,
            device=settings.device,
            progress=progress,
        )
    trained.bundle.save(run.path / "agent.zip")
    run.record(
        agent_frames=trained.frames,
        agent_frames_per_second=round(trained.frames_per_second, 1),
        agent_curve=curve_columns(trained.curve),
    )
    if trained.interrupted:
        raise KeyboardInterrupt
    home = evaluate(trained.bundle, TRAINED_IN, settings)
    away = evaluate(trained.bundle, TRANSFERRED_TO, settings)
    chance = evaluate(None, TRAINED_IN, settings)
    film = together(home.frames, away.frames)
    write_whole(run.path / "agent.gif", gif(film))
    write_whole(run.path / "agent.png", png(film[0]))
    run.record(
        reach_success=home.success,
        reach_success_transfer=away.success,
        reach_success_random=chance.success,
        reach_return=home.return_mean,
        reach_return_transfer=away.return_mean,
        reach_return_random=chance.return_mean,
        reach_steps=home.length_mean,
        reach_steps_transfer=away.length_mean,
        reach_episodes=settings.episodes,
    )


def evaluate(bundle: Bundle | None, family: str, settings: DemoSettings) -> Evaluation:
    """Whole episodes with sprites that neither encoder nor agent has seen."""
    return evaluate_agent(
        bundle,
        REACH,
        env_kwargs={"family": family, "seed": settings.seed, "split": "test"},
        episodes=settings.episodes,
        seed=settings.seed + 1,
        record_episodes=0 if bundle is None else min(RECORDED_EPISODES, settings.episodes),
        device=settings.device,
    )
