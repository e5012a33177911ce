"""`vase-rl bench`: the reference computes what the learner computes, and the numbers hold together.

Nothing is compared in speed here.
"""

from __future__ import annotations

import json
import os
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from vase_rl import VASEConfig
from vase_rl.experiments import bench, cli, measured
from vase_rl.experiments.bench_layers import layer_operations
from vase_rl.experiments.bench_subjects import dreaming_learner, world
from vase_rl.experiments.bench_tables import markdown
from vase_rl.experiments.ceilings import ceiling_work, ceilings, operations
from vase_rl.experiments.library_loop import library_epoch
from vase_rl.experiments.measured import Times, in_turn
from vase_rl.experiments.reference_step import Networks, ReferenceStep

SMALL: dict[str, Any] = dict(
    image_size=16, filters=(8, 16), hidden=32, latents=5, batch_size=32, dream_batch_size=24
)
STEPS = 4


def test_the_reference_computes_the_learners_losses() -> None:
    config = VASEConfig.preset("ablation", **SMALL, mask_updates="entry", masking=False)
    vase = dreaming_learner(config, 2, seed=0, device="cpu")
    reference = ReferenceStep(config)
    # Both take the same steps from here: Adam begins anew, and noise comes from equal states.
    vase.optimizer.state.clear()
    assert vase.snapshot is not None
    for ours, theirs in [(reference.networks, vase.networks), (reference.snapshot, vase.snapshot)]:
        with torch.no_grad():
            for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
                mine.copy_(other)
    reference.generator.set_state(vase.generator.get_state())
    reference.updates = vase.updates
    for step in range(STEPS):
        frames = world(config, 1, config.batch_size, seed=step)
        expected = reference(frames)
        losses = vase.practise(frames)
        assert list(losses) == list(expected)
        for name, loss in losses.items():
            assert loss == pytest.approx(expected[name], rel=1e-3, abs=1e-6), (step, name)
        assert losses["decoder_dreaming"] > 0


@pytest.mark.parametrize("preset", ["compact", "dmlab"])
def test_the_reference_knows_the_papers_losses_only(preset: str) -> None:
    with pytest.raises(ValueError, match=r"config must be one of the paper's, got"):
        ReferenceStep(VASEConfig.preset(preset))


def test_operations_are_counted_as_by_hand() -> None:
    config = VASEConfig.preset("ablation", **SMALL)
    frames = world(config, 1, config.batch_size, seed=0)
    # Multiplications per frame: two convolutions and the layer between maps and hidden units.
    first, second = 8 * 8 * 8 * 16 * 1, 4 * 4 * 16 * 16 * 8
    dense, encoder_heads = 16 * 4 * 4 * 32, 32 * 2 * 5
    decoder_first, classifier = (5 + 7) * 32, 32 * 7
    forward = 2 * (first + second + dense) + encoder_heads + decoder_first + classifier
    # Backward costs twice that, but nothing asks for gradients of frames, of z' and s', or below
    # the classifier; the decoder's input z has one in the current frames alone.
    learnt = 3 * forward - first - classifier
    by_hand = 32 * learnt + 24 * (learnt - decoder_first) + 24 * forward
    assert operations(lambda: ReferenceStep(config)(frames)) == 2 * by_hand


def test_operations_of_layers_are_those_of_their_kernels() -> None:
    config = VASEConfig.preset("ablation", **SMALL)
    first, second = 8 * 8 * 8 * 16 * 1, 4 * 4 * 16 * 16 * 8
    expected = [2 * first, 3 * second, 3 * second, 3 * first]
    assert layer_operations(config) == [2 * (32 + 24) * count for count in expected]


def test_ratios_are_medians_over_rounds() -> None:
    times = Times({"a": [2.0, 9.0, 8.0, 3.0], "b": [1.0, 3.0, 2.0, 1.0]})
    assert times.median("a") == 5.5
    assert times.ratio("a", "b") == 3.0
    assert times.spread("a", "b") == (2.75, 3.25)


def test_everything_is_timed_once_a_round() -> None:
    order: list[str] = []
    work = {name: lambda name=name: order.append(name) for name in "xy"}
    done: list[int] = []
    times = in_turn(work, 3, lambda: done.append(len(order)))
    assert {name: len(rounds) for name, rounds in times.rounds.items()} == {"x": 3, "y": 3}
    assert len(done) == 6
    last_round = order[done[3] :]
    assert last_round == sorted(last_round)


