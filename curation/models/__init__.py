"""Every table of the curation layer. Fields, constraints and read-only properties; the module that writes each is named in its docstring."""

from curation.models.data import Dataset, Embedding, Import, ImportIssue, Pair, Pool, Prompt, Response
from curation.models.decisions import Action, Consensus, Decision, ReviewBatch, ReviewItem, SignalValue
from curation.models.judgments import Judge, JudgeKind, Judgment, Reward, TieKind
from curation.models.people import Membership, Role, User, Workspace
from curation.models.releases import Release, ReleaseRow
from curation.models.runs import Chunk, ChunkState, Recipe, Run, WorkerBeat

__all__ = [
    "Action",
    "Chunk",
    "ChunkState",
    "Consensus",
    "Dataset",
    "Decision",
    "Embedding",
    "Import",
    "ImportIssue",
    "Judge",
    "JudgeKind",
    "Judgment",
    "Membership",
    "Pair",
    "Pool",
    "Prompt",
    "Recipe",
    "Release",
    "ReleaseRow",
    "Response",
    "ReviewBatch",
    "ReviewItem",
    "Reward",
    "Role",
    "Run",
    "SignalValue",
    "TieKind",
    "User",
    "WorkerBeat",
    "Workspace",
]
