"""The page on a run of the demo, made from what the run left in its directory."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from ..files import write_whole
from ..learner import VASE
from . import plots
from .gallery import Gallery, gallery
from .history import History
from .inspection import TRAVERSAL_RANGE, Role, latent_roles
from .page import chart, chip, image, page, paragraph, section, table
from .pictures import Images, data_uri, png, strip
from .probes import Probe, probe_position
from .words import agent_words, listed, memory_words, number_rows, percent, stream_words, tiles

FRAMES_SHOWN = 10


@dataclass(frozen=True)
class Material:
    """What a run left behind; the agent's part is missing after an interrupt."""

    path: Path
    metrics: dict[str, Any]
    history: History
    vase: VASE
    galleries: list[Gallery]
    probes: list[Probe]

    @classmethod
    def of(cls, path: Path) -> Material:
        """Read a run's directory and look at its worlds through its encoder."""
        metrics = json.loads((path / "metrics.json").read_text())
        history = History.load(path / "history.npz")
        vase = VASE.load(path / "encoder.pt", device="cpu")
        world = {"seed": metrics["seed"], "size": metrics["size"]}
        galleries = [
            gallery(vase, source, motion=metrics["motion"], count=FRAMES_SHOWN, **world)
            for source in history.sources
        ]
        probes = [
            probe_position(vase, source, **world)
            for source in metrics.get("position_r2_by_world", {})
        ]
        return cls(path, metrics, history, vase, galleries, probes)

    def colour(self, source: str) -> str:
        """The colour of a world."""
        return plots.world_colour(self.history.sources, source)

    def owner(self, environment: int) -> str:
        """The world that an environment belongs to."""
        return self.history.score.owners[environment]


def write_report(path: Path) -> None:
    """Write `report.html` and the charts in `pictures/` from the files of a run.

    Args:
        path: directory with `metrics.json`, `history.npz`, `encoder.pt` and, unless the run was
            interrupted, `agent.gif` and `agent.png`.
    """
    material = Material.of(path)
    parts = [
        header(material),
        noticing(material),
        seeing(material),
        latents(material),
        position(material),
        agent(material),
        numbers(material),
        footer(material),
    ]
    text = page("vase_rl demo: one learner, changing worlds", "\n".join(filter(None, parts)))
    write_whole(path / "report.html", text.encode())


def draw(material: Material, figure: Any, name: str, alt: str, caption: str = "") -> str:
    """A chart for the page, and as a file beside it."""
    text = plots.svg(figure, name)
    plots.write_svg(text, material.path / "pictures" / f"{name}.svg")
    return chart(text, alt, caption)


def header(material: Material) -> str:
    """Title, what this is, and the numbers that matter most."""
    metrics = material.metrics
    unfinished = ""
    if "reach_success" not in metrics:
        unfinished = (
            '<div class="card warning">This run was interrupted: the page shows what was '
            "finished.</div>"
        )
    boxes = "".join(
        f'<div class="tile"><b>{value}</b><span>{words}</span></div>'
        for value, words in tiles(metrics)
    )
    return (
        '<div class="kicker">vase_rl demo</div>\n'
        "<h1>One learner, changing worlds</h1>\n"
        + paragraph(
            "A learner watches a stream of pictures. Nobody tells it that they come from "
            "different worlds, which world is on, or when that changes. It has to notice the "
            "changes by itself, keep what it has learnt, and recognise a world that comes back. "
            "Then an agent that sees only its latents practises to move a garment to a target, "
            "and has to do the same with a glyph, for which it was never rewarded.",
            "lead",
        )
        + f'{unfinished}<div class="tiles">{boxes}</div>'
    )


def noticing(material: Material) -> str:
    """The timeline."""
    history = material.history
    visits = ", ".join(f"{v.source} from frame {v.start}" for v in history.visits)
    found = ", ".join(f"environment {s.environment} at frame {s.frame}" for s in history.switches)
    return section(
        "Noticing that the world has changed",
        paragraph(stream_words(material.metrics)),
        draw(
            material,
            plots.timeline(history, {g.source: g.frames for g in material.galleries}),
            "timeline",
            f"Timeline of the stream. True worlds: {visits}. Switches found: {found or 'none'}.",
            "Above, the world that the frames come from, with examples; below, the environment "
            "that the learner believes to be in, in the colour of the world that it was opened in. "
            "Hatched: the first frames, gathered before learning begins. Triangles: switches.",
        ),
    )