def test_clocks_wait_for_accelerators(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(measured, "SHORTEST", 0.0)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: order.append("wait"))
    in_turn({"x": lambda: order.append("call")}, 2)
    assert order == ["call", *3 * ["wait", "call", "wait"]]


def test_a_ceiling_is_the_best_rate_of_its_kind() -> None:
    work = ceiling_work(torch.device("cpu"))
    seconds = {name: [1.0, 1.0] for name in work}
    seconds["matrix product 1024, float32"] = [0.01, 0.01]
    best = ceilings(work, Times(seconds))
    assert best["float32"]["matrix product"] == pytest.approx(2 * 1024**3 / 0.01)
    assert best["bfloat16"]["matrix product"] == pytest.approx(2 * 2048**3)
    assert best["float32"]["convolution"] == pytest.approx(2 * 64 * 256**2 * 9 * 16**2)


@pytest.fixture(name="small")
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "GROWTH", {"latents": ({"latents": 4}, {"latents": 6})})
    monkeypatch.setattr(bench, "REPLICAS", {"cpu": (1, 2)})
    monkeypatch.setattr(bench, "FRAMES", (1, 2))
    monkeypatch.setattr(bench, "ENVIRONMENTS", (1, 2))
    monkeypatch.setattr(bench.BenchSettings, "config", VASEConfig.preset("ablation", **SMALL))


