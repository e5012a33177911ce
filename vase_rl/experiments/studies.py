"""The comparisons behind `docs/algorithm.md`: which conditions, on which sequence, which numbers.

Every condition of the paper is a configuration; `CONDITIONS` are the eight of Table 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from .tables import Column

MOVING_STATIC_MOVING = ("moving-fashion", "mnist", "moving-mnist")
THERE_AND_BACK = ("mnist", "fashion", "mnist")
FIVE_SETS = ("moving-mnist", "fashion", "inverted-fashion", "mnist", "moving-fashion")
BUILT_IN = ("moving-garments", "glyphs", "moving-glyphs")

PRESET = "compact-detail"
"""Of every study's conditions."""
PLAIN_START: dict[str, Any] = dict(initialisation="torch", capacity_rate=4e-4)
"""What the studies behind single decisions change in it: fresh weights by torch's own rule, and a C
that rises to 25 nats in 1,700 batches."""

CONDITIONS: dict[str, dict[str, bool]] = {
    name: dict(clustering="S" in name, dreaming="D" in name, masking="A" in name)
    for name in ("SDA", "SD", "SA", "DA", "S", "D", "A", "none")
}
"""Table 1: S environment inference, D dreaming, A atypicality masks. "none" is CCI-VAE, or the
plain VAE where entangled; entangled SD stands in for lifelong generative modelling."""


@dataclass(frozen=True)
class Cell:
    """One condition of a study."""

    name: str
    overrides: dict[str, Any] = field(default_factory=dict)
    """Fields of `VASEConfig` that differ from the preset."""
    entangled: bool = False
    as_printed: bool = False
    sequence: tuple[str, ...] = ()
    """Another sequence than the study's."""

    @property
    def slug(self) -> str:
        """The name as part of a file's."""
        return re.sub(r"[^a-z0-9.]+", "-", self.name.lower()).strip("-")


@dataclass(frozen=True)
class Study:
    """Conditions that differ in what the question is about, and in nothing else."""

    question: str
    cells: tuple[Cell, ...]
    columns: tuple[Column, ...]
    sequence: tuple[str, ...] = MOVING_STATIC_MOVING
    steps: int = 1000
    """Batches per visit."""
    preset: str = PRESET
    base: dict[str, Any] = field(default_factory=dict)
    """Fields of `VASEConfig` that differ from the preset in every condition but those as
    printed."""
    probes: bool = True
    disentanglement: bool = False
    pictures: bool = False
    """Whether a picture like Figure 2 is drawn of every run."""


SWITCHING = (
    Column("environments_true", "worlds", digits=0),
    Column("environments_found", "environments found", digits=2),
    Column("false_environments", "false", digits=2),
    Column("false_switches", "false switches", digits=2),
    Column("missed", "switches missed", digits=2),
    Column("delay_max", "longest delay, batches", digits=1),
)
OBJECTS = (
    Column("object_max", "object accuracy, max %", 100),
    Column("object_change", "change %", 100),
    Column("object_change_frozen", "change %, frozen probe", 100),
)
POSITIONS = (
    Column("position_min", "position MSE, min ·1e-4", 1e4),
    Column("position_change", "change ·1e-4", 1e4),
    Column("position_change_frozen", "change ·1e-4, frozen probe", 1e4),
    Column("position_r2_end", "R² at the end, worse source", digits=3),
)
TABLE_1 = (
    *OBJECTS,
    Column("object_backward_transfer", "backward transfer %", 100),
    *POSITIONS,
    Column("position_ratio", "change / min", digits=2),
)
LATENTS = (
    Column("latents_used", "latents used"),
    Column("kl_end", "KL at the end, nats"),
)
FOUND = (Column("environments_found", "environments", digits=2),)
COLLAPSE = (
    Column("collapsed", "collapsed, share of runs", digits=2),
    Column("kl_least", "KL at the end of a visit, least, nats"),
    Column("fewest_unmasked", "unmasked latents, fewest"),
)
REGISTRY = (*FOUND, Column("false_environments", "false", digits=2))
LEARNT = (*OBJECTS, *POSITIONS, *LATENTS)


