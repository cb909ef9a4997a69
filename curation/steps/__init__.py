"""The steps a recipe can have: name -> how to prepare, compute and store one. docs/recipes.md says how to add one."""

from curation.steps import consensus, decide, embed, judge, review, reward, signals, train_head
from curation.steps.base import Step

STEPS: dict[str, Step] = {
    "signals": signals.STEP,
    "embed": embed.STEP,
    "reward": reward.STEP,
    "judge": judge.STEP,
    "train_head": train_head.STEP,
    "consensus": consensus.STEP,
    "review": review.STEP,
    "decide": decide.STEP,
}

__all__ = ["STEPS", "Step"]
