"""The signals: name -> how to measure it. Pure; docs/signals.md lists them and says how to add one."""

from curation.quality import content, judges
from curation.quality.base import Need, Signal, per_pair

__all__ = ["SIGNALS", "Need", "Signal"]

SIGNALS: dict[str, Signal] = {
    "length_difference": Signal(per_pair(content.length_difference), "characters of B minus A"),
    "identical_responses": Signal(per_pair(content.identical_responses), "both responses are the same text"),
    "exact_duplicate": Signal(per_pair(content.exact_duplicate), "an earlier pair has the same content", frozenset({"twins"})),
    "label_conflict": Signal(
        per_pair(content.label_conflict), "the same content came with the opposite label", frozenset({"twins", "votes"})
    ),
    "reward_margin": Signal(judges.reward_margin, "reward of B minus A", frozenset({"rewards"}), options=("judge_id",)),
    "judge_agreement": Signal(per_pair(judges.judge_agreement), "share of the commonest verdict", frozenset({"votes"})),
    "order_consistency": Signal(
        per_pair(judges.order_consistency), "share of judges with the same verdict in both orders", frozenset({"votes"})
    ),
}
