"""Tiny real models made on the spot: a byte-level BPE tokenizer trained on a few sentences, and a Llama of 64 hidden units.

Llama and not Qwen2: for a folder that says qwen2, transformers 5 would load a tokenizer other than the saved one.
"""

from pathlib import Path
from typing import Any

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] not in ['system', 'user', 'assistant'] %}{{ raise_exception('unknown role') }}{% endif %}"
    "<|{{ message['role'] }}|>\n{{ message['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
CORPUS = [
    "The capital of France is Paris, and the capital of Japan is Tokyo.",
    "Two and two make four. Sort the words by length and then by the alphabet.",
    "def add(a, b):\n    return a + b\n\nprint(add(2, 3))",
    "Please answer briefly; a response that is longer is not better for it.",
    "日本の首都は東京です。時間管理能力を向上させるにはどうしたらいいですか。",
]


def make_tokenizer(folder: Path, *, pad: bool = True) -> Any:
    """Train and save the tokenizer; without `pad` it has no padding token, as many published ones."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    specials = ["<unk>", "<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>", *(["<pad>"] if pad else [])]
    core = Tokenizer(models.BPE(unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=specials, initial_alphabet=alphabet, show_progress=False)
    core.train_from_iterator(CORPUS * 4, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", bos_token="<s>", eos_token="</s>", **({"pad_token": "<pad>"} if pad else {})
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    return tokenizer


def _config(tokenizer: Any, **more: Any) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, initializer_range=0.2, **more,
    )  # fmt: skip


def make_tiny_reward_model(folder: Path, *, pad: bool = True, num_labels: int = 1, seed: int = 0) -> Path:
    """A LlamaForSequenceClassification with random weights and its tokenizer, as a model folder."""
    import torch
    from transformers import AutoModelForSequenceClassification

    tokenizer = make_tokenizer(folder, pad=pad)
    torch.manual_seed(seed)
    AutoModelForSequenceClassification.from_config(_config(tokenizer, num_labels=num_labels)).save_pretrained(folder)
    return folder


def make_tiny_causal_lm(folder: Path, *, seed: int = 0) -> Path:
    """A LlamaForCausalLM with random weights and its tokenizer, as a model folder."""
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = make_tokenizer(folder)
    torch.manual_seed(seed)
    AutoModelForCausalLM.from_config(_config(tokenizer)).save_pretrained(folder)
    return folder


def make_tiny_head(folder: Path, *, dimensions: int = 384, seed: int = 0) -> str:
    """A Bradley-Terry head with random weights for MiniLM features; returns its key."""
    import numpy as np

    from models_runtime.training.bradley_terry import Head

    return Head(np.random.default_rng(seed).normal(size=2 * dimensions)).save(folder)