def seeing(material: Material) -> str:
    """Frames and how they are decoded, as their own environment and as the others."""
    cards = []
    for shown in material.galleries:
        rows = [_row("frames", "", shown.frames, f"Frames of {shown.source}")]
        others = [e for e in range(len(shown.seen_as)) if e != shown.environment]
        for environment in (shown.environment, *others):
            images = shown.seen_as[environment]
            own = environment == shown.environment
            owner = material.owner(environment)
            words = "reconstructed" if own else f"seen as {owner}"
            label = f"{words}<br>environment {environment}"
            alt = f"The frames of {shown.source}, {words}, environment {environment}"
            rows.append(_row(label, "own" if own else "", images, alt))
        cards.append(
            f'<div class="card"><h3>{chip(material.colour(shown.source))}{escape(shown.source)}'
            f'</h3><div class="scroll"><div class="rows">{"".join(rows)}</div></div></div>'
        )
    return section(
        "What it sees",
        paragraph(
            "Sprites that were never in the stream, and what is left of them after they have gone "
            "through the latents. The lower rows decode the same latents <em>as another "
            "world</em>. Compare them with the frames: what latents say that both worlds share can "
            "carry over, such as the sprite's place; what only one of them can say cannot."
        ),
        *cards,
    )


def _row(label: str, kind: str, images: Images, alt: str) -> str:
    uri = data_uri(png(strip(images)))
    return f'<span class="{kind}">{label}</span>{image(uri, alt)}'


def latents(material: Material) -> str:
    """Atypicality over time and traversals."""
    config = material.vase.config
    history = material.history
    boundaries = ", ".join(f"{b.frame}" for b in history.score.boundaries)
    return section(
        "What each latent is for",
        paragraph(
            "Atypicality α tells how far a latent's values in the present frames are from the "
            "standard normal that they follow at home. A latent that is atypical (α ≥ λ = "
            f"{config.atypicality_threshold:g}) when a new world opens cannot mean the same "
            "there: it is masked, so that its meaning is kept for the worlds that use it, and "
            "spare latents learn what is new. Typical latents are shared."
        ),
        draw(
            material,
            plots.atypicality_and_loss(history, config.atypicality_threshold),
            "atypicality",
            f"Above, atypicality of {config.latents} latents over {history.frames} frames as a "
            "heat map; below, the reconstruction loss. The world changes at frames "
            f"{boundaries or 'none'}.",
            "Solid lines: the world changes. Dashed lines: the learner's switches.",
        ),
        paragraph(
            "Below, one latent at a time runs from "
            f"−{TRAVERSAL_RANGE:g} to {TRAVERSAL_RANGE:g} while the others stay, in every "
            "environment that the learner knows. A row is one latent: where it is "
            "<em>used</em> in several columns, compare what it does there. <em>Frozen</em>: masked "
            "in this environment, used in another. <em>Spare</em>: not needed, free for what is "
            f"to come. {_frozen_words(material)}"
        ),
        _traversals(material),
    )


def _frozen_words(material: Material) -> str:
    said = []
    for environment, roles in enumerate(latent_roles(material.vase)):
        names = [f"z<sub>{n}</sub>" for n, role in enumerate(roles) if role == "frozen"]
        if names:
            verb = "is" if len(names) == 1 else "are"
            world = escape(material.owner(environment))
            said.append(f"in {world}, {listed(names)} {verb} frozen")
    return f"Here, {'; '.join(said)}." if said else "Here, no latent is frozen."


def _traversals(material: Material) -> str:
    first = {shown.environment: shown for shown in reversed(material.galleries)}
    shown = [first[environment] for environment in sorted(first)]
    roles = latent_roles(material.vase)
    cells = ["<span></span>"]
    for part in shown:
        cells.append(
            f'<div class="head">{chip(material.colour(part.source))}environment '
            f"{part.environment}, {escape(part.source)}</div>"
        )
    spare = []
    for latent, parts in enumerate(zip(*roles, strict=True)):
        if "used" not in parts:
            spare.append(f"z<sub>{latent}</sub>")
            continue
        cells.append(f'<div class="name">z<sub>{latent}</sub></div>')
        cells += [_traversal(part, latent, parts[part.environment]) for part in shown]
    columns = f"grid-template-columns: 34px repeat({len(shown)}, 1fr)"
    rest = f"Spare in every environment: {', '.join(spare)}." if spare else "No latent is spare."
    return (
        f'<figure class="card"><div class="scroll"><div class="latents" style="{columns}">'
        f"{''.join(cells)}</div></div><figcaption>{rest}</figcaption></figure>"
    )


def _traversal(shown: Gallery, latent: int, role: Role) -> str:
    alt = f"Latent {latent} traversed in environment {shown.environment}: {role}"
    picture = image(data_uri(png(strip(shown.traversals[latent], gap=1))), alt)
    return (
        f'<div class="cell"><span class="role {role}">{role}</span>'
        f'<div class="ground">{picture}</div></div>'
    )