@pytest.mark.usefixtures("small")
def test_the_command_leaves_numbers_and_a_page(tmp_path: Any, capsys: Any) -> None:
    out = tmp_path / "bench"
    assert cli.main(["bench", "--quick", "--rounds", "2", "--out", str(out)]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["finished"]
    references = bench.references(torch.device("cpu"))
    assert list(metrics["step"]["rows"]) == [*references, "float32", "bfloat16"]
    for row in metrics["step"]["rows"].values():
        rate = metrics["step"]["operations"] / row["seconds"]
        assert row["operations_per_second"] == pytest.approx(rate)
    assert metrics["step"]["rows"]["reference"]["speed_up"] == 1.0
    labels = ["down 1 → 8", "down 8 → 16", "up 16 → 8", "up 8 → 1", "all"]
    assert [row["layer"] for row in metrics["step"]["layers"]] == 2 * labels
    assert [r["frames"] for r in metrics["encode"]] == [1, 2, 1, 2]
    assert [r["environments"] for r in metrics["wrapper"]] == [1, 2, 1, 2]
    assert [r["name"] for r in metrics["library"]] == ["pythae", "float32", "bfloat16"]
    assert all(r["frames_per_second"] > 0 for r in metrics["library"])
    page = (out / "performance.md").read_text()
    assert page in capsys.readouterr().out
    assert "vase-rl bench --quick --rounds 2" in page


def test_without_the_library_the_rest_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(bench, "is_installed", lambda: False)
    for name in ("step", "encode", "wrapper"):
        monkeypatch.setattr(bench, f"measure_{name}", lambda *_: [])
    monkeypatch.setattr(bench, "markdown", lambda _: "")
    run = bench.run_bench(bench.BenchSettings(rounds=2, quick=True), tmp_path, [])
    assert "library" not in run.metrics
    assert run.metrics["finished"]


def test_the_library_learns_on_our_network(tmp_path: Any) -> None:
    losses = {}
    for rate in (1e-9, 1e-3):
        config = VASEConfig.preset("ablation", **SMALL, learning_rate=rate)
        frames = world(config, 0, 2 * config.batch_size, seed=0)
        epoch = library_epoch(config, frames, str(tmp_path), 0, torch.device("cpu"))
        losses[rate] = [epoch() for _ in range(20)]
    torch.manual_seed(0)
    networks, x = Networks(config), torch.from_numpy(frames).permute(0, 3, 1, 2) / 255
    mean, std, _ = networks.encode(x)
    posterior = Normal(mean, std)
    kl = kl_divergence(posterior, Normal(0.0, 1.0)).sum(1)
    logits = networks.decode(posterior.sample(), torch.zeros(len(x), dtype=torch.long))
    pixels = Bernoulli(logits=logits, validate_args=False).log_prob(x).flatten(1).sum(1)
    assert losses[1e-9][0] == pytest.approx((kl - pixels).mean().item(), rel=0.01)
    assert losses[1e-3][-1] < losses[1e-3][0] < losses[1e-9][0]


def test_where_the_reference_does_not_run_it_is_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = []
    for device in ("cpu", "cuda"):
        monkeypatch.setattr(bench, "resolve_device", lambda _, name=device: torch.device(name))
        counts.append(bench._measurements("step", bench.BenchSettings(rounds=3)))
    assert counts[0] - counts[1] == 3 * len(bench.references(torch.device("cpu")))
    assert bench.references(torch.device("cuda")) == ()


def test_memory_and_growth_have_their_tables() -> None:
    row = {"what": "latents", "value": 3, "seconds": 0.5, "times_first": 1.0}
    page = markdown(
        {
            "machine": {"processor": "P", "cores": 2, "threads": 2, "accelerator": None,
                        "system": "S", "date": "D"},
            "network": VASEConfig().to_dict(), "versions": {"torch": "T"}, "rounds": 2,
            "command": "vase-rl bench",
            "step": {"rows": {}, "layers": [], "operations": 10, "ceilings": {"float32": {
                "matrix product": 1e9, "convolution": 2e9}}},
            "encode": [], "wrapper": [], "memory": {"": 100, "reference": 1234},
            "growth": [row, {**row, "value": 6, "times_first": 1.5}],
        }
    )  # fmt: skip
    assert "| nothing but the imports | 100 |" in page
    assert "| latents | 6 | 500 | 1.50 |" in page


@pytest.mark.usefixtures("small")
def test_growth_is_measured_against_the_first_of_a_kind() -> None:
    settings = bench.BenchSettings(rounds=2, overrides=SMALL)
    with bench.Progress(1, "growing") as progress:
        rows = bench.measure_growth(settings, progress)
    assert [(r["what"], r["value"]) for r in rows] == [
        ("latents", 4), ("latents", 6), ("replicas", 1), ("replicas", 2),
    ]  # fmt: skip
    assert rows[0]["times_first"] == rows[2]["times_first"] == 1.0


def test_memory_is_that_of_a_process() -> None:
    settings = bench.BenchSettings(overrides=SMALL)
    held = np.ones(600 * 2**20, np.uint8)
    ours = bench.peak_of("", settings)
    with get_context("spawn").Pool(1) as pool:
        theirs = pool.apply(bench.peak_of, ("bfloat16", settings))
    if ours is None:
        pytest.skip("this system does not say")
    assert ours > held.nbytes / 2**20
    assert 0 < theirs < ours


def _greeter(greeting: str) -> measured.Work:
    def greet() -> None:
        # Leaves its process's number.
        with open(greeting, "a") as file:
            file.write(f"{os.getpid()}\n")

    return greet


def test_work_elsewhere_is_done_by_another_process_when_asked(tmp_path: Any) -> None:
    place = tmp_path / "greetings"
    with measured.elsewhere(partial(_greeter, str(place))) as work:
        assert not place.exists()
        work()
        work()
        one, two = place.read_text().split()
    assert one == two != str(os.getpid())
    with pytest.raises(ProcessLookupError):
        os.kill(int(one), 0)


def _fails() -> measured.Work:
    raise SystemExit(3)


def test_work_that_cannot_be_made_elsewhere_is_an_error() -> None:
    with pytest.raises(ChildProcessError, match="exit code 3"), measured.elsewhere(_fails):
        pass


def _breaks() -> measured.Work:
    def work() -> None:
        raise BrokenPipeError("of the work itself")

    return work


def test_what_work_elsewhere_raises_is_not_swallowed(capfd: Any) -> None:
    with measured.elsewhere(_breaks) as work, pytest.raises(ChildProcessError, match="code 1"):
        work()
    assert "of the work itself" in capfd.readouterr().err


def _threads(place: str) -> measured.Work:
    Path(place).write_text(str(torch.get_num_threads()))
    return lambda: None


def test_work_elsewhere_has_as_many_threads(tmp_path: Any) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(before + 2)
    try:
        with measured.elsewhere(partial(_threads, str(tmp_path / "threads"))):
            assert (tmp_path / "threads").read_text() == str(before + 2)
    finally:
        torch.set_num_threads(before)


def test_a_reference_in_the_learners_process_is_there_where_memory_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for kept in (True, False):
        monkeypatch.setattr(bench, "keep_freed_memory", lambda kept=kept: kept)
        expected = ("reference", "reference, kept") if kept else ("reference",)
        assert bench.references(torch.device("cpu")) == expected
