"""Small builders of rows that tests need. They go through the real writers where one exists."""

from curation.models import Dataset, Decision, Pair, Prompt, Response
from models_runtime.hashing import content_hash


def make_pair(dataset: Dataset, number: int = 0, *, prompt: str = "", a: str = "", b: str = "", **fields) -> Pair:
    """One pair with its prompt and responses; texts default to ones that name the number."""
    prompt_messages = [{"role": "user", "content": prompt or f"What is {number} + {number}?"}]
    texts = [a or f"It is {number + number}.", b or f"I think it is {number + number + 1}, all things considered."]
    prompt_row, _ = Prompt.objects.get_or_create(
        dataset=dataset,
        content_hash=content_hash(prompt_messages),
        defaults={"messages": prompt_messages, "n_chars": len(prompt)},
    )
    responses = []
    for text in texts:
        messages = [{"role": "assistant", "content": text}]
        row, _ = Response.objects.get_or_create(
            prompt=prompt_row, content_hash=content_hash(messages), defaults={"messages": messages, "n_chars": len(text)}
        )
        responses.append(row)
    hashes = [bytes(response.content_hash) for response in responses]
    return Pair.objects.create(
        dataset=dataset,
        prompt=prompt_row,
        response_a=responses[0],
        response_b=responses[1],
        external_id=fields.pop("external_id", f"pair-{number}"),
        content_key=content_hash([h.hex() for h in sorted(hashes)]),
        row_hash=content_hash([prompt, *texts]),
        **fields,
    )


def make_decision(
    pair: Pair, *, strength: float | None, pool: str = "silver", action: str = "keep", reason: str = "judges_agree", **fields
) -> Decision:
    """A decision as the ledger holds it, for tests of what reads decisions; the pair's pool follows."""
    decision = Decision(
        dataset=pair.dataset,
        pair=pair,
        action=action,
        reason=reason,
        pool_before=pair.pool,
        pool_after=pool,
        strength=strength,
        **fields,
    )
    [made] = Decision.objects.bulk_create([decision])
    pair.pool = pool
    pair.save(update_fields=["pool"])
    return made
