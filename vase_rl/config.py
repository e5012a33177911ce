"""Every hyperparameter of the learner in one frozen dataclass, and the named presets."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from .precision import Precision

Likelihood = Literal["bernoulli", "gaussian"]
CapacityForm = Literal["squared", "absolute", "bounded"]
InferenceRule = Literal["blocks", "algorithm1"]
MaskUpdates = Literal["entry", "hysteresis", "every"]
SnapshotSync = Literal["switch", "interval", "both"]
EncoderDistance = Literal["wasserstein", "kl"]
DecoderDistance = Literal["kl_old_new", "kl_new_old"]
Reduction = Literal["sum", "mean"]
EncoderLatents = Literal["all", "used"]
LossTest = Literal["upper", "two_sided"]
Initialisation = Literal["torch", "he"]


@dataclass(frozen=True)
class VASEConfig:
    """Hyperparameters of `VASE`, checked on construction.

    Defaults are those of the paper's ablation study (A.1, A.3, Table 2) where the paper gives a
    value. Where the paper is silent or contradicts itself the default is ours.

    Raises:
        ValueError: a field breaks its rule; the message names field, rule and value.
    """

    # --- frames and networks (A.1) ---
    image_size: int = 64
    """Height and width of the frames that the networks see, in pixels."""
    channels: int = 1
    """Colour channels of the frames: 1 (grey) or 3 (RGB)."""
    space_to_depth: int = 1
    """Side of the pixel blocks that become channels before the first convolution; 1 is the paper's
    network, 2 halves height and width at no loss of pixels and quarters the cost."""
    filters: tuple[int, ...] = (64, 64, 128, 128)
    """Output filters of the 4×4, stride 2 convolutions; the decoder is the transpose."""
    hidden: int = 256
    """Units of the fully connected layer."""
    latents: int = 24
    """N, the number of latent dimensions."""
    max_environments: int = 7
    """Size of the one-hot environment input and of the classifier q(s|x)."""
    likelihood: Likelihood = "bernoulli"
    """p(x|z,s): product of Bernoullis, or of Gaussians with a fixed standard deviation."""
    gaussian_std: float = 0.1
    """Standard deviation of the Gaussian likelihood, in units of the pixel range [0, 1]."""

    initialisation: Initialisation = "torch"
    """Fresh weights: "torch", its own rule, which shrinks a signal at every layer; "he", which
    keeps its variance (He et al. 2015), with the first frames' brightness as the output's bias.
    "he" learns sooner and more; from "torch" the latents read out more nearly linearly."""

    # --- optimisation (A.1) ---
    precision: Precision = "float32"
    """Of the layers between the latents and the frames: "float32"; "bfloat16", several times as
    fast where the hardware multiplies such numbers; "auto", "bfloat16" there and "float32"
    elsewhere. Losses, latents and the optimiser's numbers are float32 in any case."""
    learning_rate: float = 6e-4
    reset_optimizer: bool = False
    """Clear Adam's moments when an environment is left: what was gathered in one world pushes the
    weights on in the next, also those of latents that are masked there."""
    batch_size: int = 64
    """Frames per training step; larger batches are tested whole and trained on in part."""

    # --- capacity (eq. 3) ---
    capacity_form: CapacityForm = "squared"
    """"squared": γ·(KL−C)² as printed; "absolute": γ·|KL−C| (Burgess et al. 2018); "bounded":
    β·KL + γ·max(0, KL−C)², which cannot be met by inflating the marginal and so survives short
    schedules."""
    gamma: float = 100.0
    """γ, weight of the capacity term."""
    beta: float = 1.0
    """β, weight of the KL term in the bounded form."""
    beta_warm_up: int = 0
    """Training steps in a new environment over which β rises from 0: latents that cost something
    from the first step on fall silent before the decoder can use them."""
    capacity_max: float = 35.0
    """C_max, in nats."""
    capacity_rate: float = 6.3e-6
    """δC: C rises by δC·C_max per training step until it reaches C_max."""
    capacity_start: float = 0.0
    """C at the first training step, in nats; the paper starts at 0."""

    # --- the three additions: S, D, A of Table 1 ---
    clustering: bool = True
    """S: infer environments. Off, everything is environment 0: the snapshot is taken every
    `snapshot_interval` steps, for there is no switch, dreams draw every latent, and the mask
    follows every batch with hysteresis after `burn_in` steps."""
    dreaming: bool = True
    """D: the dreaming feedback loop. Off, the snapshot only feeds the classifier."""
    masking: bool = True
    """A: atypicality-based latent masks. Off, every mask is all ones."""

    # --- latent masks (eq. 4, eq. 5, A.2) ---
    atypicality_threshold: float = 0.6
    """λ, in nats: a latent at least this atypical on entry to an environment is masked."""
    atypicality_lower: float = 0.3
    """λ0: a masked latent whose atypicality falls below is unmasked."""
    atypicality_upper: float = 1.2
    """λ1: an unmasked latent whose atypicality rises above is masked."""
    mask_updates: MaskUpdates = "entry"
    """When a mask is inferred: on entry to a new environment only; on entry and afterwards with
    hysteresis; or anew from every batch (as the paper can be read)."""
    minimum_active: int = 4
    """At least this many latents, the most typical ones, stay unmasked, so that an environment
    can always be learnt."""
    used_noise_threshold: float = 1.0
    """T (A.2): a latent that tolerates noise of at least this standard deviation is unused."""
    used_interval: int = 500
    """Training steps between two estimates of the used latents."""

    # --- inferring the environment (eq. 6, Algorithm 1) ---
    inference: InferenceRule = "blocks"
    """"algorithm1": the paper's rule; "blocks": what blocks of consecutive frames look like, beside
    what those of each environment looked like and how much they differed."""
    loss_test: LossTest = "upper"
    """Algorithm 1's test of the reconstruction loss: "upper" is κ's, as printed; "two_sided" also
    refuses a loss that is far below what the environment's batches cost."""
    loss_tolerance: float = 1.5
    """κ: the upper test accepts a loss of up to κ times the environment's average."""
    loss_deviations: float = 4.0
    """The two-sided test accepts a loss within so many standard deviations of the environment's
    batches."""
    shift_deviations: float = 4.0
    """How odd blocks must be before they speak for another environment, in standard deviations of
    what is usual in the present one. More are surer and later."""
    block_frames: int = 64
    """Consecutive frames whose mean is compared. Batches should hold a multiple of it."""
    persistence: int = 2
    """Algorithm 1: batches in a row that must agree before the environment changes."""
    burn_in: int = 500
    """Training steps in an environment before Algorithm 1 may leave it."""

    # --- dreaming (eq. 7-9, A.3) ---
    encoder_dreaming_weight: float = 20.0
    """α of eq. 9, weight of the distance between the encodings of a dream."""
    decoder_dreaming_weight: float = 1000.0
    """β of eq. 9, weight of the distance between the decodings of a dream."""
    encoder_distance: EncoderDistance = "wasserstein"
    """D[q, q_old] of eq. 7: the squared 2-Wasserstein distance, or KL(old‖new)."""
    encoder_reduction: Reduction = "sum"
    """How the encoder distance is reduced over latents."""
    encoder_latents: EncoderLatents = "all"
    """Latents that the encoder distance counts: all, or those that the dreamt environment uses."""
    decoder_distance: DecoderDistance = "kl_old_new"
    """D[p, p_old] of eq. 7: KL(old‖new), or KL(new‖old)."""
    decoder_reduction: Reduction = "mean"
    """How the decoder distance is reduced over pixels."""
    dream_batch_size: int = 64
    """Hallucinated frames per training step."""
    snapshot_sync: SnapshotSync = "switch"
    """When the snapshot is taken: when the environment changes, every `snapshot_interval` steps,
    or both."""
    snapshot_interval: int = 500
    """τ, in training steps."""

    def __post_init__(self) -> None:
        for name, value in _CHOICES.items():
            _require(getattr(self, name) in value, self, name, f"one of {value}")
        for name in _POSITIVE_INTEGERS:
            value = getattr(self, name)
            _require(
                isinstance(value, int) and not isinstance(value, bool) and value >= 1,
                self,
                name,
                "a positive integer",
            )
        for name in _POSITIVE_NUMBERS:
            value = getattr(self, name)
            _require(_is_number(value) and value > 0, self, name, "a finite number above 0")
        for name in _NON_NEGATIVE_NUMBERS:
            value = getattr(self, name)
            _require(_is_number(value) and value >= 0, self, name, "a finite number, 0 or above")
        for name in _FLAGS:
            _require(isinstance(getattr(self, name), bool), self, name, "True or False")
        _require(
            isinstance(self.filters, (tuple, list)),
            self,
            "filters",
            "a non-empty sequence of positive integers",
        )
        object.__setattr__(self, "filters", tuple(self.filters))
        self._check_shapes()
        _require(
            self.atypicality_lower < self.atypicality_upper,
            self,
            "atypicality_lower",
            f"below atypicality_upper ({self.atypicality_upper})",
        )

    def _check_shapes(self) -> None:
        _require(self.channels in (1, 3), self, "channels", "1 (grey) or 3 (RGB)")
        _require(
            len(self.filters) > 0 and all(isinstance(f, int) and f > 0 for f in self.filters),
            self,
            "filters",
            "a non-empty sequence of positive integers",
        )
        stride = self.space_to_depth * 2 ** len(self.filters)
        _require(
            self.image_size % stride == 0,
            self,
            "image_size",
            f"a multiple of {stride} (space_to_depth · 2^number of convolutions)",
        )
        _require(
            self.minimum_active <= self.latents,
            self,
            "minimum_active",
            f"at most the number of latents ({self.latents})",
        )

    def capacity(self, step: int) -> float:
        """C at a training step (A.3), in nats: rises linearly and stays at C_max."""
        risen = self.capacity_start + self.capacity_max * self.capacity_rate * step
        return min(self.capacity_max, risen)

    def beta_after(self, updates: int) -> float:
        """β after so many training steps in the present environment."""
        return self.beta * min(1.0, (updates + 1) / max(1, self.beta_warm_up))

    def to_dict(self) -> dict[str, Any]:
        """Plain values by field name, as stored in a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> VASEConfig:
        """Inverse of `to_dict`.

        Raises:
            ValueError: an unknown field, or a value that breaks its rule.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(f"unknown configuration field {unknown[0]!r}; known: {sorted(known)}")
        return cls(**values)

    @classmethod
    def preset(
        cls, name: str, *, entangled: bool = False, as_printed: bool = False, **overrides: Any
    ) -> VASEConfig:
        """A named configuration: one of ours for CPUs, or a row of the paper's Table 2.

        "compact" keeps the position of what moves linearly readable through many worlds;
        "compact-detail" learns more of each world's shapes and holds them less exactly.
        "dmlab-compact" is "dmlab" (64×64, RGB, Gaussian likelihood, its λ) for thousands of
        training steps: the compact networks' schedule, with β = 8 in place of the capacity that
        rises over 100,000 steps.

        The rows carry the table's numbers, γ, C_max, δC, λ, κ and τ, with λ0 and λ1 in proportion
        to λ, and for "dmlab" colour and a Gaussian likelihood. Everything else is this program's
        default, in particular the rule that infers environments (`inference="blocks"`), the
        snapshot (`snapshot_sync="switch"`), the mask (inferred on entry) and the dreaming weights
        (the sweep's 20 and 1000). κ therefore acts only with `inference="algorithm1"`, and τ only
        with `snapshot_sync="interval"` or "both"; `as_printed` sets both.

        Args:
            name: "compact", "compact-detail", "dmlab-compact", "ablation", "five-datasets",
                "celeba-fashion", "dmlab" or "imagination".
            entangled: the paper's entangled baseline, a standard VAE loss (β = 1, no capacity
                target).
            as_printed: the paper's recipe in every choice: Algorithm 1 from the first batch on,
                masks with hysteresis, a snapshot every τ steps, α = 1000 and β = 20, and the
                squared capacity term unless `entangled`. Of "compact" only the sizes are left.
            **overrides: any field.

        Raises:
            ValueError: an unknown preset or field, or a value that breaks its rule.
        """
        if name not in PRESETS:
            raise ValueError(f"preset must be one of {sorted(PRESETS)}, got {name!r}")
        values = {**PRESETS[name]}
        if as_printed:
            if "compact" in name:
                values = {field: values[field] for field in _SIZES}
            values.update(AS_PRINTED)
        if entangled:
            values.update(capacity_form="bounded", beta=1.0, beta_warm_up=0, gamma=0.0)
            values.update(ENTANGLED.get(name, {}))
        return cls.from_dict({**values, **overrides})


