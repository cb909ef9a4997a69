"""Questions whose right answer is known by construction, and wrong answers that sound as sure. Pure and seeded.

Each task function draws one question from `random.Random` and returns the question with a right and a wrong result and
the working that leads to each. Wrong results come from mistakes people and models really make: a dropped carry, a
neighbouring unit factor, an off-by-one day, one swapped element, a missed letter, a wrong boundary in a loop.
"""

import random
import string
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

WORDS = (
    "harbour",
    "lantern",
    "copper",
    "meadow",
    "violet",
    "thunder",
    "saffron",
    "pebble",
    "orchard",
    "willow",
    "glacier",
    "ember",
    "canyon",
    "marble",
    "falcon",
    "cinder",
    "juniper",
    "velvet",
    "compass",
    "anchor",
    "thistle",
    "quarry",
    "beacon",
    "raven",
    "sparrow",
    "tundra",
    "walnut",
    "zephyr",
    "maple",
    "cobalt",
)


@dataclass(frozen=True)
class Task:
    question: str
    right: str
    wrong: str
    right_steps: tuple[str, ...]
    wrong_steps: tuple[str, ...]
    code: bool = False  # the answers are Python source


def arithmetic(rng: random.Random) -> Task:
    """Product of two two-digit numbers plus a third; the wrong working drops a carry or a term."""
    x, y, z = rng.randint(12, 98), rng.randint(12, 98), rng.randint(11, 499)
    tens, units = y // 10 * 10, y % 10
    slip = rng.choice((10, -10, 100, x))
    question = rng.choice(
        (
            f"What is {x} × {y} + {z}?",
            f"A hall has {x} rows of {y} seats, and {z} more on the balcony. How many seats are there?",
            f"Work out {x} times {y}, then add {z}.",
        )
    )
    right, wrong = x * y + z, x * y + slip + z
    return Task(
        question,
        str(right),
        str(wrong),
        (f"{x} × {tens} = {x * tens}", f"{x} × {units} = {x * units}", f"together {x * y}", f"{x * y} + {z} = {right}"),
        (
            f"{x} × {tens} = {x * tens + slip}",
            f"{x} × {units} = {x * units}",
            f"together {x * y + slip}",
            f"{x * y + slip} + {z} = {wrong}",
        ),
    )


def units(rng: random.Random) -> Task:
    """Conversion of a length, mass or time; the wrong one uses the factor of a neighbouring unit."""
    big, small, factor, near = rng.choice(
        (
            ("kilometres", "metres", 1000, 100),
            ("metres", "centimetres", 100, 1000),
            ("hours", "seconds", 3600, 360),
            ("days", "minutes", 1440, 1240),
            ("kilograms", "grams", 1000, 100),
            ("weeks", "hours", 168, 186),
            ("feet", "inches", 12, 10),
            ("miles", "feet", 5280, 5820),
        )
    )
    amount = rng.randint(2, 60)
    right, wrong = amount * factor, amount * near
    return Task(
        f"Convert {amount} {big} to {small}.",
        f"{right} {small}",
        f"{wrong} {small}",
        (f"one of the {big} is {factor} {small}", f"{amount} × {factor} = {right}"),
        (f"one of the {big} is {near} {small}", f"{amount} × {near} = {wrong}"),
    )


def dates(rng: random.Random) -> Task:
    """The date some days later; the wrong one forgets a month's length or counts the first day."""
    start = date(rng.randint(1996, 2031), rng.randint(1, 12), rng.randint(1, 28))
    days = rng.randint(20, 120)
    right = start + timedelta(days=days)
    wrong = right + timedelta(days=rng.choice((-1, 1, 2, -2)))

    def spell(day: date) -> str:
        return f"{day.day} {day:%B} {day.year}"

    def steps(end: date) -> tuple[str, ...]:
        return (f"starting on {spell(start)}", f"counting {days} days onward through the months", f"this lands on {spell(end)}")

    return Task(f"Which date is {days} days after {spell(start)}?", spell(right), spell(wrong), steps(right), steps(wrong))


def sorting(rng: random.Random) -> Task:
    """Words in alphabetical order; the wrong list has two neighbours swapped."""
    words = rng.sample(WORDS, rng.randint(6, 9))
    right = sorted(words)
    wrong = right.copy()
    at = rng.randrange(len(right) - 1)
    wrong[at], wrong[at + 1] = wrong[at + 1], wrong[at]
    steps = ("compare the first letters, then the second ones where they are equal",)
    return Task(f"Sort these words alphabetically: {', '.join(words)}.", ", ".join(right), ", ".join(wrong), steps, steps)


