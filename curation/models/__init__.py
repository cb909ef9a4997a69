"""Every table of the curation layer: fields, constraints, read-only properties. docs/architecture.md says who writes each."""

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
