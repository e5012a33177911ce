"""Agents on the Hugging Face Hub: a repository that holds a bundle and a model card."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from .bundle import Bundle
from .card import BundleError
from .config import plain_values
from .evaluate import Evaluation

AGENT, README = "agent.zip", "README.md"
TAGS = ["reinforcement-learning", "stable-baselines3"]
# Braces belong to `str.format`; the front matter comes from huggingface_hub.
CARD = """\
---
{front}
---

# {algorithm} on VASE latents

A {algorithm} agent of Stable-Baselines3 that acts on the latents of VASE
([Achille et al. 2018](https://arxiv.org/abs/1808.06508)), and the encoder that they come from.
`agent.zip` holds both; no code from it is run when it is loaded.

| | |
|---|---|
| environment | {environment} |
| frames trained on | {frames:,} |
| {returns} |

```python
import gymnasium as gym
from vase_rl.agents import pull_from_hub

bundle = pull_from_hub("{repo_id}")
env, policy = bundle.wrap(gym.make("{gym_id}")), bundle.policy()
action, _ = policy.predict(env.reset()[0], deterministic=True)
```

## Hyperparameters

| name | value |
|---|---|
{hyperparameters}
"""


class HubError(OSError):
    """The Hub cannot be reached, or refuses; the message names the repository and says why."""


def push_to_hub(
    bundle: Bundle,
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    commit_message: str = "Add a vase_rl agent",
    evaluation: Evaluation | None = None,
    token: str | None = None,
) -> str:
    """Puts an agent and a model card into a repository, made where missing, as one commit.

    Files of the same names that are there already, `agent.zip` and `README.md`, are replaced.

    Args:
        bundle: the agent.
        repo_id: "USER/NAME".
        private: whether a new repository is private; one that exists stays as it is.
        revision: branch to commit to, which must exist; None: the main one.
        commit_message: first line of the commit.
        evaluation: of `evaluate_agent`, for the card; without it the card tells no return.
        token: None takes that of `hf auth login`.

    Returns:
        Address of the commit.

    Raises:
        ImportError: huggingface_hub is not installed.
        HubError: the Hub cannot be reached, or refuses.
    """
    hub = _library()
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / AGENT, Path(folder) / README
        bundle.save(files[0])
        files[1].write_text(model_card(bundle, repo_id, evaluation), "utf-8")
        with _one_line("push to", repo_id, revision):
            api = hub.HfApi(token=token, library_name="vase_rl")
            api.create_repo(repo_id, private=private, exist_ok=True)
            commit = api.create_commit(
                repo_id,
                [hub.CommitOperationAdd(file.name, str(file)) for file in files],
                commit_message=commit_message,
                revision=revision,
            )
    return str(commit.commit_url)


def pull_from_hub(repo_id: str, *, revision: str | None = None, token: str | None = None) -> Bundle:
    """Fetches an agent, or takes the copy that huggingface_hub has kept of this revision.

    Args:
        repo_id: "USER/NAME".
        revision: branch, tag or commit; None: the main branch. Only a commit is sure to stay as
            it is.
        token: for private repositories; None takes that of `hf auth login`.

    Raises:
        ImportError: huggingface_hub is not installed.
        HubError: the Hub cannot be reached and no copy is there; or it has no such repository or
            revision, or no agent in it.
        BundleError: the file is no bundle, or a damaged one (see `Bundle.load`).
    """
    hub = _library()
    with _one_line("pull from", repo_id, revision):
        path = hub.hf_hub_download(
            repo_id, AGENT, revision=revision, token=token, library_name="vase_rl"
        )
    try:
        return Bundle.load(path)
    except BundleError as error:
        raise BundleError(f"{repo_id}: {error}") from error


def model_card(bundle: Bundle, repo_id: str, evaluation: Evaluation | None = None) -> str:
    """The text of `README.md`: front matter for the Hub, and what the agent is, in Markdown.

    Raises:
        ImportError: huggingface_hub is not installed.
    """
    card = bundle.card
    rows = [f"| `{name}` | {value} |" for name, value in plain_values(card.hyperparameters).items()]
    return CARD.format(
        front=_front_matter(bundle, repo_id, evaluation),
        algorithm=card.algorithm,
        environment="not recorded" if card.env_id is None else f"`{card.env_id}`",
        frames=card.frames,
        returns=_returns(evaluation),
        repo_id=repo_id,
        gym_id=card.env_id or "ENVIRONMENT",
        hyperparameters="\n".join(rows),
    )


def _front_matter(bundle: Bundle, repo_id: str, evaluation: Evaluation | None) -> str:
    hub = _library()
    data = hub.ModelCardData(library_name="vase_rl", tags=TAGS)
    env_id = bundle.card.env_id
    if evaluation is not None and env_id is not None:
        data.model_name = repo_id.rpartition("/")[2]
        data.eval_results = [
            hub.EvalResult(
                task_type="reinforcement-learning",
                dataset_type=env_id,
                dataset_name=env_id,
                metric_type="mean_reward",
                metric_value=f"{evaluation.return_mean:.2f} +/- {evaluation.return_std:.2f}",
            )
        ]
    return str(data.to_yaml())


def _returns(evaluation: Evaluation | None) -> str:
    """Two cells: what was measured, and the result."""
    if evaluation is None:
        return "mean return | not measured"
    result = f"{evaluation.return_mean:.2f} ± {evaluation.return_std:.2f}"
    if evaluation.success is not None:
        result += f", success {evaluation.success:.0%}"
    return f"mean return over {evaluation.episodes} episodes, ± standard deviation | {result}"


def _library() -> ModuleType:
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError(
            'the Hub needs the package huggingface_hub: pip install "vase_rl[hub]"'
        ) from error
    return huggingface_hub


@contextmanager
def _one_line(doing: str, repo_id: str, revision: str | None) -> Iterator[None]:
    # The library's errors share no base: a lost connection is one of its HTTP client, which is
    # another package from one release to the next.
    try:
        yield
    except Exception as error:
        raise HubError(f"cannot {doing} {repo_id}: {_reason(error, revision)}") from error


def _reason(error: Exception, revision: str | None) -> str:
    from huggingface_hub import errors

    if isinstance(error, errors.LocalEntryNotFoundError):
        return "the Hub cannot be reached, and no copy was kept from before"
    if isinstance(error, errors.EntryNotFoundError):
        return f"there is no {AGENT} in it"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"it has no revision {revision!r}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "there is no such repository, or the token gives no access to it"
    said = getattr(error, "server_message", None) or str(error) or type(error).__name__
    return " ".join(said.split())
