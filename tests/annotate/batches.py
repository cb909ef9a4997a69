"""Batches of pairs for people, as a curator would open them, with the order of the pairs in the test's hands."""

from datetime import timedelta

from django.utils import timezone

from annotate.models import Slot
from curation.models import Dataset, Pair, ReviewBatch, ReviewItem
from tests.builders import make_pair


def open_batch(dataset: Dataset, pairs: list[Pair], *, overlap: int = 1, title: str = "Batch") -> ReviewBatch:
    batch = ReviewBatch.objects.create(dataset=dataset, title=title, policy="random", overlap=overlap)
    items = [ReviewItem(batch=batch, pair=pair, position=number, reason="random") for number, pair in enumerate(pairs)]
    ReviewItem.objects.bulk_create(items)
    return batch


def batch_of(dataset: Dataset, n: int, *, overlap: int = 1) -> ReviewBatch:
    return open_batch(dataset, [make_pair(dataset, number) for number in range(n)], overlap=overlap)


def expire(slot: Slot) -> None:
    """Let the lease run out a second ago."""
    Slot.objects.filter(pk=slot.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
