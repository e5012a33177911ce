"""Disentanglement of a representation, on data whose factors are known.

Every metric takes codes (n, N), the posterior means, and factors (n, K), whole numbers: continuous
factors are cut into bins of equal counts first (`binned`). No maintained package offers these; the
estimators inside are scikit-learn's. `tests/test_disentanglement.py` checks each metric on
representations whose score is known.

MIG: Chen et al. 2018. DCI: Eastwood and Williams 2018. SAP: Kumar et al. 2018. Modularity: Ridgeway
and Mozer 2018. FactorVAE score: Kim and Mnih 2018.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..envs import Source
from ..learner import VASE

Codes = npt.NDArray[np.floating[Any]]
Factors = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.float64]

FRAMES = 4000
CODE_BINS = 20
FACTOR_BINS = 10
TREES = 50
VOTES = 800
"""Votes of the FactorVAE score; half of them train the majority vote."""
VOTE_FRAMES = 64
PRUNED_STD = 0.05
"""The FactorVAE score leaves out codes that hardly vary, as its authors do."""


def disentanglement_of(vase: VASE, sources: dict[str, Source]) -> dict[str, float]:
    """Scores of a learner, averaged over the moving sources among `sources`.

    Latents that the source's environment masks count as 0, as an agent would see them.
    """
    scores = [_scores_on(vase, source) for source in sources.values() if source.moving]
    return {name: float(np.mean([s[name] for s in scores])) for name in scores[0]}


def _scores_on(vase: VASE, source: Source) -> dict[str, float]:
    batch = source.sample(FRAMES)
    mean, _ = vase.encode(batch.frames)
    codes = mean * vase.infer(batch.frames[:256]).latent_mask
    return all_scores(codes, factor_matrix(batch.factors))


def all_scores(codes: Codes, factors: Factors, seed: int = 0) -> dict[str, float]:
    """Every metric by name, each from 0 to 1, more is better.

    Raises:
        ValueError: the shapes do not fit, or a factor is constant.
    """
    _check(codes, factors)
    information = mutual_information(codes, factors)
    importance, informativeness = dci_importance(codes, factors, seed)
    disentanglement, completeness = dci(importance)
    return {
        "mig": mig(information, entropies(factors)),
        "dci_disentanglement": disentanglement,
        "dci_completeness": completeness,
        "dci_informativeness": informativeness,
        "sap": sap(codes, factors, seed),
        "modularity": modularity(information, chance_information(factors)),
        "factor_vae": factor_vae(codes, factors, seed),
    }


def factor_matrix(factors: dict[str, npt.NDArray[Any]]) -> Factors:
    """The factors of a batch as columns (n, K) of whole numbers; constant ones are left out."""
    columns = []
    for values in factors.values():
        for column in np.asarray(values).reshape(len(values), -1).T:
            discrete = column if column.dtype.kind in "iu" else binned(column, FACTOR_BINS)
            if len(np.unique(discrete)) > 1:
                columns.append(discrete)
    return np.stack(columns, axis=1).astype(np.int64)


def binned(values: npt.NDArray[Any], bins: int) -> npt.NDArray[np.int64]:
    """Bin of every value, of about equal counts, from 0."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.searchsorted(edges, values, side="right")


def mutual_information(codes: Codes, factors: Factors) -> Matrix:
    """I(z_n; v_k) in nats, (N, K), with codes in `CODE_BINS` bins of equal width."""
    from sklearn.metrics import mutual_info_score

    cells = [np.digitize(c, np.histogram_bin_edges(c, CODE_BINS)[:-1]) for c in codes.T]
    return np.array([[mutual_info_score(v, c) for v in factors.T] for c in cells])


def entropies(factors: Factors) -> Matrix:
    """H(v_k) in nats, (K,)."""
    from sklearn.metrics import mutual_info_score

    return np.array([mutual_info_score(v, v) for v in factors.T])


def mig(information_NK: Matrix, entropy_K: Matrix) -> float:
    """Mutual information gap: lead of the most informative code over the second, over H."""
    ordered = np.sort(information_NK, axis=0)
    return float(((ordered[-1] - ordered[-2]) / entropy_K).mean())


def chance_information(factors: Factors) -> Matrix:
    """Mutual information, (K,), that a code without any shows in so many frames and bins."""
    bins = np.array([len(np.unique(v)) for v in factors.T])
    return (CODE_BINS - 1) * (bins - 1) / (2 * len(factors))


