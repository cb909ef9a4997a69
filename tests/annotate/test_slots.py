import uuid

import pytest
from django.utils import timezone

from annotate import progress, slots
from annotate.answers import Answer, answer_from
from annotate.models import Skip, Slot
from curation import judgments, people
from curation.models import Judgment
from tests.annotate.batches import batch_of, expire, open_batch
from tests.builders import make_pair

LEFT = Answer(strength=-2)
RIGHT = Answer(strength=2)


@pytest.fixture
def other_dataset(workspace):
    """Its slots must never be handed out for the first one."""
    other = people.get_or_create_dataset(workspace, "others")
    batch_of(other, 3)
    slots.fill(other)
    return other


def in_force(dataset, user):
    return judgments.current(dataset).filter(judge__user=user)


def test_every_item_gets_as_many_slots_as_the_batch_wants_and_only_once(dataset, other_dataset):
    batch = batch_of(dataset, 5, overlap=3)
    assert slots.fill(dataset) == 15
    assert slots.fill(dataset) == 0
    assert Slot.objects.filter(item__batch=batch).count() == 15


def test_pairs_come_most_wanted_first_and_only_from_this_dataset(dataset, other_dataset, annotator):
    batch = batch_of(dataset, 3)
    shown = []
    while slot := slots.claim(dataset, annotator):
        shown.append(slot.item.pair_id)
        slots.submit(slot, annotator, LEFT)
    assert shown == list(batch.items.order_by("position").values_list("pair_id", flat=True))
    assert Slot.objects.filter(dataset=other_dataset, annotator=None).count() == 3


def test_asking_again_gives_the_same_pair_the_same_way_round(dataset, annotator):
    batch_of(dataset, 3)
    first = slots.claim(dataset, annotator)
    again = slots.claim(dataset, annotator)
    assert (again.pk, again.left) == (first.pk, first.left)


def test_an_answer_is_stored_for_the_response_that_was_seen_there(dataset, annotator):
    batch_of(dataset, 12)
    for _ in range(12):
        slot = slots.claim(dataset, annotator)
        judgment = slots.submit(slot, annotator, LEFT).judgment
        assert judgment.strength == (-2 if slot.left == "a" else 2)
        assert judgment.order_shown == ("ab" if slot.left == "a" else "ba")


def test_sides_are_balanced_for_a_person_after_every_second_pair(dataset, annotator):
    batch_of(dataset, 10)
    shown = []
    while slot := slots.claim(dataset, annotator):
        shown.append(slot.left)
        slots.submit(slot, annotator, LEFT)
    for start in range(0, 10, 2):
        assert sorted(shown[start : start + 2]) == ["a", "b"]


def test_two_people_see_a_pair_in_opposite_orders(dataset, annotator, annotator_two):
    batch_of(dataset, 6, overlap=2)
    for _ in range(6):
        pair_of_slots = [slots.claim(dataset, annotator), slots.claim(dataset, annotator_two)]
        assert pair_of_slots[0].item_id == pair_of_slots[1].item_id
        assert {slot.left for slot in pair_of_slots} == {"a", "b"}
        slots.submit(pair_of_slots[0], annotator, LEFT)
        slots.submit(pair_of_slots[1], annotator_two, LEFT)


def test_sending_an_answer_twice_stores_it_once(dataset, annotator):
    batch_of(dataset, 2)
    slot = slots.claim(dataset, annotator)
    client_id = uuid.uuid4()
    first = slots.submit(slot, annotator, LEFT, client_id)
    second = slots.submit(slot, annotator, RIGHT, client_id)
    assert (first.state, second.state) == ("saved", "repeated")
    assert first.judgment == second.judgment
    assert Judgment.objects.count() == 1


def test_a_second_tab_does_not_answer_the_same_pair_again(dataset, annotator):
    batch_of(dataset, 2)
    slot = slots.claim(dataset, annotator)
    slots.submit(slot, annotator, LEFT, uuid.uuid4())
    assert slots.submit(slot, annotator, RIGHT, uuid.uuid4()).state == "repeated"
    assert Judgment.objects.count() == 1