_CHOICES: dict[str, tuple[Any, ...]] = {
    "likelihood": get_args(Likelihood),
    "capacity_form": get_args(CapacityForm),
    "inference": get_args(InferenceRule),
    "mask_updates": get_args(MaskUpdates),
    "snapshot_sync": get_args(SnapshotSync),
    "encoder_distance": get_args(EncoderDistance),
    "encoder_reduction": get_args(Reduction),
    "encoder_latents": get_args(EncoderLatents),
    "decoder_distance": get_args(DecoderDistance),
    "decoder_reduction": get_args(Reduction),
    "loss_test": get_args(LossTest),
    "initialisation": get_args(Initialisation),
    "precision": get_args(Precision),
}
_POSITIVE_INTEGERS = (
    "image_size", "space_to_depth", "hidden", "latents", "max_environments", "batch_size",
    "minimum_active", "used_interval", "persistence", "block_frames", "dream_batch_size",
    "snapshot_interval",
)  # fmt: skip
_POSITIVE_NUMBERS = (
    "gaussian_std", "learning_rate", "atypicality_threshold", "atypicality_upper",
    "used_noise_threshold", "loss_tolerance", "loss_deviations", "shift_deviations",
)  # fmt: skip
_NON_NEGATIVE_NUMBERS = (
    "gamma", "beta", "capacity_max", "capacity_rate", "capacity_start", "atypicality_lower",
    "beta_warm_up", "burn_in",
    "encoder_dreaming_weight", "decoder_dreaming_weight",
)  # fmt: skip
_FLAGS = ("clustering", "dreaming", "masking", "reset_optimizer")