def modularity(information_NK: Matrix, chance_K: Matrix) -> float:
    """How far each code that says anything speaks of one factor alone.

    Codes that say no more than three times what chance would are left out, whether they are noise
    or constant.
    """
    speaking = information_NK[(information_NK > 3 * chance_K).any(1)]
    if not len(speaking):
        return 0.0
    squared = speaking**2
    others = squared.sum(1) - squared.max(1)
    deviation = others / (squared.max(1) * (information_NK.shape[1] - 1))
    return float((1 - deviation).mean())


def dci_importance(codes: Codes, factors: Factors, seed: int = 0) -> tuple[Matrix, float]:
    """Importance (N, K) of each code for predicting each factor, and the accuracy on held-out data.

    Random forests, one per factor, trained on half of the frames.
    """
    from sklearn.ensemble import RandomForestClassifier

    half = len(codes) // 2
    importance, accuracy = [], []
    for v in factors.T:
        # Every split may choose among all codes: with a random subset, idle codes gain importance.
        forest = RandomForestClassifier(TREES, max_depth=12, max_features=None, random_state=seed)
        forest.fit(codes[:half], v[:half])
        importance.append(forest.feature_importances_)
        accuracy.append(forest.score(codes[half:], v[half:]))
    return np.stack(importance, axis=1), float(np.mean(accuracy))


def dci(importance_NK: Matrix) -> tuple[float, float]:
    """Disentanglement and completeness of an importance matrix, entropies weighted by use."""
    total = importance_NK.sum()
    if total == 0:
        return 0.0, 0.0
    by_code = _concentration(importance_NK) @ (importance_NK.sum(1) / total)
    by_factor = _concentration(importance_NK.T) @ (importance_NK.sum(0) / total)
    return float(by_code), float(by_factor)


def _concentration(rows: Matrix) -> Matrix:
    """1 − entropy of each row as a distribution, in units of the largest possible one."""
    share = rows / np.maximum(rows.sum(1, keepdims=True), 1e-12)
    entropy = -(share * np.log(np.maximum(share, 1e-12))).sum(1)
    return np.asarray(1 - entropy / np.log(rows.shape[1]))


def sap(codes: Codes, factors: Factors, seed: int = 0) -> float:
    """Separated attribute predictability: lead of the best single code in held-out accuracy.

    A tree of small depth stands in for the linear classifier, which cannot tell the middle one of
    three bins by a single code.
    """
    from sklearn.tree import DecisionTreeClassifier

    half = len(codes) // 2
    leads = []
    for v in factors.T:
        scores = []
        for c in codes.T:
            tree = DecisionTreeClassifier(max_leaf_nodes=2 * FACTOR_BINS, random_state=seed)
            tree.fit(c[:half, None], v[:half])
            scores.append(tree.score(c[half:, None], v[half:]))
        second, first = np.sort(scores)[-2:]
        leads.append(first - second)
    return float(np.mean(leads))


def factor_vae(codes: Codes, factors: Factors, seed: int = 0) -> float:
    """Accuracy of a majority vote from the least varying code to the factor that was held fixed."""
    rng = np.random.default_rng(seed)
    spread = codes.std(0)
    varying = np.flatnonzero(spread > PRUNED_STD)
    if not len(varying):
        return 0.0
    scaled = codes[:, varying] / spread[varying]
    votes = np.zeros((2, len(varying), factors.shape[1]), dtype=np.int64)
    for vote in range(VOTES):
        k = int(rng.integers(factors.shape[1]))
        same = np.flatnonzero(factors[:, k] == rng.choice(factors[:, k]))
        frames = scaled[rng.choice(same, VOTE_FRAMES)]
        votes[vote % 2, int(frames.var(0).argmin()), k] += 1
    majority = votes[0].argmax(1)
    right = votes[1][np.arange(len(varying)), majority].sum()
    return float(right / votes[1].sum())


def _check(codes: Codes, factors: Factors) -> None:
    if codes.ndim != 2 or factors.ndim != 2 or len(codes) != len(factors):
        raise ValueError(
            "codes (n, N) and factors (n, K) must have as many rows, got shapes "
            f"{codes.shape} and {factors.shape}"
        )
    if codes.shape[1] < 2 or factors.shape[1] < 2:
        raise ValueError(
            f"codes and factors must have at least two columns, got {codes.shape[1]} and "
            f"{factors.shape[1]}"
        )
    constant = [k for k, v in enumerate(factors.T) if (v == v[0]).all()]
    if constant:
        raise ValueError(f"every factor must vary, got a constant one in column {constant[0]}")
