"""Demo pairs with known truth and a noisy stored label. Pure and seeded: the same seed gives the same bytes.

The confounds are the ones real pools have: the wrong answer is often the longer and better formatted one, and whoever
gave the stored label was drawn to that. The truth goes into a file of its own, which the pipeline never reads.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from config.demo.tasks import TASKS, Task

OPENERS = ("", "Sure. ", "Let me work through this. ", "Good question. ", "Here is how I would do it. ")
PADDING = (
    "It helps to take this slowly, because a small slip early on would carry through to the end.",
    "I double-checked each of the steps above, so the result can be relied upon.",
    "There are other ways to get there, but this one is the easiest to follow and to check.",
    "As you can see, once the problem is broken into parts, every part is quite simple.",
)

WRONG_IS_FANCIER = 0.6  # how often the wrong answer is the verbose one
BASE_NOISE = 0.18  # share of stored labels that are wrong where style gives no hint
STYLE_NOISE = 0.32  # the same where the wrong answer is the verbose one


@dataclass(frozen=True)
class DemoPair:
    id: str
    category: str
    prompt: str
    right: str
    wrong: str
    stored_is_right: bool


def write_answer(task: Task, *, right: bool, fancy: bool, rng: random.Random) -> str:
    """The answer as text: terse or, when fancy, with working in a list, bold type and reassurance."""
    result = task.right if right else task.wrong
    steps = task.right_steps if right else task.wrong_steps
    body = f"```python\n{result}\n```" if task.code else f"**{result}**" if fancy else result
    if not fancy:
        lead = rng.choice(("", "The answer: ", f"{steps[-1][:1].upper()}{steps[-1][1:]}. So: "))
        return f"{lead}\n{body}" if task.code else f"{lead}{body}"
    listed = "\n".join(f"{number}. {step[:1].upper()}{step[1:]}." for number, step in enumerate(steps, 1))
    return f"{rng.choice(OPENERS)}{rng.choice(PADDING[:1] + PADDING[2:])}\n\n{listed}\n\n{body}\n\n{rng.choice(PADDING)}"


def generate(n: int, seed: int) -> Iterator[DemoPair]:
    """n pairs, categories in turn, no question twice."""
    rng = random.Random(seed)  # noqa: S311  (data, not secrets)
    seen: set[str] = set()
    while len(seen) < n:
        category = list(TASKS)[len(seen) % len(TASKS)]
        task = TASKS[category](rng)
        question = task.question if task.question not in seen else f"{task.question} Explain briefly. (Variant {len(seen)}.)"
        seen.add(question)
        wrong_fancy = rng.random() < WRONG_IS_FANCIER
        right_fancy = rng.random() < 0.4
        noise = STYLE_NOISE if wrong_fancy and not right_fancy else BASE_NOISE
        yield DemoPair(
            id=f"demo-{seed}-{len(seen):05d}",
            category=category,
            prompt=question,
            right=write_answer(task, right=True, fancy=right_fancy, rng=rng),
            wrong=write_answer(task, right=False, fancy=wrong_fancy, rng=rng),
            stored_is_right=rng.random() >= noise,
        )


def stored_row(pair: DemoPair) -> dict[str, object]:
    """The row as the noisy pool has it: TRL preference with an explicit prompt."""
    chosen, rejected = (pair.right, pair.wrong) if pair.stored_is_right else (pair.wrong, pair.right)
    return {
        "id": pair.id,
        "prompt": [{"role": "user", "content": pair.prompt}],
        "chosen": [{"role": "assistant", "content": chosen}],
        "rejected": [{"role": "assistant", "content": rejected}],
        "category": pair.category,
    }
