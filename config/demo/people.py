"""Simulated annotators. They take slots and answer through the same functions as the judging page."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from annotate import slots
from annotate.answers import Answer
from annotate.models import Slot
from config.demo.generator import DemoPair
from curation import people
from curation.models import Dataset, Role, User


@dataclass(frozen=True)
class SimulatedPerson:
    username: str
    skill: float  # chance of finding out which response is right
    left_pull: float  # otherwise: chance of preferring whatever is on the left; the rest is a coin
    seconds: float  # typical time per pair


ANNOTATORS = (
    SimulatedPerson("ana", 0.94, 0.1, 34.0),
    SimulatedPerson("ben", 0.90, 0.6, 21.0),
    SimulatedPerson("chi", 0.92, 0.2, 48.0),
)

REASONS = ("I redid the working and the result matches.", "The other one slips in a step.", "Checked it by hand.")


def members(dataset: Dataset, password: str) -> list[User]:
    """The simulated people as users with the annotator role."""
    return [people.add_member(dataset.workspace, person.username, Role.ANNOTATOR, password=password) for person in ANNOTATORS]


def right_side(slot: Slot, truth: Mapping[str, DemoPair]) -> str:
    """'left' or 'right': where the truly better response stands on this person's screen."""
    pair = slot.item.pair
    right_is_a = pair.response_a.messages[-1]["content"] == truth[pair.external_id].right
    return "left" if right_is_a == (slot.left == "a") else "right"


def judge(person: SimulatedPerson, slot: Slot, truth: Mapping[str, DemoPair]) -> Answer:
    """One answer with this person's skill and side bias; the same pair always gets the same answer from them."""
    rng = random.Random(f"{person.username}/{slot.item.pair.external_id}")  # noqa: S311
    side = right_side(slot, truth)
    if rng.random() >= person.skill:
        side = "left" if rng.random() < person.left_pull else rng.choice(("left", "right"))
    size = rng.choices((1, 2, 3), (2, 4, 3))[0]
    seconds = round(person.seconds * rng.lognormvariate(0, 0.4), 1)
    return Answer(strength=-size if side == "left" else size, rationale=rng.choice(REASONS), seconds=seconds)


def answer_open_slots(dataset: Dataset, users: list[User], truth: Mapping[str, DemoPair]) -> int:
    """Everybody answers in turn until no slot is left for anyone. Returns how many answers were given."""
    given, waiting = 0, list(zip(ANNOTATORS, users, strict=True))
    while waiting:
        person, user = waiting.pop(0)
        slot = slots.claim(dataset, user)
        if slot is None:
            continue
        slots.submit(slot, user, judge(person, slot, truth))
        given += 1
        waiting.append((person, user))
    return given
