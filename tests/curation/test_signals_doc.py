"""docs/signals.md names every signal, reason, setting, method, policy and command, and none that is gone."""

import re
from dataclasses import fields
from pathlib import Path

from curation import consensus, filters, quality, selection

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "signals.md").read_text()


def rows_of(section: str) -> set[str]:
    """Names in the first column of the first table after this heading."""
    part = TEXT.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `([a-z_]+)` \|", part, flags=re.MULTILINE))


def test_every_signal_and_reason_has_its_row():
    assert rows_of("Signals") == set(quality.SIGNALS)
    assert rows_of("Filters") == set(filters.REASONS)


def test_every_setting_method_policy_and_command_is_named():
    names = [*(field.name for field in fields(filters.FilterSettings)), *consensus.METHODS, *selection.POLICIES]
    assert [name for name in names if f"`{name}`" not in TEXT] == []
    assert set(re.findall(r"`manage\.py (\w+) DATASET", TEXT)) == {"judges", "agreement", "consensus"}
