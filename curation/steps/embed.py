"""Step "embed": a vector for every prompt and response that has none by this model. Equal contents are embedded once."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation import recipes
from curation.bulk import insert_new
from curation.models import Dataset, Embedding, Prompt, Recipe, Response
from curation.steps.base import Step, Stored, Work, host, on_gpu, text_of_content
from curation.steps.checks import need_capability
from models_runtime.loading import resident
from models_runtime.types import ModelSpec

Vectors = list[tuple[bytes, list[float] | None]]


def prepare(dataset: Dataset, params: recipes.Embed, recipe: Recipe | None) -> None:
    need_capability(params.model, "embed")


def contents(work: Work) -> dict[bytes, Any]:
    """Messages of this range's prompts and responses by content hash."""
    found: dict[bytes, Any] = {}
    for rows in (
        Prompt.objects.filter(id__in=work.pairs.order_by().values("prompt")),
        Response.objects.filter(id__in=work.pairs.order_by().values("response_a")),
        Response.objects.filter(id__in=work.pairs.order_by().values("response_b")),
    ):
        found.update((bytes(digest), messages) for digest, messages in rows.values_list("content_hash", "messages"))
    return found


def known_vectors(model: ModelSpec, digests: Iterable[bytes]) -> dict[bytes, NDArray[np.float32]]:
    """Stored vectors of these contents, by content hash."""
    rows = Embedding.objects.filter(model_key=model.key, content_hash__in=list(digests)).values_list("content_hash", "vector")
    return {bytes(digest): np.asarray(vector, np.float32) for digest, vector in rows}


def missing_vectors(work: Work, model: ModelSpec) -> Vectors:
    """Vectors, computed now, of what this range holds and nobody embedded. None: the model gave none.

    Sorted, so that two workers that share contents insert them in one order and cannot lock each other out.
    """
    found = contents(work)
    stored = Embedding.objects.filter(model_key=model.key, content_hash__in=list(found)).values_list("content_hash", flat=True)
    missing = sorted(found.keys() - {bytes(digest) for digest in stored})
    if not missing:
        return []
    vectors = resident(model, host=host()).embed([text_of_content(found[digest]) for digest in missing])
    return list(zip(missing, vectors, strict=True))


def compute(work: Work) -> Vectors:
    return missing_vectors(work, work.params.model)


def insert(model: ModelSpec, computed: Vectors) -> int:
    rows = [
        Embedding(content_hash=digest, model_key=model.key, vector=vector) for digest, vector in computed if vector is not None
    ]
    return insert_new(rows)


def store(work: Work, computed: Vectors) -> Stored:
    return Stored(n_values=insert(work.params.model, computed), n_missing=sum(vector is None for _, vector in computed))


STEP = Step(prepare, compute, store, on_gpu, ("curation.steps.embed",))
