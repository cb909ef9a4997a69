"""The dataset card of a release: figures -> YAML header and markdown. Pure.

Titles, names and reasons come from users and from files: they are escaped, so that none can open a link, a tag, a table cell or
a key of the header.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curation.exporters import Layout, file_name

# Identifiers that the Hub's `license` field knows; anything else is "other" with a name.
HUB_LICENCES = re.compile(
    r"apache-2\.0|mit|bsd-[23]-clause|cc0-1\.0|cc-by(-sa|-nc|-nd|-nc-sa|-nc-nd)?-[234]\.0|[al]?gpl-3\.0|mpl-2\.0|odc-by|odbl|pddl"
    r"|unlicense|openrail|unknown"
)
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10_000_000, "1M<n<10M"))
TAGS = ("human-feedback", "preference", "rlhf", "reward-model", "trl", "concord")
LONGEST_NAME = 300
LONGEST_TEXT = 5000
ROWS_PER_TABLE = 40

CAUSES = {
    "undecided": "no decision yet",
    "pool": "in a pool that was not asked for",
    "no_label": "decided, but without a label",
    "identical": "both responses are the same",
    "tie": "tie, left out by policy",
    "below_min_margin": "label weaker than asked for",
    "not_text": "messages that hold more than role and text",
}
TIE_POLICIES = {
    "drop": "Ties were left out.",
    "both_orders": "Each tie is there twice, with each response chosen once and margin 0.",
    "zero_margin": "Each tie is there once with margin 0; which response is called chosen says nothing.",
}
ACTIONS = {"keep": "label kept", "flip": "label turned round", "relabel": "label given or changed"}
AGREEMENT = {
    "fleiss_kappa": "Fleiss' kappa",
    "krippendorff_alpha": "Krippendorff's alpha, nominal",
    "krippendorff_alpha_ordinal": "Krippendorff's alpha over seven strengths, ordinal",
}
SIDES = {"a": "response A", "b": "response B", "tie": "a tie"}


@dataclass(frozen=True)
class CardFacts:
    """What a card is made of; `manifest` as releases.cut() writes it."""

    created: str  # date, ISO 8601
    notes: str
    manifest: Mapping[str, Any]

    @property
    def version(self) -> int:
        return int(self.manifest["version"])

    def _stated(self, name: str) -> str:
        """As the dataset stated it when the release was cut."""
        return str(self.manifest["stated"][name]).strip()

    @property
    def title(self) -> str:
        return self._stated("title")

    @property
    def description(self) -> str:
        return self._stated("description")

    @property
    def source(self) -> str:
        return self._stated("source")

    @property
    def licence(self) -> str:
        return self._stated("licence")


def inline(text: object, *, limit: int = LONGEST_NAME) -> str:
    r"""Text that markdown and HTML show as it is, in one line.

    >>> print(inline("a | <b>, # z"))
    a \| \<b\>, \# z
    """
    plain = " ".join("".join(char if char.isprintable() else " " for char in str(text)).split())
    plain = plain if len(plain) <= limit else plain[:limit] + "…"
    escaped = re.sub(r"([\\`*_{}\[\]<>|~&#@:!$])", r"\\\1", plain)
    escaped = re.sub(r"\b(www)\.", r"\1\\.", escaped, flags=re.IGNORECASE)
    return re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", escaped)  # no list and no underlined heading at the start of a line


def yaml_text(text: object) -> str:
    """A double-quoted YAML scalar. JSON's is one, but for characters that YAML wants escaped."""
    quoted = json.dumps(str(text)[:LONGEST_NAME], ensure_ascii=False)
    return re.sub(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]", lambda char: f"\\u{ord(char[0]):04x}", quoted)


def front_matter(facts: CardFacts, layout: Layout) -> str:
    """The YAML header: licence, tags, size, and which file is which split, so that a loader needs no options."""
    rows = facts.manifest["released"]["rows"]
    size = next((name for limit, name in SIZES if rows < limit), "n>10M")
    lines = ["---", *_licence_lines(facts.licence), f"pretty_name: {yaml_text(facts.title)}", "tags:"]
    lines += [f"- {tag}" for tag in TAGS] + ["task_categories:", "- text-generation", "size_categories:", f'- "{size}"']
    lines += ["configs:", "- config_name: default", "  data_files:"]
    for split in facts.manifest["released"]["rows_by_split"]:
        lines += [f"  - split: {split}", f"    path: {file_name(split, layout.format)}"]
    lines += ["dataset_info:", "- config_name: default", "  features:"]
    for name, kind in layout.columns:
        lines += [f"  - name: {name}", *_feature(kind)]
    return "\n".join([*lines, "---", "", ""])


