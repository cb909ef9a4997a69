"""Pushing a release to the Hugging Face Hub, or to whatever speaks its protocol at HF_ENDPOINT."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation import exporters, release_files
from curation.models import Release
from curation.release_rows import ReleaseError

# Data files that an earlier release left behind would be loaded along with this one's. Nothing else is ever taken away.
OURS = [exporters.file_name(split, file_format) for split in ("train", "test") for file_format in exporters.FORMATS]
WORDS = {
    401: "The Hub does not accept the token. Set HF_TOKEN to one with write access.",
    403: "The token has no right to write to {repo}. Use one with write access to it, or another name.",
    404: "The Hub has no repository {repo} that this token can see.",
    429: "The Hub asks for fewer requests. Wait a few minutes and push again; what went up already is not sent twice.",
}


@dataclass(frozen=True)
class Pushed:
    """url: of the repository's page. commit: its head afterwards. new: whether this push changed anything."""

    url: str
    commit: str
    new: bool


def push(
    release: Release,
    repo_id: str,
    *,
    token: str,
    private: bool = True,
    profile: str = "trl_implicit",
    format: str = "parquet",
    style: str = "conversational",
    provenance: bool = False,
) -> Pushed:
    """Makes the dataset repository if need be and uploads the release's folder as one commit.

    Pushing the same release again changes nothing. Data files of another release are taken away in the same commit.
    Raises ReleaseError with what to do about it; the token is in no message and in no log.
    """
    if not token:
        raise ReleaseError("No token: set HF_TOKEN (or HF_TOKEN_FILE) to one with write access.")
    folder = release_files.export(release, profile=profile, format=format, style=style, provenance=provenance)
    # The client reads this when it is imported. Xet storage has no fall-back on servers that do not speak it.
    os.environ["HF_HUB_DISABLE_XET"] = "1"
    import httpx2  # what huggingface_hub speaks HTTP with
    import huggingface_hub
    from huggingface_hub import errors

    api = huggingface_hub.HfApi(token=token)
    try:
        return _upload(api, release, repo_id, folder, private=private)
    except errors.HFValidationError as error:
        raise ReleaseError(f"{repo_id!r} is no name for a repository: use owner/name.") from error
    except errors.HfHubHTTPError as error:
        raise ReleaseError(_words(error, repo_id)) from error
    except (httpx2.HTTPError, OSError) as error:
        raise ReleaseError(f"The Hub at {api.endpoint} cannot be reached: {type(error).__name__}. Push again later.") from error


def _upload(api: Any, release: Release, repo_id: str, folder: Path, *, private: bool) -> Pushed:
    url = api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
    before = api.repo_info(url.repo_id, repo_type="dataset").sha
    commit = api.upload_folder(
        repo_id=url.repo_id,
        repo_type="dataset",
        folder_path=folder,
        commit_message=f"Release {release.version} ({release.content_hash[:12]})",
        delete_patterns=OURS,
    )
    return Pushed(url=str(url), commit=commit.oid, new=commit.oid != before)


def _words(error: Any, repo_id: str) -> str:
    status = error.response.status_code if error.response is not None else 0
    said = (error.server_message or "").strip()[:300]
    words = WORDS.get(status, f"The Hub answered {status}.").format(repo=repo_id)
    return f"{words} It says: {said}" if said else words