def string_edits(rng: random.Random) -> Task:
    """Reverse, remove or shift letters; the wrong result misses one of them."""
    word = rng.choice(WORDS) + rng.choice(WORDS)
    kind = rng.choice(("reverse", "vowels", "shift"))
    if kind == "reverse":
        question, right = f'Write "{word}" backwards.', word[::-1]
    elif kind == "vowels":
        question, right = f'Remove every vowel from "{word}".', "".join(c for c in word if c not in "aeiou")
    else:
        question = f'Replace every letter of "{word}" by the next one in the alphabet (z becomes a).'
        right = "".join(string.ascii_lowercase[(string.ascii_lowercase.index(c) + 1) % 26] for c in word)
    at = rng.randrange(len(right) - 1)
    swapped = right[:at] + right[at + 1] + right[at] + right[at + 2 :]
    wrong = swapped if swapped != right else right[:at] + right[at + 1 :]
    steps = ("go through the letters one by one", "write down the result of each")
    return Task(question, right, wrong, steps, steps)


PROGRAMS: tuple[tuple[str, str, str, tuple[tuple[object, ...], ...]], ...] = (
    (
        "returns the sum of the even numbers in a list",
        "def f(numbers):\n    return sum(n for n in numbers if n % 2 == 0)",
        "def f(numbers):\n    return sum(n for n in numbers if n % 2)",
        (([1, 2, 3, 4],), ([5],)),
    ),
    (
        "counts how often a letter occurs in a text, ignoring case",
        "def f(text, letter):\n    return text.lower().count(letter.lower())",
        "def f(text, letter):\n    return text.count(letter.lower())",
        (("Anna", "a"),),
    ),
    (
        "returns the largest number of a list, or None when it is empty",
        "def f(numbers):\n    return max(numbers) if numbers else None",
        "def f(numbers):\n    return max([0, *numbers])",
        (([-3, -1],), ([],)),
    ),
    (
        "tells whether a text reads the same backwards, ignoring spaces",
        'def f(text):\n    text = text.replace(" ", "")\n    return text == text[::-1]',
        "def f(text):\n    text = text.strip()\n    return text == text[::-1]",
        (("never odd or even",),),
    ),
    (
        "returns the numbers from 1 to n, both included",
        "def f(n):\n    return list(range(1, n + 1))",
        "def f(n):\n    return list(range(1, n))",
        ((3,),),
    ),
    (
        "returns the factorial of n",
        "def f(n):\n    result = 1\n    for i in range(2, n + 1):\n        result *= i\n    return result",
        "def f(n):\n    result = 1\n    for i in range(1, n):\n        result *= i\n    return result",
        ((4,),),
    ),
    (
        "removes duplicates from a list and keeps the order",
        "def f(items):\n    return list(dict.fromkeys(items))",
        "def f(items):\n    return sorted(set(items))",
        (([3, 1, 3, 2],),),
    ),
    (
        "returns every second character of a text, starting with the first",
        "def f(text):\n    return text[::2]",
        "def f(text):\n    return text[1::2]",
        (("abcdef",),),
    ),
)


def run_program(source: str, arguments: tuple[object, ...]) -> object:
    """Run one of this module's own programs (never foreign code) on some arguments; an exception is its result."""
    scope: dict[str, Callable[..., object]] = {}
    exec(source, scope)  # noqa: S102  (the sources are the constants above)
    try:
        return scope["f"](*arguments)
    except Exception as error:
        return f"raises {type(error).__name__}"


def programs(rng: random.Random) -> Task:
    """A small function; both versions are run here, and the wrong one must differ on the tests."""
    what, right, wrong, tests = rng.choice(PROGRAMS)
    name = rng.choice(("solve", "compute", "answer", "work_out", "process", "handle"))
    if all(run_program(right, test) == run_program(wrong, test) for test in tests):
        raise AssertionError(f"The wrong program is not wrong: {what}")
    rename = f"def {name}("
    steps = ("walk through the input once", "and return the result")
    question = f"Write a Python function `{name}` that {what}."
    return Task(question, right.replace("def f(", rename), wrong.replace("def f(", rename), steps, steps, code=True)


TASKS: dict[str, Callable[[random.Random], Task]] = {
    "arithmetic": arithmetic,
    "units": units,
    "dates": dates,
    "sorting": sorting,
    "string_edits": string_edits,
    "programs": programs,
}
