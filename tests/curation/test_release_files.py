"""The files of a release: the bytes, what loaders make of them, and a trainer that takes them as they are."""

import doctest
import json
from dataclasses import replace

import pytest
import yaml
from markdown_it import MarkdownIt

from curation import card, exporters
from curation.exporters import Layout, ReleasedRow, Unexportable, read_file, to_columns, write_files

LAYOUTS = [
    Layout(profile, file_format, provenance=extra)
    for profile in exporters.PROFILES
    for file_format in exporters.FORMATS
    for extra in (False, True)
]


def made_row(number: int = 0, **changes) -> ReleasedRow:
    row = ReleasedRow(
        id=f"pair-{number}",
        prompt=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"What is {number} + {number}?"}],
        chosen=[{"role": "assistant", "content": f"It is {2 * number}."}],
        rejected=[{"role": "assistant", "content": f"It is surely {2 * number + 1}."}],
        margin=float(1 + number % 3),
        split="train",
        pool="silver",
        label_source="models",
        action="keep",
        reason="judges_agree",
        strength=-float(1 + number % 3),
        decision=100 + number,
    )
    return replace(row, **changes)


def made_facts(**changes) -> card.CardFacts:
    manifest = {
        "version": 2,
        "content_hash": "c" * 64,
        "parent": {"version": 1, "content_hash": "b" * 64},
        "stated": {"title": "Sums", "description": "", "source": "", "licence": ""},
        "settings": {"tie_policy": "drop"},
        "considered": 20,
        "released": {
            "rows": 12,
            "pairs": 12,
            "prompts": 12,
            "rows_by_split": {"test": 2, "train": 10},
            "by_reason": [{"pool": "silver", "action": "keep", "reason": "judges_agree", "pairs": 12}],
            "by_source": {"models": 12},
        },
        "left_out": [{"cause": "tie", "pool": "silver", "pairs": 8}],
        "labels": {
            "rows_by_chosen_side": {"a": 12},
            "rows_by_margin": {"up to 1": 12},
            "rows_by_length_of_chosen": {"longer": 12},
        },
        "judges": [
            {
                "kind": "llm_judge",
                "name": "GPT-4",
                "method": "",
                "version": "ab12",
                "is_gold": False,
                "judgments": 12,
                "pairs": 12,
                "compared": 10,
                "agreeing": 9,
            }
        ],
        "guidelines": [],
        "agreement": {"annotators": 0, "pairs": 0, **dict.fromkeys(card.AGREEMENT), "notes": {}},
        "recipes": [],
    }
    return card.CardFacts(created="2025-01-31", notes="", manifest={**manifest, **changes})


def written(tmp_path, rows, layout):
    folder = tmp_path / layout.name
    folder.mkdir()
    write_files(rows, folder, layout)
    splits = {}
    for row in rows:
        splits[row.split] = splits.get(row.split, 0) + 1
    released = {**made_facts().manifest["released"], "rows_by_split": splits}
    facts = made_facts(released=released)
    (folder / "README.md").write_text(card.front_matter(facts, layout) + card.body(facts, layout))
    (folder / "manifest.json").write_text(json.dumps(dict(facts.manifest)))
    (folder / "LICENSE.md").write_text(card.licence_note(facts))
    return folder


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_folder_loads_as_it_is_with_the_columns_it_promises(tmp_path, layout):
    from datasets import load_dataset

    rows = [made_row(n, split="test" if n % 4 == 0 else "train") for n in range(9)]
    loaded = load_dataset(str(written(tmp_path, rows, layout)), cache_dir=str(tmp_path / "cache"))
    assert {split: len(data) for split, data in loaded.items()} == {"test": 3, "train": 6}
    assert loaded["train"].column_names == [name for name, _ in layout.columns]
    assert list(loaded["train"]) == [to_columns(row, layout) for row in rows if row.split == "train"]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_the_same_rows_give_the_same_bytes(tmp_path, layout):
    rows = [made_row(n) for n in range(exporters.ROWS_PER_GROUP + 5)]
    files = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        files.append(write_files(iter(rows), tmp_path / name, layout)[0].read_bytes())
    assert files[0] == files[1]
    assert len(list(read_file(tmp_path / "one" / exporters.file_name("train", layout.format)))) == len(rows)


