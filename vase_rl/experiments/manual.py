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
inspect and train), agent.zip (for evaluate) and history.npz (frame by frame). It takes two to three
minutes on two cores.
"""

STREAM = """\
sources: garments and glyphs are built in; mnist and fashion are read from --data-dir or
$VASE_RL_DATA (see vase-rl data). Each also as moving-X, inverted-X, moving-inverted-X, large-X and
large-inverted-X. faces (built in) and celeba (read) fill the frame; each also as inverted-X.
env:ID is a Gymnasium environment under random actions, trajectory:PATH a recording, both in the
order of their frames; digits after their last colon are the number of frames.

examples:
  vase-rl stream --sequence moving-garments:8000,glyphs:4000,moving-garments:4000
  vase-rl stream --sequence moving-fashion,mnist,moving-mnist --data-dir ~/data
  vase-rl stream --sequence moving-glyphs,inverted-garments --motion smooth --seed 3
  vase-rl stream --sequence faces:8000,large-inverted-garments:8000 --size 32
  vase-rl stream --sequence env:VizdoomBasic-v1:3000,env:VizdoomTakeCover-v1:3000

metrics.json lists the switches that were found beside the true ones, how many environments were
false and how many changes were missed. DIR also holds encoder.pt, history.npz, timeline.svg and
cross-domain.png: frames of every source, decoded as every environment. 10,000 frames take about a
minute on two cores, with --config dmlab-compact --frames-per-update 4 five minutes or more.
"""

TRAIN = """\
examples:
  vase-rl train --env vase_rl/SpriteReach-v0 --encoder runs/demo/encoder.pt
  vase-rl train --env vase_rl/SpriteReach-v0 --algorithm sac --hyperparameters sac.yml
  vase-rl train --env vase_rl/SpriteReach-v0 --env-arg family=glyphs --env-arg target=[0.2,0.8]
  vase-rl train --env ALE/Pong-v5 --algorithm dqn --frames 200000
  vase-rl train --env VizdoomBasic-v1 --pixels-key screen
  vase-rl train --env vase_rl/SpriteReach-v0 --envs 8 --tensorboard runs/tensorboard

Any Gymnasium environment with uint8 images will do. `module:ID` imports the module first; ViZDoom,
Atari, MiniWorld and MiniGrid need no module, but pip install "vase_rl[worlds]". With --encoder its
weights stay as they are, unless --online is given; without it a new encoder learns along with the
agent. PPO and A2C then see through a copy that changes between rollouts only; DQN
and SAC keep frames and encode them anew whenever they learn from them. DIR then holds agent.zip
(agent and encoder together, for evaluate), encoder.pt and metrics.json.

Return and success while it trains are those of the actions that the agent explores with; evaluate
takes the most likely ones. On two cores 30,000 frames of SpriteReach take PPO about a minute with a
frozen encoder, about five with one that learns along.

hyperparameters, a line `name: value` each in the YAML file; the others keep their defaults, which
metrics.json shows. A file, and what each algorithm knows:

  learning_rate: 0.0003
  net_arch: [64, 64]                               # hidden layers
  activation: relu                                 # or tanh

  ppo  learning_rate n_steps batch_size n_epochs gamma gae_lambda clip_range normalize_advantage
       ent_coef vf_coef max_grad_norm target_kl net_arch activation log_std_init
  a2c  learning_rate n_steps gamma gae_lambda normalize_advantage ent_coef vf_coef max_grad_norm
       use_rms_prop rms_prop_eps net_arch activation log_std_init
  dqn  learning_rate buffer_size learning_starts batch_size tau gamma train_freq gradient_steps
       target_update_interval exploration_fraction exploration_initial_eps exploration_final_eps
       max_grad_norm net_arch activation
  sac  learning_rate buffer_size learning_starts batch_size tau gamma train_freq gradient_steps
       ent_coef target_update_interval target_entropy net_arch activation
"""

EVALUATE = """\
examples:
  vase-rl evaluate runs/demo/agent.zip --env vase_rl/SpriteReach-v0
  vase-rl evaluate runs/demo/agent.zip --env vase_rl/SpriteReach-v0 --env-arg family=glyphs \\
      --record 5

Neither agent nor encoder learns; the agent takes its most likely actions, not sampled ones as in
training. --record leaves an animation, episodes.gif, in DIR.
"""

INSPECT = """\
examples:
  vase-rl inspect runs/demo/encoder.pt
  vase-rl inspect runs/train/agent.zip --out runs/inspect-agent

