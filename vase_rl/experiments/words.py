"""Sentences and tables about a run's numbers, true whatever the numbers are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Metrics = dict[str, Any]


def tiles(metrics: Metrics) -> list[tuple[str, str]]:
    """The numbers at the top of the page: (value, words)."""
    found, true = metrics["environments_found"], metrics["environments_true"]
    extra, missed = metrics["false_environments"], metrics["missed"]
    again = "none opened twice" if extra == 0 else f"{extra} opened without need"
    shown = [(f"{found} for {true}" if extra else f"{found} of {true}", f"worlds found, {again}")]
    if metrics["delay_frames_max"] is not None:
        note = f"; {missed} missed" if missed else ""
        words = f"frames at most until a change was noticed{note}"
        shown.append((f"{metrics['delay_frames_max']:,}", words))
    if metrics.get("position_r2") is not None:
        words = "for the sprite's position, read linearly from the latents in the harder world"
        shown.append((f"R² {metrics['position_r2']:.2f}", words))
    if "reach_success" in metrics:
        home, away = metrics["reach_success"], metrics["reach_success_transfer"]
        chance = metrics["reach_success_random"]
        words = (
            f"success where it practised → where it was never rewarded (chance: {percent(chance)})"
        )
        shown.append((f"{percent(home)} → {percent(away)}", words))
    return shown


def stream_words(metrics: Metrics) -> str:
    """What happened in the stream."""
    boundaries = metrics["boundaries"]
    kinds = metrics["environments_true"]
    text = (
        f"The stream shows {metrics['frames']:,} frames of {count(kinds, 'world')} and changes "
        f"{count(len(boundaries), 'time')}. "
    )
    found = [b for b in boundaries if b["found"] is not None]
    if not boundaries:
        return text
    if len(found) == len(boundaries):
        text += "Every change was found"
    else:
        text += f"{len(found)} of the {len(boundaries)} changes were found"
    if found:
        text += f", {listed([b['delay'] for b in found])} frames after it happened"
    text += ". "
    opened = {switch["frame"] for switch in metrics["switches"] if switch["new"]}
    back = [b["source"] for b in found if b["found"] not in opened]
    if back:
        text += f"When {listed(back)} came back, it was recognised. "
    for key, noun, words in (
        ("false_environments", "environment", "opened for a world that already had one"),
        ("false_switches", "switch", "made without a change"),
    ):
        if metrics[key]:
            was = "was" if metrics[key] == 1 else "were"
            text += f"{count(metrics[key], noun)} {was} {words}. "
    return text.strip()


def memory_words(metrics: Metrics) -> str:
    """What was kept of the worlds while they were away."""
    text = (
        "And is the old kept while the new is learnt? After every visit, all worlds seen so far "
        "are tested again."
    )
    memory = metrics["memory"]
    names = [visit["visit"] for visit in memory]
    for start, source in enumerate(names):
        away = [
            place
            for place in range(start + 1, len(names))
            if source not in names[start + 1 : place + 1]
        ]
        before = memory[start]["position_r2"].get(source)
        if away and before is not None:
            after = memory[away[-1]]["position_r2"][source]
            text += (
                f" When {source} was left, R² was {before:.3f}; {count(len(away), 'visit')} "
                f"elsewhere later it was {after:.3f}."
            )
    return text


def agent_words(metrics: Metrics) -> str:
    """How the agent did."""
    return (
        "The learner is frozen and its latents become the observation of PPO from "
        "Stable-Baselines3, which gets two-dimensional pushes as actions. After "
        f"{metrics['agent_frames']:,} frames with garments it reaches the target in "
        f"{percent(metrics['reach_success'])} of {metrics['reach_episodes']} episodes (chance: "
        f"{percent(metrics['reach_success_random'])}). Then the garments are replaced by glyphs: "
        "nothing is trained any more, neither policy nor encoder, and it succeeds in "
        f"{percent(metrics['reach_success_transfer'])}."
    )


NUMBERS = (
    ("environments_true", "d", "worlds in the stream"),
    ("environments_found", "d", "environments that the learner opened"),
    ("false_environments", "d", "environments opened for a world that already had one"),
    ("missed", "d", "changes of world that were not found before the next one"),
    ("false_switches", "d", "switches that answered no change"),
    ("delay_frames_median", ".0f", "frames from a change to its switch, median"),
    ("delay_frames_max", "d", "the same, at most"),
    (
        "position_r2",
        ".3f",
        "share of the position's variance that is read from the latents of unseen sprites at the "
        "end of the stream, in the world where it is lower",
    ),
    ("reach_success", ".1%", "episodes in which the agent moves an unseen garment to the target"),
    ("reach_success_transfer", ".1%", "the same with glyphs, without any further training"),
    ("reach_success_random", ".1%", "the same with garments and random actions"),
    ("reach_steps", ".1f", "steps per episode with garments, of 30 at most"),
    ("reach_steps_transfer", ".1f", "steps per episode with glyphs"),
    ("updates", ",d", "training steps of the learner"),
    ("seconds", ",.0f", "wall-clock time of the run, up to this page"),
    ("peak_memory_mib", ",d", "the most memory that the run held, in MiB"),
)


def number_rows(metrics: Metrics) -> list[tuple[str, str, str]]:
    """(key, value, meaning) of the numbers that this run has."""
    return [
        (key, format(metrics[key], form), words)
        for key, form, words in NUMBERS
        if metrics.get(key) is not None
    ]


def percent(share: float) -> str:
    """ "100%", "99.5%", "8.25%": never rounded up to 100."""
    return f"{100 * share:.3g}%" if share < 0.9995 or share == 1 else f"{100 * share:.6g}%"


def count(number: int, noun: str) -> str:
    """ "1 world", "3 worlds"; "3 switches"."""
    plural = noun + ("es" if noun.endswith("ch") else "s")
    return f"{number} {noun if number == 1 else plural}"


def listed(items: Sequence[int | str]) -> str:
    """ "1, 2 and 3"."""
    words = [item if isinstance(item, str) else f"{item:,}" for item in items]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