@pytest.mark.models
@pytest.mark.parametrize("layout", [Layout("trl_implicit", "parquet"), Layout("trl_explicit", "jsonl", provenance=True),
                                    Layout("trl_explicit", "jsonl", style="plain")], ids=lambda layout: layout.name)  # fmt: skip
def test_a_tiny_reward_model_trains_on_the_files_unconverted(tmp_path, layout):
    from datasets import load_dataset
    from trl import RewardConfig, RewardTrainer

    prompts = [[{"role": "user", "content": f"What is {n} + {n}?"}] for n in range(24)]
    folder = written(tmp_path, [made_row(n, prompt=prompts[n]) for n in range(24)], layout)
    data = load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))["train"]
    model, tokenizer = tiny_reward_model()
    config = RewardConfig(
        output_dir=str(tmp_path / "out"), max_steps=5, per_device_train_batch_size=4, learning_rate=1e-2, logging_steps=1,
        use_cpu=True, bf16=False, report_to=[], max_length=128, save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    trainer = RewardTrainer(model=model, args=config, train_dataset=data, processing_class=tokenizer)
    trainer.train()
    batch = next(iter(trainer.get_train_dataloader()))
    assert ("margin" in batch) == (layout.profile == "trl_implicit")
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == 5
    assert losses[-1] < losses[0]


def tiny_reward_model():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import AutoModelForSequenceClassification, LlamaConfig, PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        [str(made_row(n)) for n in range(24)],
        trainers.BpeTrainer(vocab_size=400, special_tokens=["</s>"], initial_alphabet=alphabet),
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="</s>", pad_token="</s>")
    tokenizer.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}</s>{% endfor %}"
    shape = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, num_labels=1,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return AutoModelForSequenceClassification.from_config(shape), tokenizer


def test_texts_come_back_exactly_whatever_they_hold(tmp_path):
    hostile = 'line\none\u2028two\u2029three\x85four\r\n\ttab "quoted" \\ </script> 🙂 \x7f ０'
    rows = [made_row(1, chosen=[{"role": "assistant", "content": hostile}], id=hostile)]
    for layout in LAYOUTS:
        folder = tmp_path / layout.name
        folder.mkdir()
        [path] = write_files(rows, folder, layout)
        assert next(read_file(path)) == to_columns(rows[0], layout)
        if layout.format == "jsonl":
            assert len(path.read_text(encoding="utf-8").splitlines()) == 1


def test_json_lines_that_loaders_would_turn_into_timestamps_are_refused(tmp_path):
    def dated(n, text):
        return made_row(n, prompt=[{"role": "user", "content": text}], chosen=[{"role": "assistant", "content": text}])

    rows = [dated(n, f"2024-01-0{n}") for n in range(1, 4)]
    with pytest.raises(Unexportable, match="prompt looks like a date|chosen, prompt looks like a date"):
        write_files(rows, tmp_path, Layout("trl_explicit", "jsonl"))
    [path] = write_files(rows, tmp_path, Layout("trl_explicit", "parquet"))
    assert [row["chosen"][0]["content"] for row in read_file(path)] == ["2024-01-01", "2024-01-02", "2024-01-03"]
    mixed = [*rows, made_row(4)]
    write_files(mixed, tmp_path, Layout("trl_explicit", "jsonl"))


@pytest.mark.parametrize(
    "layout", [{"profile": "dpo"}, {"format": "csv"}, {"style": "fancy"}, {"profile": "trl_implicit", "style": "plain"}]
)
def test_layouts_that_do_not_exist_are_refused_in_words(layout):
    with pytest.raises(Unexportable):
        Layout(**layout)


@pytest.mark.parametrize(
    "field", ["id", "prompt", "chosen", "rejected", "margin", "split", "pool", "reason", "strength", "decision"]
)
def test_the_row_hash_covers_everything_a_row_says(field):
    row = made_row(1)
    other = made_row(2, pool="gold", split="test", reason="other", action="flip")
    assert exporters.row_hash(replace(row, **{field: getattr(other, field)})) != exporters.row_hash(row)


