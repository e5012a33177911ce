"""The numbers of `bench` as a page of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

NAMES = {
    "reference": "reference: float32, eager, as one would write it down",
    "reference, kept": "the reference, in the learner's process, which keeps what it frees",
    "float32": "the learner, float32",
    "bfloat16": "the learner, bfloat16",
    "pythae": "pythae's `BaseTrainer`, a plain VAE",
    "": "nothing but the imports",
}
GROWN = {
    "latents": "latents",
    "image_size": "height and width of the frames",
    "environments": "known environments",
    "replicas": "learners that train together, an update of all",
}


def markdown(metrics: Mapping[str, Any]) -> str:
    """Every section that was measured, under what it was measured on."""
    parts = [_header(metrics), _step(metrics["step"]), _encode(metrics["encode"])]
    parts.append(_wrapper(metrics["wrapper"]))
    if "library" in metrics:
        parts.append(_library(metrics["library"]))
    if "memory" in metrics:
        parts += [_memory(metrics["memory"]), _growth(metrics["growth"])]
    return "\n\n".join(parts) + "\n"


def _header(metrics: Mapping[str, Any]) -> str:
    machine, network = metrics["machine"], metrics["network"]
    size, versions = network["image_size"], metrics["versions"]
    threads = f"{machine['threads']} thread{'' if machine['threads'] == 1 else 's'}"
    beside = f", {machine['accelerator']}" if machine["accelerator"] else ""
    return (
        f"{machine['processor']}, {machine['cores']} cores, {threads}{beside}; "
        f"{machine['system']}, torch {versions['torch']}, {machine['date']}. Medians of "
        f"{metrics['rounds']} rounds, everything of a table in turn.\n\n"
        f"`{metrics['command']}`\n\n"
        f"Network: {size}×{size}×{network['channels']}, filters {network['filters']}, "
        f"{network['latents']} latents; a step learns from {network['batch_size']} frames and "
        f"{network['dream_batch_size']} dreams."
    )


def _step(step: Mapping[str, Any]) -> str:
    rows = []
    for name, row in step["rows"].items():
        share = row["share_of_ceiling"]
        ratio = "–"
        if "speed_up" in row:
            low, high = row["speed_up_quartiles"]
            ratio = f"{row['speed_up']:.2f} ({low:.2f} to {high:.2f})"
        rows.append(
            [NAMES[name], f"{1e3 * row['seconds']:.0f}", ratio,
             f"{row['operations_per_second'] / 1e9:.0f}",
             f"{share['matrix product']:.0%}", f"{share['convolution']:.0%}"]
        )  # fmt: skip
    head = ["training step", "ms", "times the reference's speed (quartiles)", "Gop/s",
            "of the matrix product's ceiling", "of the convolution's"]  # fmt: skip
    ceilings = [
        [kind, *(f"{step['ceilings'][dtype][kind] / 1e9:.0f}" for dtype in step["ceilings"])]
        for kind in ("matrix product", "convolution")
    ]
    return (
        f"{_table(head, rows)}\n\nA step takes {step['operations'] / 1e9:.1f} Gop, counted in its "
        "matrix products and convolutions. Ceilings, each dtype's own:\n\n"
        + _table(["measured ceiling, Gop/s", *step["ceilings"]], ceilings)
        + "\n\nThe step's convolutions, forward and backward, each by itself on current frames and "
        "dreams together; shares are of the higher ceiling. What the step has beside them keeps it "
        "farther from the ceiling, as far as two measurements agree:\n\n" + _layers(step["layers"])
    )


def _layers(rows: Sequence[Mapping[str, Any]]) -> str:
    return _table(
        ["convolution", "precision", "Gop", "ms", "of the ceiling"],
        ([r["layer"], r["precision"], f"{r['operations'] / 1e9:.2f}", f"{1e3 * r['seconds']:.1f}",
          f"{r['share_of_ceiling']:.0%}"] for r in rows),
    )  # fmt: skip


def _encode(rows: Sequence[Mapping[str, Any]]) -> str:
    return _table(
        ["`VASE.encode`", "frames", "forward pass, ms", "with everything, ms", "more"],
        ([r["precision"], str(r["frames"]), _ms(r["forward"]), _ms(r["encode"]), f"{r['over']:.0%}"]
         for r in rows),
    )  # fmt: skip


def _wrapper(rows: Sequence[Mapping[str, Any]]) -> str:
    return _table(
        ["frozen wrapper", "environments", "forward pass, ms", "added to a step, ms", "more"],
        ([r["precision"], str(r["environments"]), _ms(r["forward"]), _ms(r["added"]),
          f"{r['over']:.0%}"] for r in rows),
    )  # fmt: skip


def _library(rows: Sequence[Mapping[str, Any]]) -> str:
    return _table(
        ["training without dreams", "frames per second", "times the library's"],
        ([NAMES[r["name"]], f"{r['frames_per_second']:.0f}", f"{r['speed_up']:.2f}"] for r in rows),
    )


def _memory(peaks: Mapping[str, int | None]) -> str:
    rows = [[NAMES[name], "–" if peak is None else f"{peak:,}"] for name, peak in peaks.items()]
    return _table(["process that takes training steps", "most memory, MiB"], rows)


def _growth(rows: Sequence[Mapping[str, Any]]) -> str:
    return _table(
        ["training step, precision auto", "value", "ms", "times the first"],
        ([GROWN[r["what"]], str(r["value"]), f"{1e3 * r['seconds']:.0f}",
          f"{r['times_first']:.2f}"] for r in rows),
    )  # fmt: skip


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.3f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
