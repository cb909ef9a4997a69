"""Ask a generating back-end which of two responses is better, always in both orders, and read its answers strictly.

A template is a file in judge_prompts/: a [system] and a [user] part with $fence, $conversation, $first and $second. Files are
never edited once used: a changed wording is a new file, because the template's hash is part of the judge's key.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from string import Template as Substitution
from typing import Any

from models_runtime.backends.base import Backend
from models_runtime.parsers import PARSER_VERSION, PARSERS, Parser, Reading
from models_runtime.texts import conversation_text
from models_runtime.types import (
    BackendError,
    Completion,
    Conversation,
    GenerationParams,
    Message,
    ModelSpec,
    Order,
    Preference,
    Unsupported,
)

JUDGING_VERSION = 1  # raise it when rendering or mapping below changes what a judge is asked or what its answer means
ORDERS: tuple[Order, Order] = ("ab", "ba")
Item = tuple[Conversation, str, str]  # the prompt, the text of response_a, the text of response_b


@dataclass(frozen=True)
class Template:
    name: str
    system: str
    user: str
    hash: str  # SHA-256 of the file

    @property
    def parser(self) -> Parser:
        return PARSERS[self.name]


@dataclass(frozen=True)
class Answer:
    """What a judge said in one order, mapped back to the pair.

    preference None: no verdict. Then either `raw` holds an answer that could not be read, or `error` says why there is none
    (`permanent`: asking again will not help). strength: -3..3, negative when response_a is better, and 1 where the
    template has no degrees; None without a verdict.
    """

    preference: Preference | None
    strength: int | None
    raw: str
    order: Order
    seconds: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    error: str = ""
    permanent: bool = False


def _read_template(path: Path) -> Template:
    text = path.read_text(encoding="utf-8")
    system, user = text.removeprefix("[system]\n").split("\n[user]\n")
    return Template(path.stem, system, user.strip(), sha256(text.encode()).hexdigest())


TEMPLATES: dict[str, Template] = {
    path.stem: _read_template(path) for path in sorted((Path(__file__).parent / "judge_prompts").glob("*.txt"))
}


def judge_spec(spec: ModelSpec, template_name: str, params: GenerationParams) -> dict[str, Any]:
    """Everything that can change the judge's answers, as plain JSON: what its key is the hash of."""
    return {
        "model": {**asdict(spec), "params": dict(spec.params)},
        "template": template_name,
        "template_hash": _template(template_name).hash,
        "params": {**asdict(params), "stop": list(params.stop)},
        "judging": JUDGING_VERSION,
        "parser": PARSER_VERSION,
    }


def fence(texts: Sequence[str]) -> str:
    """A code that depends on the texts alone and occurs in none of them, so that no response can write its own marker.

    >>> fence(["one", "two"]) == fence(["one", "two"]) != fence(["one", "three"])
    True
    """
    seed = sha256("\0".join(texts).encode("utf-8", "replace")).hexdigest()
    while any(seed[:16] in text for text in texts):
        seed = sha256(seed.encode()).hexdigest()
    return seed[:16]


def render(template: Template, conversation: Conversation, first: str, second: str) -> Conversation:
    """The messages to send. A text between the markers is put in once and never read for placeholders."""
    asked = conversation_text(conversation)
    values = {"conversation": asked, "first": first, "second": second, "fence": fence([asked, first, second])}
    return (
        Message("system", Substitution(template.system).substitute(values)),
        Message("user", Substitution(template.user).substitute(values)),
    )


def mapped_back(reading: Reading, order: Order) -> tuple[Preference | None, int | None]:
    """Preference and strength in terms of the pair: first and second become a and b.

    >>> mapped_back(Reading("first", -3), "ab"), mapped_back(Reading("first", -3), "ba")
    (('a', -3), ('b', 3))
    >>> mapped_back(Reading("second"), "ba"), mapped_back(Reading("tie"), "ba"), mapped_back(Reading(), "ab")
    (('a', -1), ('tie', 0), (None, None))
    """
    if reading.position is None:
        return None, None
    if reading.position == "tie":
        return "tie", 0
    preference: Preference = "a" if (reading.position == "first") == (order == "ab") else "b"
    size = abs(reading.strength or 1)
    return preference, -size if preference == "a" else size


def compare(
    backend: Backend, template_name: str, items: Sequence[Item], params: GenerationParams | None = None
) -> list[tuple[Answer, Answer]]:
    """The judge's two answers to each pair: response_a shown first, then response_b shown first.

    Raises BackendError for an unknown template, and when the back-end could answer nothing at all.
    """
    template = _template(template_name)
    if "generate" not in backend.capabilities:
        raise Unsupported(f"back-end {backend.spec.backend!r} cannot generate, so it cannot judge")
    asked = [(order, render(template, talk, *((a, b) if order == "ab" else (b, a)))) for talk, a, b in items for order in ORDERS]
    completions = backend.generate([messages for _, messages in asked], params or GenerationParams())
    answers = [
        _answer(template, order, completion, backend.failures.get(index))
        for index, ((order, _), completion) in enumerate(zip(asked, completions, strict=True))
    ]
    return list(zip(answers[::2], answers[1::2], strict=True))


def _answer(template: Template, order: Order, completion: Completion | None, failure: BackendError | None) -> Answer:
    if completion is None:
        reason = str(failure) if failure else "the model gave no answer"
        return Answer(None, None, "", order, error=reason, permanent=failure.permanent if failure else True)
    preference, strength = mapped_back(template.parser(completion.text), order)
    return Answer(
        preference,
        strength,
        completion.text,
        order,
        seconds=completion.seconds,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
    )


def _template(name: str) -> Template:
    if name not in TEMPLATES:
        raise BackendError(f"no judge template {name!r}; there are {', '.join(TEMPLATES)}", permanent=True)
    return TEMPLATES[name]
