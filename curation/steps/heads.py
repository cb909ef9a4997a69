"""Reward heads as the steps use them: a folder of files with the head, one head per fold, and the prompts it was trained on.

A prompt that was trained on belongs to one fold, and its responses are scored by that fold's head, which never saw it. So no
pair is ever judged by a head that was trained on its own label. Folders lie under settings.PATHS.models; workers on several
machines share that folder.
"""

import os
import shutil
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from models_runtime.training import bradley_terry
from models_runtime.types import BackendError

JUDGE_NAME = "embedding head"
PROMPTS_FILE = "prompts.npy"


@dataclass(frozen=True, eq=False)
class Heads:
    """final scores what it never saw; folds[k] scores the prompts of fold k; prompts: sorted ids of those trained on."""

    final: bradley_terry.Head
    folds: tuple[bradley_terry.Head, ...]
    prompts: NDArray[np.int64]
    seed: int

    def score(self, prompt_ids: NDArray[np.int64], prompts: NDArray, responses: NDArray) -> NDArray[np.float64]:
        """(n,) rewards of (n, d) embeddings, each by a head that was not trained on its prompt."""
        rows = bradley_terry.features(prompts, responses)
        scores = self.final.score(rows)
        trained = np.isin(prompt_ids, self.prompts)
        fold = np.array([fold_of(prompt, len(self.folds), self.seed) for prompt in prompt_ids.tolist()], int)
        for number, head in enumerate(self.folds):
            mine = trained & (fold == number)
            if mine.any():
                scores[mine] = head.score(rows[mine])
        return scores


def fold_of(prompt_id: int, folds: int, seed: int) -> int:
    """The fold of a prompt: drawn from its id and the seed, the same on every machine."""
    return int.from_bytes(sha256(f"{seed}/{prompt_id}".encode()).digest()[:6]) % folds


def folder_of(key: str) -> Path:
    return settings.PATHS.models / "heads" / key


def save(heads: Heads, key: str) -> Path:
    """Write the folder whole under another name, then rename it: a killed worker leaves no half head."""
    target = folder_of(key)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{key[:12]}-", dir=target.parent))
    heads.final.save(draft / "final")
    for number, head in enumerate(heads.folds):
        head.save(draft / f"fold-{number}")
    np.save(draft / PROMPTS_FILE, heads.prompts)
    (draft / "seed").write_text(str(heads.seed))
    try:
        os.rename(draft, target)
    except OSError:  # another worker was first; its files say the same
        shutil.rmtree(draft)
    return target


@lru_cache(maxsize=4)
def load(key: str) -> Heads:
    """The heads kept under this key. Raises BackendError when their folder is not on this machine or is damaged."""
    folder = folder_of(key)
    try:
        prompts, seed = np.load(folder / PROMPTS_FILE), int((folder / "seed").read_text())
    except (OSError, ValueError) as error:
        message = f"The reward head {key[:12]} is not in {folder.parent} ({error}): train it again, or share that folder."
        raise BackendError(message, permanent=True) from error
    folds = tuple(bradley_terry.load(part) for part in sorted(folder.glob("fold-*"), key=lambda part: int(part.name[5:])))
    return Heads(bradley_terry.load(folder / "final"), folds, prompts, seed)
