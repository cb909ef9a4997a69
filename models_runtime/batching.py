"""Cut items of unequal length into batches that fit a token budget, and put the results back in order. Pure."""

from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def token_batches(lengths: Sequence[int], *, budget: int, most: int = 64) -> list[list[int]]:
    """Indices of the items, longest first, in batches whose padded size (longest x count) is within the budget.

    Longest first: what does not fit in memory shows at the start of a run. An item above the budget gets a batch of its own.

    >>> token_batches([3, 9, 4, 2], budget=10)
    [[1], [2, 0], [3]]
    >>> token_batches([], budget=10)
    []
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batches and len(batches[-1]) < most and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= budget:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def in_batches(
    items: Sequence[Item],
    lengths: Sequence[int],
    run: Callable[[list[Item]], Sequence[Result]],
    *,
    budget: int,
    most: int = 64,
    too_big: tuple[type[Exception], ...] = (),
) -> list[Result]:
    """One result per item, in the order of the items. A batch that raises one of `too_big` is halved and tried again.

    Raises ValueError when `run` gives another number of results than it got items.
    """
    results: dict[int, Result] = {}
    waiting = token_batches(lengths, budget=budget, most=most)[::-1]
    while waiting:
        batch = waiting.pop()
        try:
            values = run([items[index] for index in batch])
        except too_big:
            if len(batch) == 1:
                raise
            half = len(batch) // 2
            waiting += [batch[half:], batch[:half]]
            continue
        results.update(zip(batch, values, strict=True))
    return [results[index] for index in range(len(items))]