def test_another_persons_slot_or_client_id_is_refused(dataset, annotator, annotator_two):
    batch_of(dataset, 2)
    slot, other = slots.claim(dataset, annotator), slots.claim(dataset, annotator_two)
    client_id = uuid.uuid4()
    slots.submit(other, annotator_two, LEFT, client_id)
    with pytest.raises(slots.NotYours):
        slots.submit(other, annotator, LEFT)
    with pytest.raises(slots.NotYours):
        slots.submit(slot, annotator, LEFT, client_id)


def test_an_expired_lease_goes_to_somebody_else_without_the_former_draft(dataset, annotator, annotator_two):
    batch_of(dataset, 1)
    slot = slots.claim(dataset, annotator)
    slots.save_draft(slot, annotator, draft={"rationale": "secret thought"})
    assert slots.claim(dataset, annotator_two) is None
    expire(slot)
    taken = slots.claim(dataset, annotator_two)
    assert taken.pk == slot.pk
    assert taken.draft == {}


def test_an_expired_lease_nobody_took_comes_back_with_its_draft_and_side(dataset, annotator):
    batch_of(dataset, 2)
    slot = slots.claim(dataset, annotator)
    slots.save_draft(slot, annotator, draft={"rationale": "half a thought"})
    expire(slot)
    back = slots.claim(dataset, annotator)
    assert (back.pk, back.left, back.draft) == (slot.pk, slot.left, {"rationale": "half a thought"})
    assert back.lease_until > timezone.now()


def test_a_late_answer_takes_a_vacant_slot_back(dataset, annotator):
    batch_of(dataset, 1)
    slot = slots.claim(dataset, annotator)
    expire(slot)
    assert slots.submit(slot, annotator, LEFT).state == "saved"


def test_a_late_answer_fills_another_vacant_slot_of_the_pair(dataset, annotator, annotator_two):
    batch_of(dataset, 1, overlap=2)
    slot = slots.claim(dataset, annotator)
    expire(slot)
    taken = slots.claim(dataset, annotator_two)
    assert taken.pk == slot.pk
    assert slots.submit(slot, annotator, LEFT).state == "saved"
    assert slots.submit(taken, annotator_two, LEFT).state == "saved"
    assert Slot.objects.filter(judgment__isnull=False).count() == 2


def test_a_late_answer_is_kept_beside_the_others_when_every_slot_is_taken(dataset, annotator, annotator_two):
    batch_of(dataset, 1)
    late = slots.claim(dataset, annotator)
    expire(late)
    taken = slots.claim(dataset, annotator_two)
    slots.submit(taken, annotator_two, LEFT)
    outcome = slots.submit(late, annotator, RIGHT)
    assert outcome.state == "extra"
    assert outcome.judgment.strength == (2 if late.left == "a" else -2)
    assert Slot.objects.get().annotator == annotator_two
    assert slots.submit(late, annotator, RIGHT).state == "repeated"


def test_whoever_answered_late_is_not_asked_about_the_pair_again(dataset, annotator, annotator_two):
    batch_of(dataset, 1)
    late = slots.claim(dataset, annotator)
    expire(late)
    held = slots.claim(dataset, annotator_two)
    slots.submit(late, annotator, RIGHT)
    slots.skip(held, annotator_two)
    assert slots.claim(dataset, annotator) is None


def test_a_skipped_pair_goes_to_others_and_is_not_shown_again(dataset, annotator, annotator_two):
    batch_of(dataset, 2)
    slot = slots.claim(dataset, annotator)
    slots.skip(slot, annotator, reason="not my field")
    assert slots.claim(dataset, annotator).item_id != slot.item_id
    assert slots.claim(dataset, annotator_two).item_id == slot.item_id
    slots.skip(slot, annotator, reason="again")
    assert Skip.objects.get().reason == "not my field"


def test_undo_brings_the_answer_back_as_a_draft_and_takes_it_out_of_force(dataset, annotator):
    batch_of(dataset, 3)
    slot = slots.claim(dataset, annotator)
    slots.submit(slot, annotator, answer_from("2", rationale="clearer"))
    slots.claim(dataset, annotator)
    undone = slots.undo(annotator, dataset)
    assert undone.what == "answer"
    assert undone.slot.draft == {"verdict": "2", "rationale": "clearer", "reason": ""}
    assert not in_force(dataset, annotator).exists()
    back = slots.claim(dataset, annotator)
    assert (back.pk, back.left) == (slot.pk, slot.left)


