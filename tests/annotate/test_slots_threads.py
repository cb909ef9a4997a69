"""Eight people at once, with real threads and connections."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection

from annotate import slots
from annotate.answers import Answer
from annotate.models import Slot
from curation import people
from curation.models import Judgment, Role
from tests.annotate.batches import batch_of

PEOPLE = 8
PAIRS = 60


@pytest.fixture
def crowd(transactional_db, workspace):
    return [people.add_member(workspace, f"person-{number}", Role.ANNOTATOR) for number in range(PEOPLE)]


def all_at_once(work, arguments):
    """Run work(argument) in one thread each, started together; errors surface here."""
    barrier = Barrier(len(arguments))

    def start(argument):
        try:
            barrier.wait()
            return work(argument)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(start, arguments))


@pytest.mark.parametrize("overlap", [2, 3])
def test_eight_people_fill_every_slot_exactly_once(crowd, dataset, overlap):
    batch_of(dataset, PAIRS, overlap=overlap)

    def work(user):
        answered = 0
        while slot := slots.claim(dataset, user):
            slots.submit(slot, user, Answer(strength=-1))
            answered += 1
        return answered

    answered = all_at_once(work, crowd)
    assert sum(answered) == PAIRS * overlap
    assert Judgment.objects.count() == PAIRS * overlap
    assert Slot.objects.filter(judgment__isnull=False).count() == PAIRS * overlap
    per_pair = Counter(Judgment.objects.values_list("pair", flat=True))
    assert set(per_pair.values()) == {overlap}
    givers = Judgment.objects.values_list("pair", "judge").distinct().count()
    assert givers == PAIRS * overlap
    if overlap == 2:
        orders = Counter(Judgment.objects.values_list("pair", "order_shown"))
        balanced = sum(1 for count in orders.values() if count == 1) / 2
        assert balanced >= 0.8 * PAIRS


def test_eight_people_who_send_everything_twice_store_it_once(crowd, dataset):
    batch_of(dataset, 20, overlap=2)

    def work(user):
        sent = 0
        while slot := slots.claim(dataset, user):
            client_id = slots.client_id_of(slot)
            outcomes = all_at_once(lambda _: slots.submit(slot, user, Answer(strength=2), client_id), range(2))  # noqa: B023
            assert sorted(outcome.state for outcome in outcomes) == ["repeated", "saved"]
            sent += 1
        return sent

    assert sum(all_at_once(work, crowd)) == 40
    assert Judgment.objects.count() == 40
    assert Slot.objects.filter(judgment=None).count() == 0


def test_two_tabs_of_one_person_are_handed_the_same_pair(crowd, dataset):
    batch_of(dataset, 5, overlap=3)
    claimed = all_at_once(lambda _: slots.claim(dataset, crowd[0]).pk, range(6))
    assert len(set(claimed)) == 1


def test_slots_are_made_once_by_eight_who_come_at_the_same_moment(crowd, dataset):
    batch_of(dataset, 30, overlap=2)
    all_at_once(lambda _: slots.fill(dataset), crowd)
    assert Slot.objects.count() == 60
