"""What `vase-rl reproduce` can make: the paper's tables and figures, and how much of each is run.

Conditions, sequences and columns are those of `studies`; nothing here runs anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from .studies import (
    FIVE_SETS,
    FOUND,
    LATENTS,
    MOVING_STATIC_MOVING,
    OBJECTS,
    POSITIONS,
    STUDIES,
    THERE_AND_BACK,
    Cell,
)
from .tables import Column

Kind = Literal["lifelong", "stream", "explore"]
Picture = Literal["none", "latents", "traversals", "cross-domain", "ambiguity"]

DETAIL = "compact-detail"
FRAMES_PER_UPDATE = 4
"""Of a stream of recorded frames, which come one at a time."""
SMALL: dict[str, Any] = dict(
    image_size=16, filters=(16, 16), hidden=64, latents=10, used_interval=40
)
"""Networks for a minute's run: everything happens, little is learnt."""


@dataclass(frozen=True)
class Scale:
    """How much of a target is run.

    Attributes:
        steps: training steps per visit to a source, of a batch each.
        seeds: runs of every condition.
        preset: of `VASEConfig`.
        overrides: fields that differ from the preset.
    """

    steps: int
    seeds: int
    preset: str = DETAIL
    overrides: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """A table or figure of the paper.

    Attributes:
        title: where it is: the preprint's number, and the camera-ready supplement's where another.
        says: what the paper says of it in words.
        sequence: the paper's sources; `materials.Materials` says what stands in for them.
        cells: conditions.
        columns: numbers.
        smoke, cpu, paper: the scales.
        picture: what is drawn of the first seed.
        kind: whether learners get batches, watch a stream, or explore.
        probes: whether classes and positions are read out beside (A.6).
    """

    title: str
    says: str
    sequence: tuple[str, ...]
    cells: tuple[Cell, ...]
    columns: tuple[Column, ...]
    smoke: Scale
    cpu: Scale
    paper: Scale
    picture: Picture = "none"
    kind: Kind = "lifelong"
    probes: bool = True

    def scale(self, name: str) -> Scale:
        """By its name, one of `SCALES`."""
        found: Scale = getattr(self, name)
        return found


SCALES = ("smoke", "cpu", "paper")

_SIXTEEN = STUDIES["ablation"].cells[:16]
_BY_NAME = {cell.name: cell for cell in _SIXTEEN}
VASE = (_BY_NAME["SDA"],)
BESIDE_CCI = (*VASE, _BY_NAME["none"])
BESIDE_ENTANGLED = (*VASE, _BY_NAME["SDA, entangled"])

TABLE_1 = (OBJECTS[0], OBJECTS[1], POSITIONS[0], POSITIONS[1], *FOUND, *LATENTS)
TABLE_3 = (OBJECTS[1], OBJECTS[0], *FOUND, *LATENTS)
FIVE = (*TABLE_1, Column("missed", "switches missed"))
AMBIGUITY = (
    *FOUND,
    Column("boundary", "boundary: weight where q = ½", digits=2),
    Column("width", "weights from q = 0.9 to 0.1", digits=2),
    Column("boundary_first", "boundary beside ¼ real ones of the first", digits=2),
    Column("boundary_second", "beside ¼ real ones of the second", digits=2),
    Column("sigma_ratio", "σ of used latents at weight ½, by that at 0 and 1", digits=2),
)
STREAM = (*FOUND, Column("false_environments", "false", digits=2), Column("missed", "missed"))
EXPLORATION = (
    Column("accuracy", "accuracy %", 100),
    Column("accuracy_probe", "A.6's probe %", 100),
    Column("accuracy_end", "accuracy % after the third world", 100),
)

# The rows of Table 2; "the paper's schedule" is its number of steps per data set.
_TABLES: dict[str, Any] = dict(
    smoke=Scale(40, 1, overrides=SMALL), cpu=Scale(1000, 3), paper=Scale(150_000, 20, "ablation")
)
_FIGURES: dict[str, Any] = dict(
    smoke=Scale(250, 1, overrides=SMALL), cpu=Scale(3000, 3), paper=Scale(150_000, 1, "ablation")
)
_LEVELS: dict[str, Any] = dict(
    sequence=("natlab", "ede"), kind="stream", smoke=Scale(250, 1, "compact"),
    cpu=Scale(2000, 3, "dmlab-compact"), paper=Scale(60_000, 1, "dmlab"),
)  # fmt: skip
_FIVE_SETS: dict[str, Any] = dict(
    sequence=FIVE_SETS, cells=VASE, columns=FIVE, smoke=Scale(250, 1, overrides=SMALL),
    cpu=Scale(3000, 2), paper=Scale(150_000, 1, "five-datasets"),
)  # fmt: skip