def _licence_lines(licence: str) -> list[str]:
    name = licence.strip().lower().replace(" ", "-")
    if not name:
        return ["license: unknown"]
    if HUB_LICENCES.fullmatch(name):
        return [f"license: {name}"]
    return [
        "license: other",
        f"license_name: {yaml_text(re.sub(r'[^a-z0-9.]+', '-', name).strip('-') or 'other')}",
        "license_link: LICENSE.md",
    ]


def _feature(kind: str) -> list[str]:
    if kind == "messages":
        return ["    list:", "    - name: role", "      dtype: string", "    - name: content", "      dtype: string"]
    return [f"    dtype: {({'text': 'string', 'number': 'float64', 'integer': 'int64'})[kind]}"]


def body(facts: CardFacts, layout: Layout | None = None, *, heading: bool = True) -> str:
    """The card without its header; how to load it is part of it where a layout is given, its title where a heading is wanted."""
    sections = [
        _head(facts) if heading else "",
        _made(facts),
        _labels(facts),
        _judges(facts),
        _agreement(facts),
        _left_out(facts),
        _limits(facts),
    ]
    if layout is not None:
        sections.insert(1, _loading(facts, layout))
    return "\n\n".join(section for section in sections if section) + "\n"


def licence_note(facts: CardFacts) -> str:
    stated = (
        f"The dataset's licence field says: {inline(facts.licence)}."
        if facts.licence
        else "The dataset's licence field is empty."
    )
    source = f"\n\nSource as stated: {inline(facts.source, limit=LONGEST_TEXT)}" if facts.source else ""
    return (
        f"# Licence\n\n{stated}{source}\n\n"
        "Prompts and responses belong to whoever wrote them or made them; labels derived from models may be bound by the "
        "terms of those models. Concord passes on what its users stated and grants no rights of its own.\n"
    )


def _head(facts: CardFacts) -> str:
    released = facts.manifest["released"]
    parent = facts.manifest["parent"]
    rows = [
        ("Release", f"{facts.version}, cut {facts.created}" + (f", follows release {parent['version']}" if parent else "")),
        ("Rows", f"{released['rows']:,} from {released['pairs']:,} pairs on {released['prompts']:,} prompts"),
        ("Splits", ", ".join(f"{split} {n:,}" for split, n in released["rows_by_split"].items())),
        ("Content hash", f"`{facts.manifest['content_hash']}`"),
        ("Licence", inline(facts.licence) or "not stated"),
        ("Source", inline(facts.source, limit=LONGEST_TEXT) or "not stated"),
    ]
    text = [f"# {inline(facts.title)}", inline(facts.description, limit=LONGEST_TEXT), _table(("", ""), rows)]
    if facts.notes.strip():
        text.append(f"Notes: {inline(facts.notes, limit=LONGEST_TEXT)}")
    return "\n\n".join(part for part in text if part)


def _loading(facts: CardFacts, layout: Layout) -> str:
    prompt = "the conversation up to the reply in `prompt`, the replies alone in `chosen` and `rejected`"
    if layout.profile == "trl_implicit":
        prompt = (
            "whole conversations in `chosen` and `rejected`, and `margin`, the strength of the preference (0 to 3), "
            "which RewardTrainer subtracts in its loss"
        )
    extra = " Columns after these say where each row came from; trainers ignore them." if layout.provenance else ""
    return (
        "## Load and train\n\n"
        f"Preference data as TRL reads it: {prompt}.{extra}\n\n"
        "```python\nfrom datasets import load_dataset\nfrom trl import RewardConfig, RewardTrainer\n\n"
        'data = load_dataset("path/of/this/folder")  # or its repository on the Hub\n'
        'RewardTrainer("your/model", args=RewardConfig(), train_dataset=data["train"]).train()\n```'
    )


def _made(facts: CardFacts) -> str:
    rows = [
        (row["pool"], ACTIONS.get(row["action"], inline(row["action"])), inline(row["reason"]), f"{row['pairs']:,}")
        for row in facts.manifest["released"]["by_reason"]
    ]
    sources = facts.manifest["released"]["by_source"]
    total = sum(sources.values())
    shares = ", ".join(f"{n:,} ({_percent(n, total)}) on the word of {inline(source)}" for source, n in sources.items())
    recipes = ", ".join(
        dict.fromkeys(
            f"{inline(recipe['name'])} (Concord {inline(recipe['code_version'])})" for recipe in facts.manifest["recipes"]
        )
    )
    guidelines = ", ".join(f"{inline(row['version'])} ({row['judgments']:,} judgments)" for row in facts.manifest["guidelines"])
    return "\n\n".join(
        [
            "## How the labels came to be",
            f"Pairs labelled: {shares}. Gold pairs were decided by people, silver ones by models; "
            "recycled ones were discarded once and are used with their label turned round.",
            _table(("Pool", "Decision", "Reason", "Pairs"), rows, right=(3,)),
            f"Recipes run: {recipes or 'none'}. Guideline versions that people answered under: {guidelines or 'none recorded'}.",
        ]
    )


