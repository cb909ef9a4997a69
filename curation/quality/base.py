"""What a signal is: one figure per pair, from what is known about the pair alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from curation.types import PairView, Verdict, Vote, newest_versions

Need = Literal["text", "votes", "rewards", "consensus", "twins"]  # what load_views must fetch beyond the pair itself
Values = list[float | None]


@dataclass(frozen=True)
class Signal:
    """function: views in, one value per view out, in the same order; None where the signal does not apply to a pair.

    version grows whenever the same pair could get another value: it is part of what stored values are kept under.
    options: keyword arguments the function takes besides the views.
    """

    function: Callable[..., Values]
    description: str
    needs: frozenset[Need] = frozenset()
    version: int = 1
    options: tuple[str, ...] = ()

    def measure(self, views: Sequence[PairView], **options: object) -> Values:
        """The values of these pairs. Raises TypeError on an option that the signal does not have."""
        unknown = sorted(set(options) - set(self.options))
        if unknown:
            raise TypeError(f"this signal has no option {', '.join(unknown)}; it has: {', '.join(self.options) or 'none'}")
        return self.function(views, **options)


def per_pair(measure: Callable[[PairView], float | None]) -> Callable[[Sequence[PairView]], Values]:
    """A signal function out of one that looks at a single pair."""

    def measured(views: Sequence[PairView]) -> Values:
        return [measure(view) for view in views]

    measured.__doc__ = measure.__doc__
    measured.__name__ = measure.__name__
    return measured


def shares(votes: Sequence[Vote]) -> dict[Verdict, float]:
    """How one judge's own answers to one pair divide over the verdicts; empty where none could be read."""
    verdicts = [vote.verdict for vote in votes if vote.verdict is not None]
    return {verdict: verdicts.count(verdict) / len(verdicts) for verdict in dict.fromkeys(verdicts)}


def by_judge(view: PairView) -> dict[int, list[Vote]]:
    """The votes of everyone but gold judges, by judge id; of several versions of one model those of the newest alone."""
    found: dict[int, list[Vote]] = {}
    for vote in newest_versions(view.votes):
        if not vote.is_gold:
            found.setdefault(vote.judge_id, []).append(vote)
    return found