TARGETS: dict[str, Target] = {
    "table1": Target(
        "Table 1",
        "the unablated disentangled VASE (SDA) forgets least; entangled ones forget more than "
        "disentangled ones where all of S, D and A are on, and learn no less",
        MOVING_STATIC_MOVING, _SIXTEEN, TABLE_1, **_TABLES,
    ),
    "table3": Target(
        "Table 3",
        "the unablated disentangled VASE (SDA) forgets least",
        THERE_AND_BACK, _SIXTEEN, TABLE_3, **_TABLES,
    ),
    "fig2": Target(
        "Figure 2",
        "VASE (SDA) shares the positional latents between the two moving worlds, freezes them in "
        "the static one, keeps what its probes read, and uses a third of its latents; CCI-VAE "
        "(none) shares all latents and forgets",
        MOVING_STATIC_MOVING, BESIDE_CCI, TABLE_1, **_FIGURES, picture="latents",
    ),
    "fig3": Target(
        "Figure 3",
        "levels of performance are similar to those on three data sets",
        **_FIVE_SETS, picture="latents",
    ),
    "fig4a": Target(
        "Figure 4A (camera-ready 5A)",
        "there is a sharp boundary between the two readings; the context moves it; σ of the "
        "relevant latents rises where the input is ambiguous",
        ("celeba", "large-inverted-fashion"), VASE, AMBIGUITY,
        smoke=Scale(300, 1, overrides={**SMALL, "image_size": 32}), cpu=Scale(5000, 3),
        paper=Scale(30_000, 1, "celeba-fashion"), picture="ambiguity", probes=False,
    ),
    "fig4b": Target(
        "Figure 4B (camera-ready 5B)",
        "VASE finds homologies between the worlds; the entangled VAE matches their texture",
        cells=BESIDE_ENTANGLED, columns=STREAM, **_LEVELS, picture="cross-domain",
    ),
    "fig4c": Target(
        "Figure 4C (camera-ready 5C)",
        "with exploration, a classifier of moving digits does well before any has been seen",
        MOVING_STATIC_MOVING,
        tuple(Cell(name) for name in ("with_exploration", "without", "upper_bound")), EXPLORATION,
        smoke=Scale(60, 1), cpu=Scale(1500, 3), paper=Scale(45_000, 1), kind="explore",
    ),
    "fig5a": Target(
        "Figure 5 (camera-ready 6), left half",
        "what one world uses is frozen or reused in the next, and spare latents are added",
        THERE_AND_BACK, VASE, TABLE_3, **_FIGURES, picture="traversals",
    ),
    "fig5b": Target(
        "Figure 5 (camera-ready 6), right half",
        "what one world uses is frozen or reused in the next, and spare latents are added",
        cells=VASE, columns=STREAM, **_LEVELS, picture="traversals",
    ),
    "fig6": Target(
        "Figure 6 (camera-ready 7)",
        "the entangled baseline forgets moving Fashion by the end",
        MOVING_STATIC_MOVING, BESIDE_ENTANGLED, TABLE_1, **_FIGURES, picture="cross-domain",
    ),
    "fig7": Target(
        "Figure 7 (camera-ready 8)",
        "every world adds latents of its own, and freezes or reuses those of earlier ones",
        **_FIVE_SETS, picture="traversals",
    ),
    "fig8": Target(
        "Figure 8 (camera-ready 9)",
        "every world is decoded as each of the five",
        **_FIVE_SETS, picture="cross-domain",
    ),
}  # fmt: skip
GROUPS = {
    "fig4": ("fig4a", "fig4b", "fig4c"), "fig5": ("fig5a", "fig5b"), "all": tuple(TARGETS)
}  # fmt: skip
"""Several targets by one name."""


def chosen(names: tuple[str, ...]) -> list[str]:
    """Targets in the order given, each once; `figure2` is `fig2`.

    Raises:
        ValueError: there is no such target; the message lists those that there are.
    """
    found: list[str] = []
    for name in names:
        short = name.replace("figure", "fig", 1) if name.startswith("figure") else name
        if short not in TARGETS and short not in GROUPS:
            known = ", ".join((*TARGETS, *GROUPS))
            raise ValueError(f"TARGET must be one of {known}, got {name!r}")
        found += GROUPS.get(short, (short,))
    return list(dict.fromkeys(found))
