"""What to do with a pair, and why. Pure: `decide` asks an ordered list of small rules, and the first that speaks is the ruling.

People come before models, and content before both. docs/signals.md lists the rules and says how to add one. Swapping the two
responses of a pair swaps nothing but the sign of the label in force.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from curation.types import MODEL_KINDS, ConsensusView, PairView, Ruling, Verdict, Vote, verdict_of

Opinion = Literal["a", "tie", "b", "both_bad", "cannot_judge"]

_UNIT: dict[Verdict, float] = {"a": -1.0, "tie": 0.0, "b": 1.0}


@dataclass(frozen=True)
class FilterSettings:
    """method: whose consensus the models' rules read.

    keep_from: probability of the stored label from which models confirm it. flip_from: probability of another verdict from
    which models put it in the stored label's place. min_model_judges: fewer models than this decide nothing.
    open_cases: where a pair goes that nobody settled: to people, or out.
    """

    method: str = "dawid_skene"
    keep_from: float = 0.6
    flip_from: float = 0.8
    min_model_judges: int = 1
    open_cases: Literal["to_human", "drop"] = "to_human"

    def __post_init__(self) -> None:
        for name in ("keep_from", "flip_from"):
            # above 0.5, or two verdicts could both be likely enough
            if not 0.5 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be above 0.5 and at most 1; it is {getattr(self, name)}")
        if self.open_cases not in ("to_human", "drop"):
            raise ValueError(f"open_cases must be to_human or drop, not {self.open_cases!r}")


def settings_from(params: Mapping[str, Any]) -> FilterSettings:
    """The settings named in a recipe step. Raises ValueError on a name that no setting has."""
    known = {field.name for field in fields(FilterSettings)}
    unknown = sorted(set(params) - known)
    if unknown:
        raise ValueError(f"no such setting: {', '.join(unknown)}; there are: {', '.join(sorted(known))}")
    return FilterSettings(**params)


def decide(view: PairView, settings: FilterSettings | None = None) -> Ruling:
    """The ruling of the first rule that has something to say about this pair. view: with votes, consensus and twins."""
    settings = settings or FilterSettings()
    for rule in RULES:
        ruling = rule(view, settings)
        if ruling is not None:
            return ruling
    return _open_case("unresolved", "rule", settings, _figures(view, settings))


# Content


def identical_responses(view: PairView, settings: FilterSettings) -> Ruling | None:
    """Both responses are the same text: there is nothing to prefer."""
    return Ruling("drop", "identical_responses", "rule") if view.identical else None


def exact_duplicate(view: PairView, settings: FilterSettings) -> Ruling | None:
    """An earlier pair has the same prompt and responses; that one stays."""
    if view.twins is None or view.twins.first_pair >= view.id:
        return None
    return Ruling("drop", "exact_duplicate", "rule", detail={"same_as": view.twins.first_pair})


def conflicting_duplicate(view: PairView, settings: FilterSettings) -> Ruling | None:
    """The same content came with opposite labels: one of them must be wrong, and only people may say which."""
    if view.twins is None or len(view.twins.winners) < 2:
        return None
    return _open_case("conflicting_duplicate", "rule", settings, {"n_pairs": view.twins.n_pairs})


# People


def people_votes(view: PairView) -> list[Vote]:
    """The last answer of every person: of those in this app where any answered, of imported annotator columns where none did."""
    last: dict[int, Vote] = {}
    for vote in view.votes:
        if vote.kind == "human" and not vote.is_gold and vote.tie_kind != "unreadable":
            kept = last.get(vote.judge_id)
            if kept is None or vote.occasion >= kept.occasion:
                last[vote.judge_id] = vote
    of_app = [vote for vote in last.values() if vote.of_app]
    return of_app or list(last.values())


def opinion(vote: Vote) -> Opinion:
    """A person's verdict, with the two kinds of ties and no verdict told apart."""
    if vote.verdict is None:
        return "cannot_judge"
    return "both_bad" if vote.tie_kind == "both_bad" else vote.verdict


def people(view: PairView, settings: FilterSettings) -> Ruling | None:
    """What most people who were asked said. Nobody was asked: nothing. No opinion is the commonest: an open case."""
    votes = people_votes(view)
    if not votes:
        return None
    counts = Counter(opinion(vote) for vote in votes)
    detail = {"people": dict(sorted(counts.items())), "stored": view.stored_strength}
    said = _commonest(counts)
    if said is None:
        return _open_case("people_split", "people", settings, detail)
    if said == "cannot_judge" or said == "both_bad":
        return Ruling("drop", f"people_{said}", "people", detail=detail)
    strengths = [vote.strength for vote in votes if opinion(vote) == said and vote.strength is not None]
    strength = sum(strengths) / len(strengths) if strengths else _UNIT[said]
    return _against_stored(view, said, strength, "people", detail)


