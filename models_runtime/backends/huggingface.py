"""What the local transformers back-ends share: where weights come from, on which device, how a conversation becomes tokens."""

from pathlib import Path
from typing import Any

from models_runtime.types import BackendError, Conversation, Host, ModelSpec

LONGEST_INPUT = 16_384  # tokens, where neither the spec nor the model names a lower limit


def quiet() -> None:
    """No progress bars and load reports in a worker's log; what they warn of is checked after loading."""
    from transformers.utils import logging

    log: Any = logging
    log.disable_progress_bar()
    log.set_verbosity_error()


def device() -> Any:
    """CUDA where there is one, else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def dtype(spec: ModelSpec, target: Any) -> Any:
    """params["dtype"] where the spec pins it, else bfloat16 on CUDA and float32 on the CPU."""
    import torch

    name = spec.params.get("dtype") or ("bfloat16" if target.type == "cuda" else "float32")
    if name not in ("float32", "bfloat16", "float16"):
        raise BackendError(f"dtype {name!r} is not float32, bfloat16 or float16", permanent=True)
    return getattr(torch, name)


def source(spec: ModelSpec, host: Host) -> str:
    """The local folder or hub id to load from. Raises BackendError for a folder outside the ones the operator allows."""
    if not spec.checkpoint:
        raise BackendError("the model has no checkpoint: name a local folder or a hub id", permanent=True)
    path = Path(spec.checkpoint)
    if not (path.is_absolute() or spec.checkpoint.startswith(".") or path.is_dir()):
        return spec.checkpoint
    folder = path.resolve()
    if host.model_dirs is not None and not any(folder.is_relative_to(allowed.resolve()) for allowed in host.model_dirs):
        raise BackendError(f"{spec.checkpoint} is not below a folder that the operator allows for models", permanent=True)
    if not folder.is_dir():
        raise BackendError(f"there is no model folder {spec.checkpoint}", permanent=True)
    return str(folder)


def load(auto_class: Any, spec: ModelSpec, host: Host, **options: Any) -> tuple[Any, Any]:
    """The tokenizer and the model, in evaluation mode on the device. Safetensors only; remote code only where allowed by name.

    A checkpoint that lacks some of the model's weights is refused: transformers would fill them with random numbers.
    """
    from transformers import AutoTokenizer

    quiet()
    name, target = source(spec, host), device()
    common: dict[str, Any] = {
        "revision": spec.revision or None,
        "token": host.hf_token or None,
        "trust_remote_code": spec.checkpoint in host.remote_code,
    }
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, **common)
        model, info = auto_class.from_pretrained(
            name, use_safetensors=True, dtype=dtype(spec, target), output_loading_info=True, **common, **options
        )
    except (OSError, ValueError, ImportError) as error:
        raise BackendError(f"{spec.checkpoint} could not be loaded: {str(error)[:500]}", permanent=True) from error
    missing = sorted(info["missing_keys"]) + sorted(str(key) for key in info["mismatched_keys"])
    if missing:
        raise BackendError(f"{spec.checkpoint} lacks weights of this kind of model: {', '.join(missing[:5])}", permanent=True)
    if not (tokenizer.chat_template or spec.params.get("chat_template")):
        raise BackendError(f"{spec.checkpoint} has no chat template; give one as params['chat_template']", permanent=True)
    return tokenizer, model.to(target).eval()


def input_limit(spec: ModelSpec, model: Any) -> int:
    """Tokens that one input may have: params["max_length"], never more than the model has positions for."""
    positions = getattr(model.config, "max_position_embeddings", None) or LONGEST_INPUT
    asked = spec.params.get("max_length")
    return min(int(asked), positions) if asked else min(positions, LONGEST_INPUT)


def encodable(text: str) -> str:
    """Lone surrogates become "?": a tokenizer cannot take them."""
    return text.encode("utf-8", "replace").decode()


def token_ids(tokenizer: Any, spec: ModelSpec, conversation: Conversation, *, reply_next: bool) -> list[int]:
    """The conversation through the chat template. The template writes the BOS, so no second one is added; control tokens that
    a message spells out become ordinary text. Raises ValueError for a conversation that the template refuses."""
    from jinja2 import TemplateError

    messages = [{"role": message.role, "content": encodable(message.content)} for message in conversation]
    try:
        encoded = tokenizer.apply_chat_template(
            messages,
            chat_template=spec.params.get("chat_template"),
            add_generation_prompt=reply_next,
            sanitize_control_tokens=True,
            return_dict=True,
        )
    except TemplateError as error:
        raise ValueError(f"the chat template refuses this conversation: {error}") from error
    return list(encoded["input_ids"])


def padded(rows: list[list[int]], pad: int, target: Any, *, left: bool = False) -> tuple[Any, Any]:
    """Token ids and attention mask, each [n, longest], on the device."""
    import torch

    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for number, row in enumerate(rows):
        place = slice(width - len(row), width) if left else slice(0, len(row))
        ids[number, place] = torch.tensor(row)
        mask[number, place] = 1
    return ids.to(target), mask.to(target)


def out_of_memory() -> tuple[type[Exception], ...]:
    """What a batch that does not fit raises."""
    import torch

    return (torch.OutOfMemoryError,)
