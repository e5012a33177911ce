"""Checkpoints: going on as if never stopped, whole files only, and no code from a file."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from worlds import bars, checkers, dim_bars, flat, tiny

from vase_rl import VASE, CheckpointError
from vase_rl.checkpoint import FORMAT, VERSION, state_of

# What happens to the learner: two worlds, a batch in quarantine, a return, a third world.
STORY = [bars] * 10 + [checkers] * 10 + [bars] * 3 + [dim_bars] * 3
STOPS = {"first steps": 2, "in quarantine": 11, "with a snapshot": 14, "after a return": 23}


def go_on(vase: VASE, start: int, stop: int) -> VASE:
    for i in range(start, stop):
        vase.update(STORY[i](np.random.default_rng(i), 40))  # larger than a batch: thinned
    return vase


def fresh(**overrides: Any) -> VASE:
    config = tiny(mask_updates="hysteresis", used_interval=3, **overrides)
    return VASE(config, seed=4, device="cpu")


@pytest.fixture(name="content", scope="module")
def _content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A checkpoint of a learner with two environments, a snapshot and pending evidence."""
    path = tmp_path_factory.mktemp("saved") / "vase.pt"
    go_on(fresh(), 0, 21).save(path)
    return path.read_bytes()


@pytest.fixture(name="path")
def _path(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "vase.pt"
    path.write_bytes(content)
    return path


def load(path: Path) -> VASE:
    return VASE.load(path, device="cpu")


# ---------------------------------------------------------------- going on


WAYS: dict[str, tuple[dict[str, Any], list[int]]] = {
    "default": ({}, [12, 9, 2]),
    "Adam's moments cleared": ({"reset_optimizer": True}, [12, 9, 2]),
    "small blocks": ({"block_frames": 10}, [13, 10, 3]),
    "the paper's rule": (
        {"inference": "algorithm1", "burn_in": 2, "loss_tolerance": 1.02},
        [18, 2, 2],
    ),
    "one environment": ({"clustering": False, "snapshot_interval": 4, "burn_in": 2}, [26]),
}


@pytest.mark.parametrize(("overrides", "updates"), WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("stop", STOPS.values(), ids=STOPS.keys())
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path, stop, overrides, updates):
    path = tmp_path / "vase.pt"
    go_on(fresh(**overrides), 0, stop).save(path)
    torch.randn(7)  # another process has another global generator
    resumed = go_on(load(path), stop, len(STORY))
    uninterrupted = go_on(fresh(**overrides), 0, len(STORY))
    assert [e.updates for e in uninterrupted.environments] == updates  # the story has its turns
    np.testing.assert_equal(flat(state_of(resumed)), flat(state_of(uninterrupted)))


def test_the_saved_state_is_all_there_is(path):
    """A new attribute of the learner must be saved, or be one of those that need not be."""
    vase, back = go_on(fresh(), 0, 21), load(path)
    not_saved = {"device", "features", "on_change", "_warned_full"}
    assert set(vars(vase.registry)) == {"environments", "rule"}
    saved = set(state_of(vase)) - {"format", "version"}
    assert set(vars(vase)) - not_saved - {"registry"} == saved - {"environments", "rule"}
    assert {"environments", "rule"} <= saved
    np.testing.assert_equal(flat(state_of(back)), flat(state_of(vase)))
    # Not by what a checkpoint says of it: the attributes themselves.
    assert back.config == vase.config
    assert (back.environment, back.updates, back.snapshot_environments) == (1, 19, 1)
    assert (vase.environment, vase.updates, vase.snapshot_environments) == (1, 19, 1)
    assert torch.equal(back.running_atypicality, vase.running_atypicality)
    assert float(back.running_atypicality.abs().sum()) > 0.0
    assert back.paused
    assert vase.paused
    for ours, theirs in zip(back.environments, vase.environments, strict=True):
        for name in ("latent_mask", "used_latents"):
            assert torch.equal(getattr(ours, name), getattr(theirs, name))
        assert (ours.index, ours.loss, ours.updates) == (theirs.index, theirs.loss, theirs.updates)
        assert (ours.name, ours.forbidden) == (theirs.name, theirs.forbidden)
        assert ours.held_latents is None
    frames = bars(np.random.default_rng(0), 16)
    np.testing.assert_equal(vars(back.infer(frames)), vars(vase.infer(frames)))


def test_a_learner_that_has_seen_nothing(tmp_path):
    path = tmp_path / "new" / "folder" / "vase.pt"
    fresh().save(str(path))
    np.testing.assert_equal(
        flat(state_of(go_on(load(path), 0, 3))), flat(state_of(go_on(fresh(), 0, 3)))
    )


def test_saving_does_not_disturb(tmp_path):
    vase = go_on(fresh(), 0, 3)
    vase.save(tmp_path / "vase.pt")
    np.testing.assert_equal(flat(state_of(go_on(vase, 3, 6))), flat(state_of(go_on(fresh(), 0, 6))))


def test_the_random_state_fits_every_device(path):
    """It is the CPU generator's, so that a file from a GPU goes on where there is none."""
    state = torch.load(path, weights_only=True)
    generator = torch.Generator("cpu").set_state(state["generator"])
    assert generator.get_state().equal(VASE.load(path, device="cpu").generator.get_state())


def test_no_frame_is_kept():
    """However many frames were seen, there are as many numbers, and none in a batch's shape."""
    vase, sizes = fresh(), []
    for _ in range(3):
        for _ in range(60):
            go_on(vase, 0, 1)
        state = flat(state_of(vase))
        arrays = [v for v in state.values() if isinstance(v, np.ndarray)]
        assert not any(a.ndim == 4 and a.shape[0] in (32, 40) for a in arrays)
        sizes.append(sum(a.size for a in arrays))
    assert len(set(sizes)) == 1
    assert len(vase.environments) == 1


# ---------------------------------------------------------------- no code from a file


class Malicious:
    """Unpickling it creates a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (os.mkdir, (str(self.marker),))


def test_the_malicious_file_of_these_tests_works(tmp_path):
    pickle.loads(pickle.dumps(Malicious(tmp_path / "owned")))
    assert (tmp_path / "owned").exists()


@pytest.mark.parametrize("form", ["pickle", "torch", "torch, hidden in a true checkpoint"])
def test_no_code_is_run(path, tmp_path, form):
    evil, marker = tmp_path / "evil.pt", tmp_path / "owned"
    if form == "pickle":
        evil.write_bytes(pickle.dumps(Malicious(marker)))
    elif form == "torch":
        torch.save(Malicious(marker), evil)
    else:
        torch.save({**torch.load(path, weights_only=True), "updates": Malicious(marker)}, evil)
    with pytest.raises(CheckpointError) as refusal:
        load(evil)
    assert not marker.exists()
    # torch's own message tells how to switch the protection off; ours does not pass it on.
    assert "weights_only" not in str(refusal.value)


# ---------------------------------------------------------------- damaged and foreign files


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*nowhere"):
        load(tmp_path / "nowhere.pt")
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        load(tmp_path)


@pytest.mark.parametrize("junk", [b"", b"hello\n", b"PK\x03\x04", b"\x80\x02}q\x00.", b"\n" * 99])
def test_a_file_of_something_else(tmp_path, junk):
    path = tmp_path / "vase.pt"
    path.write_bytes(junk)
    with pytest.raises(CheckpointError, match=r"vase\.pt is damaged or not a checkpoint: "):
        load(path)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9, 0.999])
def test_a_truncated_file(path, content, share):
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match="is damaged or not a checkpoint"):
        load(path)


def test_a_flipped_byte_is_noticed_or_harmless(path, content):
    """torch's reader alone loads most flips in silence, as other weights."""
    truth, rng, refused = flat(state_of(load(path))), np.random.default_rng(0), 0
    for position in rng.integers(len(content), size=60):
        damaged = bytearray(content)
        damaged[position] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            state = flat(state_of(load(path)))
        except CheckpointError:
            refused += 1
        else:  # padding between the parts of the archive
            np.testing.assert_equal(state, truth)
    assert refused > 30


def change(path: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    state = torch.load(path, weights_only=True)
    result = edit(state)
    torch.save(state if result is None else result, path)


def environments(state: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = state["environments"]
    return found


def where(state: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = state["rule"]["where"]
    return found


def model(state: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = state["rule"]["models"][1]
    return found


FITTING = "does not hold what its configuration says: "
FOREIGN: list[tuple[str, Callable[[dict[str, Any]], Any], str]] = [
    ("a list", lambda s: [1, 2], f"is not a {FORMAT}"),
    ("a table of weights", lambda s: s["networks"], f"is not a {FORMAT}"),
    ("another program's", lambda s: s.update(format="sb3"), f"is not a {FORMAT}"),
    ("a later version", lambda s: s.update(version=VERSION + 1), f"version {VERSION + 1}, .*reads"),
    ("no version", lambda s: s.pop("version") and None, "version None"),
    ("an unknown field", lambda s: s["config"].update(colour=1), FITTING + ".*field 'colour'"),
    ("a bad value", lambda s: s["config"].update(latents=0), FITTING + ".*latents must be"),
    ("other latents", lambda s: s["config"].update(latents=5), FITTING + ".*size mismatch"),
    ("other filters", lambda s: s["config"].update(filters=[4]), FITTING + ".*size mismatch"),
    ("other frames", lambda s: s["config"].update(image_size=16), FITTING + ".*size mismatch"),
    ("no configuration", lambda s: s.update(config=None), FITTING),
    ("no weights", lambda s: s.pop("networks") and None, FITTING + "'networks'"),
    ("other weights", lambda s: s["networks"].popitem() and None, FITTING + ".*Missing key"),
    ("no random state", lambda s: s.update(generator=None), FITTING),
    ("half a random state", lambda s: s.update(generator=s["generator"][:9]), FITTING),
    ("no such environment", lambda s: where(s).update(environment=2), FITTING + "environment 2 of"),
    ("a negative one", lambda s: where(s).update(environment=-1), FITTING + "environment -1 of"),
    ("wrong numbers", lambda s: environments(s)[0].update(index=1), FITTING + ".*numbered"),
    ("never opened", lambda s: where(s).update(opened=[0, 2]), FITTING + "environment 1 of"),
    ("one not recorded", lambda s: where(s)["opened"].append(2), FITTING + "2 models of"),
    ("one too many", lambda s: s["environments"].pop() and None, FITTING + "1 environments are"),
    ("no rule", lambda s: s.pop("rule") and None, FITTING + "'rule'"),
    ("a small model", lambda s: model(s).update(mean=torch.ones(3)), FITTING + "blocks have shape"),
    ("half a model", lambda s: model(s).update(within=None), FITTING),
    ("a model less", lambda s: s["rule"]["models"].pop() and None, FITTING + "1 models of"),
    ("too many", lambda s: s["config"].update(max_environments=1), FITTING),
    ("a short mask", lambda s: environments(s)[1].update(latent_mask=torch.ones(3)), FITTING),
    ("a short history", lambda s: s.update(running_atypicality=torch.ones(2)), FITTING),
]  # fmt: skip


@pytest.mark.parametrize(
    ("edit", "message"), [row[1:] for row in FOREIGN], ids=[row[0] for row in FOREIGN]
)
def test_a_foreign_checkpoint(path, edit, message):
    change(path, edit)
    with pytest.raises(CheckpointError, match=r"(?s)" + message) as refusal:
        load(path)
    assert str(path) in str(refusal.value)


# ---------------------------------------------------------------- whole files only


class Cut(BaseException):
    """Ctrl-C and the like."""


@pytest.mark.parametrize("failure", [OSError("no space left on device"), Cut(), RuntimeError()])
@pytest.mark.parametrize(
    ("module", "name"),
    [(torch, "save"), (os, "fsync"), (os, "replace")],
    ids=["packing", "writing", "renaming"],
)
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    monkeypatch, path, content, module, name, failure
):
    def fail(*_: Any, **__: Any) -> None:
        raise failure

    monkeypatch.setattr(module, name, fail)
    with pytest.raises(type(failure)):
        go_on(fresh(), 0, 1).save(path)
    monkeypatch.undo()
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_in_the_way_is_an_error_that_leaves_nothing(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        fresh().save(tmp_path / "taken")
    assert list(tmp_path.iterdir()) == [tmp_path / "taken"]


def test_saving_again_replaces_the_file(path):
    go_on(fresh(), 0, 1).save(path)
    assert load(path).updates == 1
    assert list(path.parent.iterdir()) == [path]


def test_a_checkpoint_has_the_permissions_of_other_new_files(tmp_path):
    path, ordinary = tmp_path / "vase.pt", tmp_path / "ordinary"
    fresh().save(path)
    ordinary.touch()
    assert path.stat().st_mode == ordinary.stat().st_mode