NOT_TEXT = [
    None,
    [],
    "text",
    [{"role": "user"}],
    [{"role": "user", "content": None}],
    [{"role": "user", "content": ["x"]}],
    [{"role": "user", "content": "x", "tool_calls": []}],
]


@pytest.mark.parametrize("messages", NOT_TEXT)
def test_only_role_and_text_pass_as_messages(messages):
    assert exporters.text_messages(messages) is None


HOSTILE = (
    'x"\n---\nlicense: mit\n| <script>alert(1)</script> [click](http://evil.example) '
    "`code` *b* www.evil.example \u2028\ud800\ufeff"
)


def test_the_header_is_yaml_whatever_people_typed():
    stated = {"title": HOSTILE, "description": HOSTILE, "source": HOSTILE, "licence": HOSTILE}
    header = card.front_matter(made_facts(stated=stated), Layout()).encode("utf-8").decode()
    _, text, rest = header.split("---\n", 2)
    found = yaml.safe_load(text)
    assert rest.strip() == ""
    assert found["license"] == "other"
    assert found["license_name"].replace("-", "").replace(".", "").isalnum()
    assert found["pretty_name"].startswith('x"\n---\nlicense: mit')
    assert found["configs"][0]["data_files"] == [
        {"split": "test", "path": "test.parquet"},
        {"split": "train", "path": "train.parquet"},
    ]


def test_the_card_shows_hostile_names_as_text():
    stated = {"title": HOSTILE, "description": "1. " + HOSTILE, "source": HOSTILE, "licence": HOSTILE}
    judges = [
        {
            "kind": "llm_judge",
            "name": HOSTILE,
            "method": HOSTILE,
            "version": "<b>",
            "is_gold": False,
            "judgments": 1,
            "pairs": 1,
            "compared": 0,
            "agreeing": 0,
        }
    ]
    facts = made_facts(stated=stated, judges=judges, recipes=[{"id": 1, "name": HOSTILE, "code_version": "1"}])
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(card.body(facts, Layout()) + card.licence_note(facts))
    assert "<script" not in html
    assert "href" not in html
    assert html.count("<h1>") == 2
    assert html.count("<code>x") == 0
    [judge_row] = [line for line in html.split("<tr>") if "llm judge" in line]
    assert judge_row.count("<td") == 7


LICENCES = [
    ("", {"license": "unknown"}),
    ("Apache-2.0", {"license": "apache-2.0"}),
    ("CC BY-NC 4.0", {"license": "cc-by-nc-4.0"}),
    ("Our own", {"license": "other", "license_name": "our-own", "license_link": "LICENSE.md"}),
]


@pytest.mark.parametrize(("licence", "lines"), LICENCES)
def test_the_licence_field_is_one_that_the_hub_knows(licence, lines):
    stated = {**made_facts().manifest["stated"], "licence": licence}
    header = yaml.safe_load(card.front_matter(made_facts(stated=stated), Layout()).split("---\n")[1])
    assert {name: value for name, value in header.items() if name.startswith("license")} == lines


def test_the_card_tells_how_the_labels_came_to_be_and_what_is_missing():
    text = card.body(made_facts(), Layout())
    assert "| silver | label kept | judges\\_agree | 12 |" in text
    assert "| tie, left out by policy | silver | 8 |" in text
    assert "100.0 % of the pairs carry a label that no person of this project confirmed." in text
    assert "| 12 | 12 | 90.0 % |" in text
    assert "Undefined: fewer than two people gave verdicts." in text
    agreement = {
        "annotators": 2,
        "pairs": 9,
        "fleiss_kappa": 0.8642,
        "krippendorff_alpha": None,
        "krippendorff_alpha_ordinal": 0.5,
    }
    text = card.body(made_facts(agreement={**agreement, "notes": {"krippendorff_alpha": "one label only"}}), Layout())
    assert "| Fleiss' kappa | 0.864 |  |" in text
    assert "| Krippendorff's alpha, nominal | undefined | one label only |" in text
    assert doctest.testmod(card).failed == 0