def test_an_answer_after_undo_is_the_one_in_force_and_nothing_is_deleted(dataset, annotator):
    batch_of(dataset, 1)
    slot = slots.claim(dataset, annotator)
    slots.submit(slot, annotator, LEFT)
    slots.undo(annotator, dataset)
    again = slots.submit(slots.claim(dataset, annotator), annotator, RIGHT)
    assert again.state == "saved"
    assert list(in_force(dataset, annotator)) == [again.judgment]
    assert Judgment.objects.count() == 3


def test_a_retried_request_from_before_the_undo_changes_nothing(dataset, annotator):
    batch_of(dataset, 1)
    slot = slots.claim(dataset, annotator)
    client_id = slots.client_id_of(slot)
    slots.submit(slot, annotator, LEFT, client_id)
    slots.undo(annotator, dataset)
    assert slots.submit(slot, annotator, LEFT, client_id).state == "repeated"
    assert not in_force(dataset, annotator).exists()


def test_undo_repeats_backwards_and_the_queue_continues_where_it_was(dataset, annotator):
    batch_of(dataset, 4)
    answered = []
    for _ in range(3):
        slot = slots.claim(dataset, annotator)
        slots.submit(slot, annotator, LEFT)
        answered.append(slot.pk)
    current = slots.claim(dataset, annotator)
    assert slots.undo(annotator, dataset).slot.pk == answered[2]
    assert slots.undo(annotator, dataset).slot.pk == answered[1]
    shown = []
    while slot := slots.claim(dataset, annotator):
        shown.append(slot.pk)
        slots.submit(slot, annotator, RIGHT)
    assert shown == [answered[1], answered[2], current.pk]
    assert in_force(dataset, annotator).count() == 4


def test_undo_reaches_back_ten_actions(dataset, annotator):
    batch_of(dataset, 14)
    for _ in range(13):
        slots.submit(slots.claim(dataset, annotator), annotator, LEFT)
    slots.claim(dataset, annotator)
    undone = [slots.undo(annotator, dataset) for _ in range(12)]
    assert [bool(found) for found in undone] == [True] * 10 + [False] * 2


def test_undo_takes_back_the_latest_action_be_it_a_skip(dataset, annotator):
    batch_of(dataset, 3)
    slots.submit(slots.claim(dataset, annotator), annotator, LEFT)
    skipped = slots.claim(dataset, annotator)
    slots.skip(skipped, annotator)
    undone = slots.undo(annotator, dataset)
    assert (undone.what, undone.slot.item_id) == ("skip", skipped.item_id)
    assert slots.undo(annotator, dataset).what == "answer"


def test_undo_of_a_skip_says_when_somebody_else_took_the_pair(dataset, annotator, annotator_two):
    batch_of(dataset, 1)
    slots.skip(slots.claim(dataset, annotator), annotator)
    slots.claim(dataset, annotator_two)
    undone = slots.undo(annotator, dataset)
    assert (undone.what, undone.slot) == ("skip", None)


def test_undo_never_touches_other_people_or_other_datasets(dataset, other_dataset, annotator, annotator_two):
    batch_of(dataset, 2)
    slots.submit(slots.claim(other_dataset, annotator), annotator, LEFT)
    slots.submit(slots.claim(dataset, annotator_two), annotator_two, LEFT)
    assert slots.undo(annotator, dataset) is None


def test_a_closed_batch_hands_out_nothing_but_keeps_an_answer_under_way(dataset, annotator, annotator_two):
    batch = batch_of(dataset, 2)
    slot = slots.claim(dataset, annotator)
    batch.closed_at = timezone.now()
    batch.save(update_fields=["closed_at"])
    assert slots.claim(dataset, annotator) is None
    assert slots.claim(dataset, annotator_two) is None
    assert slots.submit(slot, annotator, LEFT).state == "saved"