def position(material: Material) -> str:
    """The probe, and what was kept of every world."""
    if not material.probes:
        return ""
    read = ", ".join(f"R² {probe.r2:.3f} in {probe.source}" for probe in material.probes)
    return section(
        "Where is the sprite?",
        paragraph(
            "A linear read-out, fitted to the latents of one set of sprites, tells the place of "
            "others that the learner has never seen. It is tested at the end of the stream, with "
            f"the learner frozen: {read}."
        ),
        draw(
            material,
            plots.probe_scatter(material.probes, material.history.sources),
            "probe",
            f"True against read-out position: {read}.",
            "Each dot is a frame; positions run from 0 to 1 over the sprite's range. On the dashed "
            "line, the read-out is exact.",
        ),
        paragraph(memory_words(material.metrics)),
        _memory(material),
    )


def _memory(material: Material) -> str:
    memory, sources = material.metrics["memory"], material.history.sources
    visits = [visit["visit"] for visit in memory]
    head = ["tested on", *(f"visit {n + 1}:<br>{name}" for n, name in enumerate(visits))]
    rows = []
    for measure, words, digits in (("position_r2", "position R²", 3), ("loss", "loss, nats", 1)):
        for source in sources:
            values = [visit[measure].get(source) for visit in memory]
            if any(value is not None for value in values):
                name = f"{chip(material.colour(source))} {escape(source)}, {words}"
                rows.append([name, *("" if v is None else f"{v:.{digits}f}" for v in values)])
    return table(head, rows, set(range(1, len(head))), "memory")


def agent(material: Material) -> str:
    """Film and learning curve."""
    metrics = material.metrics
    if "reach_success" not in metrics:
        return ""
    return section(
        "Does an agent take its skill along?",
        paragraph(agent_words(metrics)),
        f'<div class="two">{_film(material)}{_learning(material)}</div>',
    )


def _film(material: Material) -> str:
    film = data_uri((material.path / "agent.gif").read_bytes(), "image/gif")
    still = data_uri((material.path / "agent.png").read_bytes())
    alt = "Animation: the agent moves a garment (left) and a glyph (right) to the target"
    return (
        '<figure class="card"><div class="film-heads"><div><b>garments</b><span>where it '
        "practised</span></div><div><b>glyphs</b><span>where it was never rewarded</span></div>"
        '</div><picture><source media="(prefers-reduced-motion: reduce)" '
        f'srcset="{still}">{image(film, alt, "film")}</picture>'
        "<figcaption>The same policy and the same encoder on both sides, both frozen. The ring is "
        "the target; it is drawn for us, the agent does not see it. It turns green on success."
        "</figcaption></figure>"
    )


def _learning(material: Material) -> str:
    metrics = material.metrics
    curve = metrics["agent_curve"]
    points = np.array([curve["frames"], curve["success"], curve["return_mean"]], dtype=float).T
    levels = [
        (f"{name} {percent(metrics[key])}", float(metrics[key]), colour)
        for name, key, colour in (
            ("garments", "reach_success", plots.WORLD_COLOURS[0]),
            ("glyphs", "reach_success_transfer", plots.WORLD_COLOURS[2]),
            ("chance", "reach_success_random", plots.RANDOM_COLOUR),
        )
    ]
    said = ", ".join(words for words, _, _ in levels)
    return draw(
        material,
        plots.learning_curve(points, levels),
        "learning",
        f"Learning curve of the agent; success afterwards: {said}.",
        "Solid: success while it practises with garments. Dashed: measured afterwards, on sprites "
        "that neither encoder nor agent has seen.",
    )


def numbers(material: Material) -> str:
    """Every number that matters, with its meaning."""
    known = number_rows(material.metrics)
    rows = [[f"{words} <code>{key}</code>", value] for key, value, words in known]
    head = ["what it is, and its name in metrics.json", "value"]
    return section("The numbers", table(head, rows, {1}, "numbers"))


def footer(material: Material) -> str:
    """How to get this page again."""
    metrics = material.metrics
    loaded = ", ".join(f"{name} {release}" for name, release in metrics["versions"].items())
    memory = metrics["peak_memory_mib"]
    held = "" if memory is None else f" and {memory / 1024:.1f} GiB of memory at the most"
    return (
        f"<footer><p>Made by <code>{escape(metrics['command'])}</code> with seed "
        f"{metrics['seed']}, in {metrics['seconds'] / 60:.1f} minutes{held}. {escape(loaded)}.</p>"
        "<p>The method: Achille et al., Life-Long Disentangled Representation Learning with "
        "Cross-Domain Latent Homologies, NeurIPS 2018. Every number and picture on this page was "
        "computed by this run.</p></footer>"
    )