def _sequences() -> tuple[Cell, ...]:
    return tuple(
        Cell(" → ".join(sequence), sequence=sequence)
        for sequence in (MOVING_STATIC_MOVING, THERE_AND_BACK, FIVE_SETS)
    )


def _conditions() -> tuple[Cell, ...]:
    """Table 1; and SDA with Adam's moments kept, since only S can clear them at a switch."""
    return (
        *(
            Cell(f"{name}{', entangled' if entangled else ''}", switches, entangled)
            for entangled in (False, True)
            for name, switches in CONDITIONS.items()
        ),
        Cell("SDA, Adam's moments kept", dict(reset_optimizer=False)),
    )


def _dreaming_weights() -> tuple[Cell, ...]:
    """The text's weights and the sweep's, with the decoder's KL summed over pixels or averaged."""
    pairs = ((1000, 20, "sum"), (1000, 20, "mean"), (20, 1000, "sum"), (20, 1000, "mean"),
             (20, 20, "sum"), (5, 5, "sum"), (2, 1, "sum"))  # fmt: skip
    return tuple(
        Cell(
            f"α {alpha}, β {beta}, {reduction} over pixels",
            dict(
                encoder_dreaming_weight=alpha,
                decoder_dreaming_weight=beta,
                decoder_reduction=reduction,
            ),
        )
        for alpha, beta, reduction in pairs
    )


def _initialisations() -> tuple[Cell, ...]:
    return tuple(
        Cell(
            f"{rule}{', β warms up over 200' if steps else ''}",
            dict(initialisation=rule, beta_warm_up=steps),
        )
        for rule in ("torch", "he")
        for steps in (0, 200)
    )


def _snapshots() -> tuple[Cell, ...]:
    return (
        Cell("at each switch", dict(snapshot_sync="switch")),
        *(
            Cell(f"every {tau} steps", dict(snapshot_sync="interval", snapshot_interval=tau))
            for tau in (20, 100)
        ),
        Cell("both, τ = 100", dict(snapshot_sync="both", snapshot_interval=100)),
    )


def _masks() -> tuple[Cell, ...]:
    thresholds = ((0.3, 1.2), (0.5, 0.7))
    return (
        Cell("on entry, λ 0.6", dict(mask_updates="entry")),
        Cell("on entry, λ 1", dict(mask_updates="entry", atypicality_threshold=1.0)),
        Cell("every batch, λ 0.6", dict(mask_updates="every")),
        *(
            Cell(
                f"hysteresis, λ0 {low}, λ1 {high}",
                dict(mask_updates="hysteresis", atypicality_lower=low, atypicality_upper=high),
            )
            for low, high in thresholds
        ),
    )


def _capacities() -> tuple[Cell, ...]:
    """The printed form, its relative and ours, with C on the paper's schedule or a short one."""
    paper = dict(capacity_start=0.0, capacity_max=35.0, capacity_rate=6.3e-6)
    short = dict(capacity_start=0.0, capacity_max=25.0, capacity_rate=1 / 600)
    squared = dict(capacity_form="squared", gamma=100.0)
    absolute = dict(capacity_form="absolute", gamma=4.0)
    return (
        Cell("bounded, C from 8 to 25 in 1,700"),
        Cell("bounded, C from 8 to 25 in 13,600", dict(capacity_rate=5e-5)),
        Cell("bounded, C = 25 from the start", dict(capacity_start=25.0)),
        Cell("bounded, C from 0 to 25 in 600 steps", short),
        Cell("squared (eq. 3), γ 100, the paper's C", {**squared, **paper}),
        Cell("squared (eq. 3), γ 100, C from 0 to 25 in 600", {**squared, **short}),
        Cell("absolute, γ 4, C from 0 to 25 in 600", {**absolute, **short}),
    )  # fmt: skip


