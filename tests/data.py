"""The files of real data that tests read: the folder named by CONCORD_DATA, else ../shared/data beside the checkout."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def data_folder() -> Path:
    return Path(os.environ.get("CONCORD_DATA") or ROOT.parent / "shared" / "data")


def data_file(name: str) -> Path:
    """The file, such as data_file("llmbar/pairs.jsonl"). Raises FileNotFoundError that says how to name the folder."""
    path = data_folder() / name
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: set CONCORD_DATA to the folder that holds {name}.")
    return path