Prints the environments that an encoder knows, and which latents each uses, freezes (masked there,
used elsewhere) or has to spare; leaves traversals.png, a row per latent and a column per
environment, and metrics.json in DIR.
"""


RECORD = """\
examples:
  vase-rl record VizdoomBasic-v1 --frames 5000 --size 111x84 --out runs/basic
  vase-rl record VizdoomTakeCover-v1 --env-arg frame_skip=4 --out runs/cover
  vase-rl record vase_rl/SpriteReach-v0 --policy runs/demo/agent.zip
  vase-rl stream --sequence trajectory:runs/basic:5000,trajectory:runs/cover:5000

Pictures, actions and rewards of whole episodes go to DIR/data, without loss and uncompressed: a
frame of 111x84 takes 28 kB. The same command goes on where an earlier one was interrupted, or
with a larger --frames. 10,000 frames of ViZDoom take less than half a minute on two cores. Needs
pip install "vase_rl[recordings]"; in Python, minari.MinariDataset("DIR/data") opens it.

As in every Minari data set an episode of T steps has T + 1 frames. The last is recorded as the
environment gives it, which may be black (ViZDoom) or the one before once more; trajectory:DIR
leaves such frames out, and other readers should.
"""

DETECT = """\
streams: sprites, reach-random, reach-ppo, reach-trained, vizdoom, vizdoom-ppo, vizdoom-maze, atari,
  miniworld; each also as X-gradual, X-short, X-recurring and X-still
detectors: blocks, algorithm1, adwin, page-hinkley, welch, mmd-latents, mmd-pixels, always, never
  blocks is the learner's rule (setting: shift_deviations); algorithm1 is the paper's rule as
  printed (kappa), which trains a learner at each of its three settings, a minute or more per
  30,000 frames each, and runs only where it is named; adwin, page-hinkley and welch look at the
  losses of a plain VAE, mmd at its latents or at small pixels

examples:
  vase-rl detect                                           built-in streams, all but algorithm1
  vase-rl detect --streams vizdoom vizdoom-still --detectors blocks adwin never --seeds 0-2
  vase-rl detect --streams sprites-gradual --frames 100000 --data-dir data

Visits last 3,000 to 8,000 frames (short: 500 to 1,000), to worlds drawn at random; in recurring
streams to two worlds in turn, A-B-A-B; in gradual ones a world takes the place of the one before
over 1,000 frames; in still ones nothing changes. --frames must be enough for a switch: 11,000
(short: 1,500; still: 1,000). Players are random, scripted (reach-trained), or a PPO that learns as
it goes from world to world. vizdoom has four scenarios (maze: MyWayHome, too),
atari three houses of Crazy Climber, miniworld four textures of one room. These three need
pip install "vase_rl[worlds]", adwin and page-hinkley pip install "vase_rl[detect]".

Every detector runs at several settings. DIR/table.md compares them at their defaults and, where the
group's still stream was run, at matched false-alarm rates; sweep.svg shows all settings,
timeline.svg the alarms of the first seed. A run that is started again goes on with the next stream.
By default it takes about ten minutes on two cores. With --detectors blocks a stream takes about
half a minute, one that a PPO plays up to two. --ray needs pip install "vase_rl[ray]".
"""

DATA_ACTIONS = {
    "list": "what there is: size, licence, and which files are here",
    "fetch": "download, going on where an earlier download broke off, and check",
    "verify": "check what is here: checksums, and whether the readers can read it",
}

EXPLORE = """\
Three worlds in turn: one where things move, one where nothing moves, and the second with things
that move. In the first the learner finds out what a place is, and a policy how to bring things
there. In the second, the learner imagines what the first could have shown, the policy moves what it
sees, and the learner trains on the outcome (Figure 4C). A classifier of moving objects learns
beside it from what the learner sees. It is tested on real moving objects: with exploration,
without, and, as an upper bound, with the real thing in place of the second world.

examples:
  vase-rl explore                          built-in sprites; then open runs/explore/report.html
  vase-rl explore --seeds 10-12 --steps 2000
  vase-rl explore --data-dir ~/data        moving Fashion, MNIST, moving MNIST