def _labels(facts: CardFacts) -> str:
    labels = facts.manifest["labels"]
    rows = [("chosen", SIDES[side], n) for side, n in labels["rows_by_chosen_side"].items()]
    rows += [("margin", band, n) for band, n in labels["rows_by_margin"].items()]
    rows += [
        ("chosen is", f"{band}{'' if band == 'same' else ' than'} rejected".replace("same", "as long as"), n)
        for band, n in labels["rows_by_length_of_chosen"].items()
    ]
    total = facts.manifest["released"]["rows"]
    cells = [(what, value, f"{n:,}", _percent(n, total)) for what, value, n in rows]
    policy = TIE_POLICIES[facts.manifest["settings"]["tie_policy"]]
    return (
        "## Labels\n\n"
        + _table(("What", "Value", "Rows", "Share"), cells, right=(2, 3))
        + f"\n\n{policy} Response A and B are the pair's "
        "canonical order, which does not depend on the label. Length is in characters."
    )


def _judges(facts: CardFacts) -> str:
    judges = facts.manifest["judges"]
    if not judges:
        return "## Judges\n\nNo judgment on the released pairs is recorded."
    rows = [
        (
            inline(judge["kind"].replace("_", " ")),
            inline(judge["name"]),
            inline(judge["method"]) or "–",
            inline(judge["version"][:12]) or "–",
            f"{judge['judgments']:,}",
            f"{judge['pairs']:,}",
            _percent(judge["agreeing"], judge["compared"]),
        )
        for judge in judges
    ]
    head = ("Kind", "Name", "Method", "Version", "Judgments", "Pairs", "Agrees")
    return (
        "## Judges\n\nWho judged the released pairs; people who worked in Concord are named by number only. The last "
        "column is the share of a judge's verdicts for a side that name the response released as chosen; a judge whose verdicts "
        "made the labels agrees with them more than it would with others.\n\n" + _table(head, rows, right=(4, 5, 6))
    )


def _agreement(facts: CardFacts) -> str:
    agreement = facts.manifest["agreement"]
    if agreement["annotators"] < 2:
        return "## Agreement among people\n\nUndefined: fewer than two people gave verdicts."
    rows = []
    for name, words in AGREEMENT.items():
        value, note = agreement[name], inline(agreement["notes"].get(name, ""))
        rows.append((words, "undefined" if value is None else f"{value:.3f}", note))
    scope = f"{agreement['annotators']:,} people on {agreement['pairs']:,} pairs of the whole dataset, released or not."
    return f"## Agreement among people\n\n{scope}\n\n" + _table(("Measure", "Value", "Note"), rows, right=(1,))


def _left_out(facts: CardFacts) -> str:
    rows = [(CAUSES[row["cause"]], inline(row["pool"]), f"{row['pairs']:,}") for row in facts.manifest["left_out"]]
    considered = facts.manifest["considered"]
    if not rows:
        return f"## Left out\n\nNothing: all {considered:,} pairs of the dataset are in this release."
    return f"## Left out\n\nOf {considered:,} pairs in the dataset:\n\n" + _table(("Why", "Pool", "Pairs"), rows, right=(2,))


def _limits(facts: CardFacts) -> str:
    released = facts.manifest["released"]
    models = released["by_source"].get("models", 0)
    limits = [
        f"{_percent(models, released['pairs'])} of the pairs carry a label that no person of this project confirmed."
        if models
        else "",
        "Labels say which of two responses was preferred, not that the chosen one is good: do not unpair the rows.",
        "Splits are by prompt, word for word; prompts that only resemble each other may lie in different splits."
        if len(released["rows_by_split"]) > 1
        else "",
        "Texts were taken over as they came. They may be wrong, biased or offensive, and were not checked for personal data.",
    ]
    return "## Known limits\n\n" + "\n".join(f"- {limit}" for limit in limits if limit)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: tuple[int, ...] = ()) -> str:
    """A markdown table of cells that are escaped already; long ones are cut, and say so."""
    rule = ["---:" if place in right else "---" for place in range(len(head))]
    lines = [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows[:ROWS_PER_TABLE])]
    more = len(rows) - ROWS_PER_TABLE
    return "\n".join(lines) + (f"\n\n… and {more:,} more rows, all of them in manifest.json." if more > 0 else "")
