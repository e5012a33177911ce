"""Continual control: agents move from world to world and are not told so.

    python benchmarks/continual.py lifelong --seeds 10-14 --data-dir DIR
    python benchmarks/continual.py sequence --seeds 10-14 --data-dir DIR

Eight `vase_rl/SpriteReach-v0` side by side, with other sprites in each world, the same target and
the same actions.

lifelong: the agent is rewarded in the first world only. VASE watches random actions there, then PPO
learns on its frozen latents; then the learner goes on learning while it watches random actions in
the other worlds, and holds what the policy relies on (`VASE.hold`), or does not. `CnnPolicy`, and
PPO on an encoder that never learns, are rewarded in the first world for as many frames as VASE
spends there, and do not see the others before they are tried.

sequence: the agent is rewarded in one world after the other and goes on learning: on latents of
VASE that learns along, of VASE frozen in the first world, of CCI-VAE that learns along, of an
encoder that never learns, and on pixels.

After every visit the agent is tried in every world, deterministically and with sprites that no one
has trained on. Results are written as they come, one file per method and seed; an interrupted run
goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from intervals import mean_with_interval
from resume import Result, Runs
from sprite_worlds import (
    ENVIRONMENTS,
    SIZE,
    Agent,
    Trial,
    environments,
    parse_world,
    practise,
    trial,
    watch,
)
from stable_baselines3 import PPO

from vase_rl import VASEConfig
from vase_rl.agents import AttendToUsedLatents, PPOConfig, RefreshView
from vase_rl.agents.arguments import make_model, model_kwargs
from vase_rl.envs.families import load_bank
from vase_rl.experiments.options import parse_seeds
from vase_rl.files import write_whole
from vase_rl.wrappers import VASEVecEnvWrapper

WANTED = 0.8
"""Success that counts as having learnt the task."""
PPO_SETTINGS = PPOConfig(n_steps=512 // ENVIRONMENTS)
"""For latents and for pixels alike."""


@dataclass(frozen=True)
class Settings:
    """What is run; part of every result, so that no other settings are taken for these."""

    worlds: tuple[str, ...]
    data_dir: str | None
    preset: str
    watch: int
    practise: int
    frames_per_update: int
    every: int
    episodes: int


Method = Callable[[Settings, int], Agent]


def on_latents(settings: Settings, seed: int, *, learns: bool = True, **overrides: Any) -> Agent:
    """PPO on the latents of a new learner."""
    venv, other = _environments(settings, seed)
    config = VASEConfig.preset(settings.preset, **overrides)
    adapter = VASEVecEnvWrapper(
        venv, config, training=learns, view="held", seed=seed, device="cpu",
        frames_per_update=settings.frames_per_update,
    )  # fmt: skip
    everything = (True,) * config.latents
    model = make_model(PPO_SETTINGS, adapter, everything, seed)
    assert isinstance(model, PPO)
    callbacks = [RefreshView(adapter), AttendToUsedLatents(adapter.vase)]
    return Agent(model, adapter, adapter.evaluation(other), adapter, callbacks)


def untrained(settings: Settings, seed: int) -> Agent:
    """PPO on latents that never learn. Fresh weights by torch's rule, as in "compact", let next to
    nothing of a frame through; these keep what it shows."""
    return on_latents(settings, seed, learns=False, initialisation="he")


def on_pixels(settings: Settings, seed: int) -> Agent:
    """PPO with `CnnPolicy`; networks as Stable-Baselines3 has them."""
    venv, other = _environments(settings, seed)
    kwargs = model_kwargs(PPO_SETTINGS, None)
    kwargs["policy_kwargs"] = {"log_std_init": PPO_SETTINGS.log_std_init}
    return Agent(PPO("CnnPolicy", venv, seed=seed, device="cpu", **kwargs), venv, other)


def at_random(settings: Settings, seed: int) -> Agent:
    """Random actions, as the least that any method should do."""
    venv, other = _environments(settings, seed)
    return Agent(None, venv, other)


def _environments(settings: Settings, seed: int) -> tuple[Any, Any]:
    first, data = settings.worlds[0], settings.data_dir
    return environments(first, seed, "train", data), environments(first, seed, "test", data)


def everywhere(agent: Agent, settings: Settings, seed: int) -> dict[str, dict[str, float]]:
    """A trial in every world."""
    return {
        world: asdict(trial(agent, world, settings.episodes, _trial_seed(seed)))
        for world in settings.worlds
    }


def _trial_seed(seed: int) -> int:
    return seed + 1_000


def learn_in(
    agent: Agent, world: str, frames: int, settings: Settings, seed: int
) -> list[tuple[int, float]]:
    """`practise`, tried with a quarter of the episodes."""

    def tried() -> Trial:
        return trial(agent, world, settings.episodes // 4, _trial_seed(seed))

    return practise(agent, world, frames, settings.every, tried)


def known(agent: Agent) -> int | None:
    """Environments that the learner has found."""
    return None if agent.encoder is None else len(agent.encoder.vase.registry.known)


def lifelong(agent: Agent, settings: Settings, seed: int, *, holds: bool = True) -> Result:
    """Rewarded in the first world only."""
    first, *others = settings.worlds
    adapter = agent.encoder if agent.encoder is not None and agent.encoder.training else None
    frames = settings.practise
    if adapter is None:
        frames += settings.watch
    else:
        watch(agent, first, settings.watch, seed)
        adapter.refresh()
        adapter.training = False
    curve = learn_in(agent, first, frames, settings, seed)
    visits = [{"visit": first, "trials": everywhere(agent, settings, seed), "known": known(agent)}]
    for world in others if adapter is not None else ():
        assert adapter is not None
        adapter.training = True
        if holds:
            adapter.vase.hold()
        watch(agent, world, settings.watch, seed)
        trials = everywhere(agent, settings, seed)
        visits.append({"visit": world, "trials": trials, "known": known(agent)})
    return {"curve": curve, "visits": visits}


def sequence(agent: Agent, settings: Settings, seed: int, *, freezes: bool = False) -> Result:
    """Rewarded in every world."""
    visits: list[dict[str, Any]] = []
    curve: list[tuple[int, float]] = []
    for world in settings.worlds:
        frames = settings.practise
        if agent.encoder is not None and agent.encoder.training and not visits:
            watch(agent, world, settings.watch, seed)
            frames -= settings.watch
            agent.encoder.refresh()
            agent.encoder.training = not freezes
        if agent.model is not None:
            curve += learn_in(agent, world, frames, settings, seed)
        trials = everywhere(agent, settings, seed)
        visits.append({"visit": world, "trials": trials, "known": known(agent)})
    return {"curve": curve, "visits": visits}


OURS = ("VASE", "VASE, not held")
CCI_VAE = {"clustering": False, "dreaming": False, "masking": False}
PROTOCOLS: dict[str, dict[str, Callable[[Settings, int], Result]]] = {
    "lifelong": {
        "VASE": lambda s, n: lifelong(on_latents(s, n), s, n),
        "VASE, not held": lambda s, n: lifelong(on_latents(s, n), s, n, holds=False),
        "encoder that never learns": lambda s, n: lifelong(untrained(s, n), s, n),
        "CnnPolicy": lambda s, n: lifelong(on_pixels(s, n), s, n),
    },
    "sequence": {
        "VASE, learning": lambda s, n: sequence(on_latents(s, n), s, n),
        "VASE, frozen": lambda s, n: sequence(on_latents(s, n), s, n, freezes=True),
        "CCI-VAE, learning": lambda s, n: sequence(on_latents(s, n, **CCI_VAE), s, n),
        "encoder that never learns": lambda s, n: sequence(untrained(s, n), s, n),
        "CnnPolicy": lambda s, n: sequence(on_pixels(s, n), s, n),
        "random actions": lambda s, n: sequence(at_random(s, n), s, n),
    },
}


def success(result: Result, visit: int, world: str) -> float:
    return float(result["visits"][visit]["trials"][world]["success"])


def frames_to(result: Result, wanted: float = WANTED) -> float | None:
    """Frames of all kinds seen when success was first as high as wanted."""
    return next((float(frames) for frames, rate in result["curve"] if rate >= wanted), None)


def lifelong_numbers(result: Result, worlds: Sequence[str]) -> dict[str, float | None]:
    """A row of the first table."""
    first, *others = worlds
    before, now = success(result, 0, first), success(result, -1, first)
    watched = list(enumerate(others, 1)) if len(result["visits"]) > 1 else []
    return {
        f"{first} before": before,
        f"{first} at the end": now,
        "kept": now / max(before, 1e-9) if watched else None,
        "transfer, unwatched": _transfer(result, 0, worlds),
        "before its visit": _mean([success(result, i - 1, world) for i, world in watched]),
        "after its visit": _mean([success(result, i, world) for i, world in watched]),
        **{world: success(result, -1, world) for world in others},
        "transfer": _transfer(result, -1, worlds),
        f"frames to {WANTED:.0%}": frames_to(result),
        "environments found": result["visits"][-1].get("known") or None,
    }


def _transfer(result: Result, visit: int, worlds: Sequence[str]) -> float:
    """Mean success in the other worlds after a visit, by that in the first one after its own."""
    first, *others = worlds
    there = sum(success(result, visit, world) for world in others) / len(others)
    return there / max(success(result, 0, first), 1e-9)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def sequence_numbers(result: Result, worlds: Sequence[str]) -> dict[str, float | None]:
    """A row of the second table: R[i][j] is success in world j after visit i."""
    visits, last = range(len(worlds)), len(worlds) - 1
    table = [[success(result, i, world) for world in worlds] for i in visits]
    returns = [t["return_mean"] for t in result["visits"][-1]["trials"].values()]
    forgetting = [max(table[i][j] for i in range(j, last)) - table[last][j] for j in range(last)]
    return {
        "success at the end": sum(table[last]) / len(worlds),
        "return at the end": sum(returns) / len(worlds),
        "success after its visit": sum(table[i][i] for i in visits) / len(worlds),
        "before its first visit": sum(table[j - 1][j] for j in visits[1:]) / last,
        "forgetting": sum(forgetting) / last,
        f"frames to {WANTED:.0%}": frames_to(result),
        "environments found": result["visits"][-1].get("known") or None,
    }


NUMBERS = {"lifelong": lifelong_numbers, "sequence": sequence_numbers}


def table(results: dict[str, list[Result]], protocol: str, worlds: Sequence[str]) -> str:
    """Markdown: mean over seeds ± half the 95% interval."""
    lines: list[str] = []
    for method, runs in results.items():
        rows = [NUMBERS[protocol](run, worlds) for run in runs]
        if not rows:
            continue
        if not lines:
            lines = ["| method | seeds | " + " | ".join(rows[0]) + " |"]
            lines.append("|" + "---|" * (len(rows[0]) + 2))
        cells = [
            mean_with_interval([r[k] for r in rows], 0 if "frames" in k else 2) for k in rows[0]
        ]
        lines.append(f"| {method} | {len(rows)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def differences(results: dict[str, list[Result]], worlds: Sequence[str]) -> str:
    """Transfer of VASE, held and not, less that of the others, over the seeds that both have."""
    transfers = {
        method: {run["seed"]: lifelong_numbers(run, worlds)["transfer"] for run in runs}
        for method, runs in results.items()
    }
    lines = []
    for method in OURS:
        mine = transfers.pop(method)
        for other, theirs in transfers.items():
            gaps = [mine[s] - theirs[s] for s in mine.keys() & theirs.keys()]  # type: ignore[operator]
            difference = f"{mean_with_interval(gaps, 3)} ({len(gaps)} seeds)"
            lines.append(f"transfer, {method} less {other}: {difference}")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    """Run what is missing, print and write the table."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("protocol", choices=sorted(PROTOCOLS))
    parser.add_argument("--seeds", type=parse_seeds, default=[0], help="as 10-14 or 1,2,5")
    parser.add_argument("--only", help="one method, by its name in the table")
    parser.add_argument(
        "--worlds",
        default="garments,glyphs,fashion,mnist",
        help="families of sprites, in order; glyphs@0.2: on a background of 0.2 of white "
        "(%(default)s)",
    )
    parser.add_argument("--data-dir", help="where MNIST and Fashion-MNIST lie")
    parser.add_argument("--preset", default="compact-detail", help="of the learner (%(default)s)")
    parser.add_argument(
        "--watch", type=int, default=4_096, help="frames of random actions a world (%(default)s)"
    )
    parser.add_argument(
        "--practise",
        type=int,
        default=8_192,
        help="frames with reward a world; lifelong: in the first only (%(default)s)",
    )
    parser.add_argument(
        "--frames-per-update", type=int, default=4, help="of the learner (%(default)s)"
    )
    parser.add_argument(
        "--every", type=int, default=512, help="frames between two trials (%(default)s)"
    )
    parser.add_argument("--episodes", type=int, default=200, help="of a trial (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/continual"), help="%(default)s")
    options = parser.parse_args(arguments)
    settings = Settings(
        tuple(options.worlds.split(",")), options.data_dir, options.preset, options.watch,
        options.practise, options.frames_per_update, options.every, options.episodes,
    )  # fmt: skip
    for world in settings.worlds:
        try:
            load_bank(parse_world(world)[0], SIZE, data_dir=settings.data_dir)
        except ValueError as error:
            parser.error(f"--worlds: {error}")
    methods = PROTOCOLS[options.protocol]
    if options.only is not None and options.only not in methods:
        parser.error(f"--only must be one of {list(methods)}")
    runs = Runs(
        options.out / options.protocol,
        asdict(settings),
        {name: partial(method, settings) for name, method in methods.items()},
    )
    runs.complete(options.seeds, options.only)
    text = report(options.protocol, runs.by_method(options.seeds), settings.worlds)
    write_whole(options.out / f"{options.protocol}.md", text.encode())
    print(text)


def report(protocol: str, found: dict[str, list[Result]], worlds: Sequence[str]) -> str:
    """The tables of what there is by now."""
    text = table(found, protocol, worlds)
    if protocol == "lifelong":
        text += "\n" + differences(found, worlds)
    return text


if __name__ == "__main__":
    main(sys.argv[1:])
