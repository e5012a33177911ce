"""What `--help` says beside the options: what a command is for, and examples."""

from __future__ import annotations

DESCRIPTION = """\
VASE learns disentangled latents from a stream of frames while the world behind them changes: it
notices the changes, keeps what it knows, and recognises a world that comes back. Agents act on
the latents.
"""

EXAMPLES = """\
start here:
  vase-rl demo                                  the whole idea in minutes; writes a page to look at

then:
  vase-rl stream --sequence moving-garments,glyphs,moving-garments
  vase-rl inspect runs/stream/encoder.pt
  vase-rl train --env vase_rl/SpriteReach-v0 --encoder runs/demo/encoder.pt
  vase-rl evaluate runs/train/agent.zip --env vase_rl/SpriteReach-v0 --env-arg family=glyphs

`vase-rl COMMAND --help` explains a command. Results are numbers in DIR/metrics.json and pictures
beside it; DIR is what --out names.
"""

DEMO = """\
examples:
  vase-rl demo                        then open runs/demo/report.html in a browser
  vase-rl demo --seed 1 --out runs/demo-1
  vase-rl demo --frames 2000 --agent-frames 4000 --episodes 20     a rough one, sooner

It streams moving garments, glyphs, moving glyphs and moving garments again; probes the latents for
the sprite's position; trains PPO on the frozen latents to move a garment to a target, and lets it
do the same with glyphs. DIR then holds report.html, metrics.json, pictures/, encoder.pt (for
inspect and train), agent.zip (for evaluate) and history.npz (frame by frame).
"""

STREAM = """\
sources: garments and glyphs are built in; mnist and fashion are read from IDX files in --data-dir
or $VASE_RL_DATA. Each also as moving-X, inverted-X and moving-inverted-X.

examples:
  vase-rl stream --sequence moving-garments:8000,glyphs:4000,moving-garments:4000
  vase-rl stream --sequence moving-fashion,mnist,moving-mnist --data-dir ~/data
  vase-rl stream --sequence moving-glyphs,inverted-garments --motion smooth --seed 3

metrics.json lists the switches that were found beside the true ones, how many environments were
false and how many changes were missed. DIR also holds encoder.pt, history.npz and timeline.svg.
"""

TRAIN = """\
examples:
  vase-rl train --env vase_rl/SpriteReach-v0 --encoder runs/demo/encoder.pt
  vase-rl train --env vase_rl/SpriteReach-v0 --env-arg family=glyphs --env-arg target=[0.2,0.8]
  vase-rl train --env ale_py:ALE/Pong-v5 --frames 200000
  vase-rl train --env VizdoomBasic-v1 --pixels-key screen
  vase-rl train --env vase_rl/SpriteReach-v0 --envs 8 --tensorboard runs/tensorboard

Any Gymnasium environment with uint8 images will do; `module:ID` imports the module first. With
--encoder its weights stay as they are, unless --online is given; without it a new encoder learns
along with the agent, which sees through a copy that changes between rollouts only. DIR then holds
agent.zip (agent and encoder together, for evaluate), encoder.pt and metrics.json.
"""

EVALUATE = """\
examples:
  vase-rl evaluate runs/demo/agent.zip --env vase_rl/SpriteReach-v0
  vase-rl evaluate runs/demo/agent.zip --env vase_rl/SpriteReach-v0 --env-arg family=glyphs \\
      --record 5

Neither agent nor encoder learns. --record leaves an animation, episodes.gif, in DIR.
"""

INSPECT = """\
examples:
  vase-rl inspect runs/demo/encoder.pt
  vase-rl inspect runs/train/agent.zip --out runs/inspect-agent

Prints the environments that an encoder knows, and which latents each uses, freezes (masked there,
used elsewhere) or has to spare; leaves traversals.png, a row per latent and a column per
environment, and metrics.json in DIR.
"""


def study() -> str:
    """The studies that there are, a line each."""
    from .studies import STUDIES

    lines = [f"  {name:15} {study.question}" for name, study in STUDIES.items()]
    return STUDY.replace("STUDIES", "\n".join(lines))


STUDY = """\
studies:
STUDIES

examples:
  vase-rl study sequences --data-dir data
  vase-rl study ablation --seeds 10-14 --out runs/ablation --data-dir data
  vase-rl study dreaming --seeds 0 --steps 200                 a rough one, sooner

Each run's result goes to DIR/runs; a study that is started again goes on where it stopped. Then
DIR/table.md, DIR/table.csv and DIR/metrics.json hold mean and standard error over seeds.
"""
