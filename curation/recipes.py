"""Recipes: what to do with a dataset, as typed data. Pure: nothing is looked up or run here; curation/runs.py does that.

A recipe is an ordered tuple of steps; starting it makes one Run per step, each when its turn comes. docs/recipes.md tells
what each does and how to add one.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any, ClassVar, get_type_hints

from curation import filters
from models_runtime.types import ModelSpec

EMBEDDER = ModelSpec("minilm")
JUDGE_TEMPLATE = "pairwise_v1"
CONTENT_SIGNALS = ("length_difference", "identical_responses", "exact_duplicate", "label_conflict")
JUDGE_SIGNALS = ("judge_agreement", "order_consistency")  # worth measuring once judges have spoken


class BadRecipe(ValueError):
    """A recipe or parameter that cannot be used; the message says which and why."""


@dataclass(frozen=True)
class Signals:
    """Measure pairs. names: of curation.quality.SIGNALS, () for all of them."""

    step: ClassVar[str] = "signals"
    names: tuple[str, ...] = ()
    chunk_size: int = 200


@dataclass(frozen=True)
class Embed:
    """Store a vector of every prompt and response that has none by this model."""

    step: ClassVar[str] = "embed"
    model: ModelSpec = EMBEDDER
    chunk_size: int = 64


@dataclass(frozen=True)
class Reward:
    """Score every response. model None: the head that this recipe trained last."""

    step: ClassVar[str] = "reward"
    model: ModelSpec | None = None
    chunk_size: int = 64


@dataclass(frozen=True)
class LlmJudge:
    """Ask a language model about every pair, in both orders. samples: answers per order."""

    step: ClassVar[str] = "judge"
    model: ModelSpec = field(default_factory=lambda: ModelSpec("openai"))
    template: str = JUDGE_TEMPLATE
    samples: int = 1
    max_tokens: int = 512
    temperature: float = 0.0
    chunk_size: int = 64


@dataclass(frozen=True)
class TrainHead:
    """Train a Bradley-Terry head on frozen embeddings.

    labels: "gold" (decided by people), "stored" (the labels the pairs came with; people's where there are none), "both", or
    "auto": both where there are at least `least_gold` gold ones, else the stored ones. stored_weight: of one beside a gold one.
    """

    step: ClassVar[str] = "train_head"
    model: ModelSpec = EMBEDDER
    labels: str = "auto"
    stored_weight: float = 0.2
    least_gold: int = 20
    folds: int = 5
    l2: float = 1.0
    seed: int = 0
    most_pairs: int = 20_000


@dataclass(frozen=True)
class Consensus:
    """What all judgments of a pair say together."""

    step: ClassVar[str] = "consensus"
    method: str = "dawid_skene"


@dataclass(frozen=True)
class Review:
    """Ask people: opens a batch of pairs and waits until it is answered. share: of all pairs; n: that many, instead."""

    step: ClassVar[str] = "review"
    policy: str = "disagreement"
    share: float | None = 0.1
    n: int | None = None
    overlap: int = 1
    title: str = ""


@dataclass(frozen=True)
class Decide:
    """Keep, flip, relabel, drop or send to people, by the rules of curation/filters.py. settings: its FilterSettings."""

    step: ClassVar[str] = "decide"
    settings: Mapping[str, Any] = field(default_factory=dict)
    chunk_size: int = 200


Step = Signals | Embed | Reward | LlmJudge | TrainHead | Consensus | Review | Decide
STEPS: dict[str, type[Step]] = {
    kind.step: kind for kind in (Signals, Embed, Reward, LlmJudge, TrainHead, Consensus, Review, Decide)
}


@dataclass(frozen=True)
class Recipe:
    """tolerated_failures: share of a step's pairs that may fail before the recipe stops and waits for a person."""

    name: str
    steps: tuple[Step, ...]
    description: str = ""
    tolerated_failures: float = 0.05


@dataclass(frozen=True)
class Params:
    """What one may set when starting a recipe: `--param name=value`, or the form on the dataset's page."""

    seed_share: float = 0.05  # of the pairs: drawn at random and judged by people first
    review_share: float = 0.10  # of the pairs: those that judges disagree on most, judged by people next
    overlap: int = 1  # people per reviewed pair
    judges: tuple[str, ...] = ()  # models that the server at CONCORD_JUDGE_URL serves
    template: str = JUDGE_TEMPLATE
    reward_models: tuple[str, ...] = ()  # folders or hub ids of sequence-classification reward models
    consensus: str = "dawid_skene"
    keep_from: float = 0.6  # probability from which models confirm a stored label
    flip_from: float = 0.8  # probability from which models overrule it
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("seed_share", "review_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadRecipe(f"{name} is a share between 0 and 1, not {getattr(self, name)}.")
        if self.overlap < 1:
            raise BadRecipe(f"overlap is at least 1, not {self.overlap}.")
        try:
            filters.settings_from(self.rules)
        except ValueError as error:
            raise BadRecipe(str(error)) from None

    @property
    def rules(self) -> dict[str, Any]:
        return {"method": self.consensus, "keep_from": self.keep_from, "flip_from": self.flip_from}


def verify_and_scale(params: Params) -> Recipe:
    """People verify a little, models label a lot: the two-stage curation of Skywork-Reward-V2 (arXiv 2507.01352)."""
    steps = (
        *opinions_of_models(params),
        Review(policy="random", share=params.seed_share, overlap=params.overlap, title="Seed: random pairs"),
        *scale(params, labels="auto"),
        Review(policy="disagreement", share=params.review_share, overlap=params.overlap, title="Pairs that judges disagree on"),
        *scale(params, labels="auto"),
        Decide(params.rules),
    )
    return Recipe("verify_and_scale", steps, "People judge a random seed and what judges disagree on; models label the rest.")


def triage(params: Params) -> Recipe:
    """What can be said before anybody judged: suspicious labels go to people, and their answers settle those pairs."""
    steps = (
        *opinions_of_models(params),
        *scale(params, labels="stored"),
        Decide(params.rules),
        Review(policy="disagreement", share=params.review_share, overlap=params.overlap, title="Labels that look wrong"),
        Consensus(params.consensus),
        Decide(params.rules),
    )
    return Recipe("triage", steps, "Models look for labels that seem wrong; people judge those first. Needs nobody to start.")


def opinions_of_models(params: Params) -> tuple[Step, ...]:
    """The steps that need no labels: signals, embeddings, and every judge and reward model that was named."""
    rewards = tuple(Reward(ModelSpec("hf_reward", name)) for name in params.reward_models)
    judges = tuple(LlmJudge(ModelSpec("openai", name), params.template) for name in params.judges)
    return (Signals(CONTENT_SIGNALS), Embed(), *rewards, *judges)


def scale(params: Params, *, labels: str) -> tuple[Step, ...]:
    """Train on what is known by now, score everything, and weigh all opinions."""
    return (TrainHead(labels=labels, seed=params.seed), Reward(), Signals(JUDGE_SIGNALS), Consensus(params.consensus))


BUILDERS: dict[str, Callable[[Params], Recipe]] = {"verify_and_scale": verify_and_scale, "triage": triage}
RECIPES: dict[str, Recipe] = {name: build(Params()) for name, build in BUILDERS.items()}
DEFAULT = "verify_and_scale"


def build(name: str, params: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of this name with these parameters; values may be text, as a form or a command line gives them."""
    if name not in BUILDERS:
        raise BadRecipe(f"There is no recipe {name!r}; there are: {', '.join(BUILDERS)}.")
    return BUILDERS[name](read_params(params or {}))


def read_params(values: Mapping[str, Any]) -> Params:
    """Params from names and values. Raises BadRecipe on a name that does not exist or a value of the wrong kind."""
    defaults = {each.name: each.default for each in fields(Params)}
    unknown = sorted(set(values) - set(defaults))
    if unknown:
        raise BadRecipe(f"There is no parameter {', '.join(unknown)}; there are: {', '.join(defaults)}.")
    return Params(**{name: read_value(name, value, defaults[name]) for name, value in values.items()})


def read_value(name: str, value: Any, default: Any) -> Any:
    """`value` as the type of `default`: numbers from text, tuples from comma-separated text or lists."""
    if isinstance(default, tuple):
        parts = value.split(",") if isinstance(value, str) else value
        return tuple(part.strip() for part in parts if part.strip())
    try:
        return type(default)(value)
    except (TypeError, ValueError):
        raise BadRecipe(f"{name}={value!r}: a {type(default).__name__} is needed.") from None


def step_from(name: str, params: Mapping[str, Any]) -> Step:
    """The typed step out of its name and plain parameters. Raises BadRecipe on an unknown step or parameter."""
    if name not in STEPS:
        raise BadRecipe(f"There is no step {name!r}; there are: {', '.join(STEPS)}.")
    kind = STEPS[name]
    known = {each.name for each in fields(kind)}
    unknown = sorted(set(params) - known)
    if unknown:
        raise BadRecipe(f"The step {name!r} has no parameter {', '.join(unknown)}; it has: {', '.join(sorted(known))}.")
    hints = get_type_hints(kind)
    return kind(**{key: restored(value, hints[key]) for key, value in params.items()})


def restored(value: Any, hint: Any) -> Any:
    """What JSON made plain: a ModelSpec from its dictionary, a tuple from its list."""
    if isinstance(value, Mapping) and hint in (ModelSpec, ModelSpec | None):
        return ModelSpec(**value)
    return tuple(value) if isinstance(value, list) else value


def step_params(step: Step) -> dict[str, Any]:
    """All parameters of a step as plain JSON values, defaults included, so that a stored one means the same for ever."""
    return {each.name: plain(getattr(step, each.name)) for each in fields(step)}


def plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {key: plain(item) for key, item in asdict(value).items()}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, tuple | list) else value


def to_json(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain JSON values; from_json gives an equal one back."""
    steps = [{"step": step.step, **step_params(step)} for step in recipe.steps]
    return {
        "name": recipe.name,
        "description": recipe.description,
        "tolerated_failures": recipe.tolerated_failures,
        "steps": steps,
    }


def from_json(definition: Mapping[str, Any]) -> Recipe:
    """Raises BadRecipe when the definition names steps or parameters that do not exist."""
    steps = tuple(
        step_from(each["step"], {key: value for key, value in each.items() if key != "step"}) for each in definition["steps"]
    )
    return Recipe(definition["name"], steps, definition.get("description", ""), definition.get("tolerated_failures", 0.05))