A seed takes about twenty minutes, and on two cores two run at once; finished ones are not run
again. DIR holds metrics.json, table.md, report.html, curves.svg, imagined.png, imagined.gif and
runs/.
"""

REPRODUCE = """\
targets, and training steps per visit × seeds at the scales smoke, cpu and paper:
TARGETS
  fig4 is 4a, 4b and 4c; all is all of them; figure2 may be written for fig2.

examples:
  vase-rl reproduce fig2                           a minute, on built-in sprites
  vase-rl reproduce all --out runs/smoke
  vase-rl reproduce table1 table3 --scale cpu --data-dir ~/data
  vase-rl reproduce fig4a --scale cpu --data-dir ~/data --stand-in celeba
  vase-rl reproduce fig4b --scale cpu --trajectories runs/outdoors runs/indoors
  vase-rl reproduce table1 --scale paper --device cuda --workers 1 --replicas 20 --data-dir ~/data
  vase-rl reproduce table1 --scale paper --seeds 0-19 --ray --data-dir /shared/data

DIR/TARGET holds table.md, table.csv (a line per number: the paper's, ours, standard error) and
pictures as PNG; DIR/metrics.json has all numbers. The table says what was learnt from, and how
far that is the paper's experiment. Smoke learns with small networks, cpu with those of the preset
compact-detail; paper takes the networks, hyperparameters and steps of Tables 1 and 2, but infers
environments by this program's own rule. fig4c keeps its compact networks at every scale.

A target takes about a minute at smoke. At cpu, on two cores, table1 and table3 take about an hour
each, fig2, fig3 and fig4a ten to thirty minutes; the others should take an hour or less, an
estimate. Runs go to DIR/runs; targets share those that they have in common, and what was
interrupted goes on where it stopped.

--replicas concerns targets that learn from batches: not fig4b, fig4c and fig5b.
--ray needs pip install "vase_rl[ray]" on every machine of the cluster; a run takes a core there,
with --device cuda a GPU, too. Data must lie in one place on all of them; results come back here.
"""

BENCH = """\
examples:
  vase-rl bench
  vase-rl bench --quick --rounds 5 --out runs/bench-quick
  OMP_NUM_THREADS=1 vase-rl bench --quick --out runs/bench-one-thread

It measures, one after the other in every round: a training step of the paper's network with
dreaming, in float32 and bfloat16, beside one as it would be written down from the paper, and beside
the machine's fastest matrix products and convolutions; encoding and the frozen wrapper beside the
bare forward pass; training without dreams beside the loop of a public VAE library, where that is
installed (pip install "vase_rl[bench]" brings pythae); the most memory of a process; and what a
step costs as latents, frames and known environments grow. DIR holds metrics.json, with every time,
and performance.md, the tables.

On two cores that nothing else uses it takes about ten minutes, --quick about three: an estimate.
Other work on the machine slows all of it, but not evenly: look at the quartiles.
"""

DATA = """\
examples:
  vase-rl data list --data-dir ~/data
  vase-rl data fetch mnist fashion --data-dir ~/data
  vase-rl data fetch mnist --data-dir ~/data --base-url https://mirror.example.org/mnist
  vase-rl data verify celeba --data-dir ~/data

Files go to D/mnist, D/fashion-mnist and D/celeba; torchvision's folders are found too. A file that
is not the published one is never overwritten. celeba's authors ask everyone to agree to their
terms, so it is fetched by hand: `vase-rl data fetch celeba --data-dir D` says from where.
"""


def reproduce() -> str:
    """The targets that there are, a line each, with their steps and seeds at every scale."""
    from .targets import SCALES, TARGETS

    lines = []
    for name, target in TARGETS.items():
        scales = [target.scale(scale) for scale in SCALES]
        numbers = [f"{scale.steps:,} × {scale.seeds}" for scale in scales]
        lines.append(f"  {name:8}{target.title:42}{numbers[0]:10}{numbers[1]:12}{numbers[2]}")
    return REPRODUCE.replace("TARGETS", "\n".join(lines))


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

A run is one condition and seed; of 1,000 batches per visit it takes about two minutes, of 300 about
half a minute. On two cores two run side by side: ablation takes about an hour, dreaming six
minutes. Each result goes to DIR/runs; a study that is started again goes on where it stopped. Then
DIR/table.md, DIR/table.csv and DIR/metrics.json hold mean and standard error over seeds.
"""
