"""Scores of a response made from its likelihood under one or two causal models. Pure; no training needed.

Sources: SimPO (arXiv 2405.14734), DPO's implicit reward (arXiv 2305.18290), contrastive reward (arXiv 2411.02481).
"""

from models_runtime.types import LogLikelihood


def mean_loglikelihood(value: LogLikelihood | None) -> float | None:
    """Log-likelihood per token: the SimPO ranking score. None where there is no value or no token.

    >>> mean_loglikelihood(LogLikelihood(total=-6.0, n_tokens=3))
    -2.0
    """
    return value.mean if value is not None and value.n_tokens else None


def implicit_reward(policy: LogLikelihood | None, reference: LogLikelihood | None, *, beta: float = 1.0) -> float | None:
    """beta * (log policy(y|x) - log reference(y|x)), summed over tokens.

    Both models must cut the response into the same tokens; a different count is a ValueError, not a score.

    >>> implicit_reward(LogLikelihood(-6.0, 3), LogLikelihood(-9.0, 3), beta=0.5)
    1.5
    """
    if policy is None or reference is None:
        return None
    if policy.n_tokens != reference.n_tokens:
        raise ValueError(f"the two models have different tokens: {policy.n_tokens} and {reference.n_tokens}")
    return beta * (policy.total - reference.total)