def _inference_rules() -> tuple[Cell, ...]:
    rules: dict[str, dict[str, Any]] = {
        "blocks (default)": dict(),
        "Algorithm 1, loss below κ = 1.5": dict(inference="algorithm1", burn_in=200),
        "Algorithm 1, two-sided, 4 deviations": dict(
            inference="algorithm1", burn_in=200, loss_test="two_sided"
        ),
    }
    places = {"moving, static, moving": MOVING_STATIC_MOVING, "there and back": THERE_AND_BACK}
    return tuple(
        Cell(f"{rule}: {place}", dict(overrides), sequence=sequence)
        for rule, overrides in rules.items()
        for place, sequence in places.items()
    )


STUDIES: dict[str, Study] = {
    "sequences": Study(
        "does the learner find every world, and none twice, without being told?",
        _sequences(), SWITCHING, steps=600, base=PLAIN_START, probes=False,
    ),
    "figure2": Study(
        "Figure 2: which latents are shared, and what do the probes read?",
        (Cell("VASE"), Cell("CCI-VAE", CONDITIONS["none"])), LEARNT, pictures=True,
    ),
    "printed": Study(
        "what becomes of the recipe as printed on a short schedule?",
        (
            Cell("VASE"),
            Cell("as printed", as_printed=True),
            Cell("as printed, C 0 to 35 within the run", dict(
                capacity_rate=1 / 3000), as_printed=True),
        ),
        (*SWITCHING, *COLLAPSE, *OBJECTS, *POSITIONS, *LATENTS), base=PLAIN_START,
    ),
    "ablation": Study(
        "Table 1: what do inference (S), dreaming (D) and masks (A) each do?",
        _conditions(), (*TABLE_1, *FOUND, *LATENTS),
    ),
    "ablation-return": Study(
        "Table 3: the same where a world comes back",
        _conditions(), (*OBJECTS, *FOUND, *LATENTS), sequence=THERE_AND_BACK,
    ),
    "initialisation": Study(
        "how do fresh weights, and a β that warms up, tell in a short visit?",
        _initialisations(), (*LEARNT, *COLLAPSE[:2]),
    ),
    "dreaming": Study(
        "which weights α and β, and is the decoder's divergence a sum or a mean?",
        _dreaming_weights(), LEARNT, steps=300, base=PLAIN_START,
    ),
    "optimizer": Study(
        "should Adam's moments outlive a change of environment?",
        (Cell("kept", dict(reset_optimizer=False)), Cell("cleared", dict(reset_optimizer=True))),
        LEARNT, steps=300, base=PLAIN_START,
    ),
    "snapshot": Study(
        "when is the snapshot taken that is dreamt from?",
        _snapshots(), LEARNT, steps=300, base=PLAIN_START,
    ),
    "masks": Study(
        "when, and at which thresholds, are latents masked?",
        _masks(), LEARNT, steps=300, base=PLAIN_START,
    ),
    "capacity": Study(
        "which form of the capacity term survives a short schedule?",
        _capacities(), (*COLLAPSE, *OBJECTS, *POSITIONS, *LATENTS), steps=300,
        base=PLAIN_START,
    ),
    "inference": Study(
        "which rule finds the switches and returns?",
        _inference_rules(), SWITCHING, steps=300, base=PLAIN_START, probes=False,
    ),
    "collapse": Study(
        "does any seed of a short schedule collapse?",
        (Cell("VASE"),), (*COLLAPSE, *REGISTRY), steps=600, probes=False,
    ),
    "disentanglement": Study(
        "how disentangled are the latents, on sprites with known factors?",
        (
            Cell("VASE"),
            Cell("CCI-VAE", CONDITIONS["none"]),
            Cell("entangled VAE", CONDITIONS["none"], entangled=True),
        ),
        tuple(
            Column(name, name.replace("_", " "), digits=3)
            for name in ("mig", "dci_disentanglement", "dci_completeness", "dci_informativeness",
                         "sap", "modularity", "factor_vae")
        ),
        sequence=BUILT_IN, base=PLAIN_START, probes=False, disentanglement=True,
    ),
}  # fmt: skip