_COMPACT: dict[str, Any] = dict(
    image_size=32,
    space_to_depth=2,
    filters=(32, 64),
    hidden=256,
    latents=16,
    learning_rate=1e-3,
    capacity_form="bounded",
    beta=1.0,
    gamma=2.0,
    capacity_start=8.0,
    capacity_max=25.0,
    capacity_rate=5e-5,
    reset_optimizer=True,
    encoder_dreaming_weight=20.0,
    decoder_dreaming_weight=5.0,
    decoder_reduction="sum",
    dream_batch_size=32,
    used_interval=200,
    burn_in=500,
)

PRESETS: dict[str, dict[str, Any]] = {
    "compact": _COMPACT,
    "compact-detail": {
        **_COMPACT,
        "initialisation": "he",
        "encoder_dreaming_weight": 2.0,
        "decoder_dreaming_weight": 1.0,
    },
    "ablation": dict(),
    "five-datasets": dict(snapshot_interval=5000),
    "celeba-fashion": dict(
        gamma=200.0, capacity_max=20.0, capacity_rate=1.7e-5, loss_tolerance=1.1,
        atypicality_threshold=0.8, atypicality_lower=0.4, atypicality_upper=1.6,
    ),
    "dmlab": dict(
        channels=3, likelihood="gaussian",
        gamma=200.0, capacity_max=25.0, capacity_rate=1e-5, loss_tolerance=1.1,
        atypicality_threshold=2.0, atypicality_lower=1.0, atypicality_upper=4.0,
        snapshot_interval=5000,
    ),
    "dmlab-compact": {
        **_COMPACT,
        **dict(
            image_size=64, filters=(32, 64, 64), latents=24, channels=3, likelihood="gaussian",
            initialisation="he", beta=8.0, capacity_rate=1e-4,
            atypicality_threshold=2.0, atypicality_lower=1.0, atypicality_upper=4.0,
            decoder_dreaming_weight=1.0,
        ),
    },
    "imagination": dict(
        gamma=200.0, capacity_rate=0.7e-5,
        atypicality_threshold=0.7, atypicality_lower=0.35, atypicality_upper=1.4,
    ),
}  # fmt: skip

AS_PRINTED: dict[str, Any] = dict(
    inference="algorithm1", loss_test="upper", persistence=1, burn_in=0,
    mask_updates="hysteresis", minimum_active=1, snapshot_sync="interval",
    encoder_dreaming_weight=1000.0, decoder_dreaming_weight=20.0, decoder_reduction="sum",
    capacity_form="squared", reset_optimizer=False,
)  # fmt: skip
_SIZES = ("image_size", "space_to_depth", "filters", "hidden", "latents")

_DMLAB_ENTANGLED = dict(atypicality_threshold=20.0, atypicality_lower=10.0, atypicality_upper=40.0)
ENTANGLED: dict[str, dict[str, Any]] = {
    "dmlab": _DMLAB_ENTANGLED,
    "dmlab-compact": _DMLAB_ENTANGLED,
}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _require(holds: bool, config: VASEConfig, name: str, rule: str) -> None:
    if not holds:
        raise ValueError(f"VASEConfig.{name} must be {rule}, got {getattr(config, name)!r}")