def side_of_people(view: PairView) -> Literal["a", "b"] | None:
    """The response that people prefer, as people() rules; None where they prefer none, or nobody was asked."""
    said = _commonest(Counter(opinion(vote) for vote in people_votes(view)))
    return said if said == "a" or said == "b" else None


# Models


def models(view: PairView, settings: FilterSettings) -> Ruling | None:
    """What the consensus says, where enough models voted and it is sure enough to keep, to turn or to give a label."""
    consensus = view.consensus.get(settings.method)
    if consensus is None or n_model_judges(view) < settings.min_model_judges:
        return None
    said = _sure_verdict(view, consensus, settings)
    if said is None:
        return None
    own = consensus.strength
    strength = own if own is not None and verdict_of(own) == said else _UNIT[said]
    return _against_stored(view, said, strength, "models", _figures(view, settings))


def n_model_judges(view: PairView) -> int:
    """How many different models said something that could be read, rewards included; versions of one model are one."""
    voted = {vote.judge_name for vote in view.votes if vote.kind in MODEL_KINDS and vote.verdict is not None and not vote.is_gold}
    return len(voted | {reward.judge_name for reward in view.rewards.values() if reward.margin is not None})


def _sure_verdict(view: PairView, consensus: ConsensusView, settings: FilterSettings) -> Verdict | None:
    """The verdict that is likely enough: the stored one from keep_from on, any other from flip_from on."""
    for verdict in ("a", "tie", "b"):
        needed = settings.keep_from if verdict == view.stored_verdict else settings.flip_from
        if consensus.probability(verdict) >= needed:
            return verdict
    return None


# One outcome for all of them


def _against_stored(
    view: PairView, said: Verdict, strength: float, by: Literal["people", "models"], detail: Mapping[str, Any]
) -> Ruling:
    """Confirm, turn round or replace the stored label, in the name of who said it."""
    stored = view.stored_verdict
    if said == stored:
        return Ruling("keep", f"{by}_confirm", by, strength, detail)
    if said == "tie":
        return Ruling("relabel", f"{by}_tie", by, 0.0, detail)
    if stored in ("a", "b"):
        return Ruling("flip", f"{by}_reverse", by, strength, detail)
    return Ruling("relabel", f"{by}_label", by, strength, detail)


def _open_case(reason: str, by: Literal["people", "rule"], settings: FilterSettings, detail: Mapping[str, Any]) -> Ruling:
    return Ruling(settings.open_cases, reason, by, detail=detail)


def _commonest(counts: Counter[Opinion]) -> Opinion | None:
    """The opinion with more votes than any other; None where two share the lead, or there is none."""
    ranked = counts.most_common(2)
    return None if not ranked or (len(ranked) > 1 and ranked[0][1] == ranked[1][1]) else ranked[0][0]


def _figures(view: PairView, settings: FilterSettings) -> dict[str, Any]:
    consensus = view.consensus.get(settings.method)
    figures: dict[str, Any] = {"stored": view.stored_strength, "models": n_model_judges(view), "settings": asdict(settings)}
    if consensus is not None:
        figures["consensus"] = {verdict: round(consensus.probability(verdict), 6) for verdict in ("a", "tie", "b")}
    return figures


Rule = Callable[[PairView, FilterSettings], Ruling | None]
RULES: tuple[Rule, ...] = (identical_responses, exact_duplicate, people, conflicting_duplicate, models)

REASONS: dict[str, str] = {
    "identical_responses": "both responses are the same text",
    "exact_duplicate": "an earlier pair has the same prompt and responses",
    "people_confirm": "people agree with the stored label",
    "people_reverse": "people prefer the other response",
    "people_label": "people gave a label where there was none, or a side where there was a tie",
    "people_tie": "people find both equally good",
    "people_both_bad": "people find both bad",
    "people_cannot_judge": "people cannot judge it",
    "people_split": "as many people say one thing as another",
    "conflicting_duplicate": "the same content came with opposite labels",
    "models_confirm": "models agree with the stored label",
    "models_reverse": "models are sure of the other response",
    "models_label": "models gave a label where there was none, or a side where there was a tie",
    "models_tie": "models are sure that both are equally good",
    "unresolved": "neither people nor models settled it",
}