def test_nobody_gets_one_pair_twice_from_two_open_batches(dataset, annotator, annotator_two):
    pairs = [make_pair(dataset, number) for number in range(2)]
    open_batch(dataset, pairs)
    open_batch(dataset, pairs, title="Second")
    for user in (annotator, annotator_two):
        shown = []
        while slot := slots.claim(dataset, user):
            shown.append(slot.item.pair_id)
            slots.submit(slot, user, LEFT)
        assert sorted(shown) == sorted(pair.pk for pair in pairs)


def test_a_later_batch_may_ask_the_same_person_again_as_another_occasion(dataset, annotator):
    pairs = [make_pair(dataset, 0)]
    first = open_batch(dataset, pairs)
    slots.submit(slots.claim(dataset, annotator), annotator, LEFT)
    first.closed_at = timezone.now()
    first.save(update_fields=["closed_at"])
    open_batch(dataset, pairs, title="Later")
    judgment = slots.submit(slots.claim(dataset, annotator), annotator, LEFT).judgment
    assert judgment.occasion == 1
    assert in_force(dataset, annotator).count() == 2


def test_a_change_sent_under_another_persons_id_is_refused_and_changes_nothing(dataset, annotator, annotator_two):
    batch_of(dataset, 2)
    theirs = slots.submit(slots.claim(dataset, annotator_two), annotator_two, LEFT, uuid.uuid4()).judgment
    mine = slots.submit(slots.claim(dataset, annotator), annotator, LEFT).judgment
    with pytest.raises(slots.NotYours):
        slots.edit(mine, annotator, RIGHT, theirs.client_id)
    assert Judgment.objects.count() == 2


def test_a_changed_answer_supersedes_the_old_and_fills_its_slot(dataset, annotator, annotator_two):
    batch_of(dataset, 1)
    slot = slots.claim(dataset, annotator)
    first = slots.submit(slot, annotator, LEFT).judgment
    changed = slots.edit(first, annotator, RIGHT).judgment
    assert changed.supersedes == first
    assert changed.strength == -first.strength
    assert changed.order_shown == first.order_shown
    assert Slot.objects.get().judgment == changed
    with pytest.raises(slots.NotYours):
        slots.edit(changed, annotator_two, LEFT)


def test_an_edit_of_an_old_version_changes_the_latest(dataset, annotator):
    batch_of(dataset, 1)
    first = slots.submit(slots.claim(dataset, annotator), annotator, LEFT).judgment
    slots.edit(first, annotator, RIGHT)
    slots.edit(first, annotator, answer_from("both_bad"))
    assert [row.tie_kind for row in in_force(dataset, annotator)] == ["both_bad"]


def test_activity_renews_the_lease_and_drafts_of_lost_slots_are_refused(dataset, annotator, annotator_two):
    batch_of(dataset, 1)
    slot = slots.claim(dataset, annotator)
    expire(slot)
    assert slots.renew(slot, annotator)
    assert slots.claim(dataset, annotator_two) is None
    expire(slot)
    slots.claim(dataset, annotator_two)
    assert not slots.renew(slot, annotator)
    assert not slots.save_draft(slot, annotator, draft={"verdict": "1"})
    assert Slot.objects.get().draft == {}


def test_progress_counts_own_answers_in_force(dataset, other_dataset, annotator, annotator_two):
    batch_of(dataset, 5)
    slots.submit(slots.claim(dataset, annotator_two), annotator_two, LEFT)
    for _ in range(2):
        slots.submit(slots.claim(dataset, annotator), annotator, Answer(strength=1, seconds=8.0))
    slots.undo(annotator, dataset)
    assert progress.own(dataset, annotator) == progress.Progress(today=1, total=1, left=3)
    assert progress.median_seconds(dataset, annotator) == 8.0


def test_an_empty_queue_says_why(dataset, annotator, annotator_two):
    assert progress.why_empty(dataset, annotator).state == "nothing_open"
    batch_of(dataset, 1)
    held = slots.claim(dataset, annotator_two)
    assert progress.why_empty(dataset, annotator) == progress.Emptiness("leased", held.lease_until)
    slots.submit(held, annotator_two, LEFT)
    assert progress.why_empty(dataset, annotator_two).state == "all_done"
