"""From the name of a base model, or a checkpoint, to a Paddle layer with a task head."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ernie_runtime.manifest import Manifest
from ernie_runtime.text.tokenizer import Tokenizer

from ..checkpoints.base_models import SHIPPED, folder_of, is_download
from ..checkpoints.checkpoint import Checkpoint, read_checkpoint, tokenizer_of
from ..checkpoints.encoders import ENCODERS
from ..checkpoints.known_models import ALIASES, classes_of, unread_fault, unread_model
from ..checkpoints.random_encoder import PREFIX, random_config, random_encoder
from ..checkpoints.weight_formats import Weights
from ..config.tasks import ASSETS
from ..console import say
from ..errors import CheckpointError
from ..framework import import_paddle, import_paddlenlp
from ..kinds import BuilderKind
from .width import fit_width

if TYPE_CHECKING:
    from paddle.nn import Layer
    from paddlenlp.transformers import ErnieConfig


def find_base_model(name: str, seed: int = 0) -> Checkpoint:
    """What `--base-model` names; CheckpointError.

    name: an encoder that ships (`embedded`, ...); `shipped:TASK`, the encoder of a checkpoint that ships, without its
    head; a PaddleNLP or Hugging Face directory; `random:...`; or a PaddleNLP name, which downloads. seed: of a random
    encoder's weights.
    """
    if name in ENCODERS:
        return replace(read_checkpoint(ENCODERS[name]), where=name)
    if name.startswith(SHIPPED):
        return _shipped(name)
    if Path(name).exists():
        return read_checkpoint(Path(name))
    if name.startswith(PREFIX):
        return random_encoder(name, seed)
    if is_download(name):
        return _download(name)
    if unread_model(name):
        raise CheckpointError(unread_fault(name))
    ships = ", ".join(f"`{name}`" for name in ENCODERS)
    raise CheckpointError(
        f"--base-model {name}: neither an encoder that ships ({ships}), nor a directory, nor a name that "
        "PaddleNLP knows"
    )


def _shipped(name: str) -> Checkpoint:
    folder = folder_of(name)
    if folder is None:
        tasks = sorted(path.name for path in (ASSETS / "checkpoints").iterdir() if path.is_dir())
        raise CheckpointError(f"--base-model {name}: no such checkpoint ships; there are {', '.join(tasks)}")
    checkpoint = read_checkpoint(folder)
    weights = {key: value for key, value in checkpoint.weights.items() if key.startswith("ernie.")}
    return replace(checkpoint, where=name, config=checkpoint.config.without_task(), weights=weights)


def tokenizer_of_base_model(name: str) -> Tokenizer:
    """The tokenizer of what `--base-model` names; weights are read only where a download brings both."""
    folder = folder_of(name)
    if folder is not None:
        return tokenizer_of(folder)
    return random_config(name).tokenizer if name.startswith(PREFIX) else find_base_model(name).tokenizer


def _download(name: str) -> Checkpoint:
    """Through PaddleNLP's own classes, and from there like a local directory."""
    transformers = import_paddlenlp()
    published = ALIASES.get(name, name)
    model_class, tokenizer_class = (getattr(transformers, cls) for cls in classes_of(published))
    try:
        model, tokenizer = model_class.from_pretrained(published), tokenizer_class.from_pretrained(published)
    except Exception as error:  # PaddleNLP raises whatever its downloader raised
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"--base-model {name}: PaddleNLP cannot download it here ({reason}); give a local directory instead"
        ) from None
    with tempfile.TemporaryDirectory(prefix="ernie-") as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return replace(read_checkpoint(Path(folder)), where=name)


def build_model(
    kind: BuilderKind,
    checkpoint: Checkpoint,
    manifest: Manifest,
    dropout: float = 0.0,
    seed: int = 0,
    ready: bool = False,
) -> Layer:
    """The task's Paddle layer with the checkpoint's weights; a missing head is initialized from `seed`.

    ready: the checkpoint is fine-tuned, so only weights that the kind does not use may be missing. CheckpointError
    where another weight is missing, or one has another shape.
    """
    return build_layer(
        lambda config: kind.model(config, manifest),
        checkpoint,
        labels=max(len(manifest.labels), 1),
        dropout=dropout,
        seed=seed,
        may_lack=(("pooler",) if kind.without_pooler(manifest.options) else ()) if ready else None,
    )


def build_layer(
    make: Callable[[ErnieConfig], Layer],
    checkpoint: Checkpoint,
    labels: int = 1,
    dropout: float = 0.0,
    seed: int = 0,
    may_lack: Sequence[str] | None = None,
) -> Layer:
    """The layer that `make` builds from an ErnieConfig (the encoder as `.ernie`), with the checkpoint's weights.

    may_lack and CheckpointError: see `load_weights`.
    """
    paddle = import_paddle()
    transformers = import_paddlenlp()
    config = checkpoint.config.without_task().to_json()
    epsilon = config.pop("layer_norm_eps", 1e-12)
    paddle.seed(seed)
    model = make(
        transformers.ErnieConfig(
            **config, num_labels=labels, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout
        )
    )
    fit_width(model, checkpoint.weights)
    for layer in model.sublayers():
        if isinstance(layer, paddle.nn.LayerNorm):
            layer._epsilon = epsilon  # PaddleNLP's ERNIE uses 1e-12 whatever the configuration says
    load_weights(model, checkpoint.weights, checkpoint.where, may_lack)
    return model


def is_head(name: str) -> bool:
    """Whether a weight is the task's and not the encoder's; the pooler, which a base model may lack, counts as one."""
    return not name.startswith("ernie.") or "pooler" in name


def load_weights(
    model: Layer, weights: Mapping[str, np.ndarray], where: str, may_lack: Sequence[str] | None = None
) -> None:
    """Copy weights into the layer by name; weights that may be missing keep the layer's initial values.

    may_lack: parts of the names of weights that may be missing; None: those of heads. CheckpointError, beginning with
    `where`, for another missing weight or a shape that differs.
    """
    state = model.state_dict()
    for name, value in weights.items():
        if name in state and list(state[name].shape) != list(value.shape):
            reason = "the number of labels differs" if is_head(name) else "the checkpoint has another shape"
            raise CheckpointError(
                f"{where}: {name} is {list(value.shape)}, the task needs {list(state[name].shape)}: {reason}"
            )

    def is_optional(name: str) -> bool:
        return is_head(name) if may_lack is None else any(part in name for part in may_lack)

    missing = [name for name in state if name not in weights and not is_optional(name)]
    if missing:
        heads = [name for name in missing if is_head(name)]
        if heads:
            raise CheckpointError(
                f"{where}: has no {heads[0]}, so it is not fine-tuned for such a task; give it as --base-model"
            )
        raise CheckpointError(f"{where}: {len(missing)} encoder weights are missing, the first is {missing[0]}")
    model.set_state_dict({name: weights.get(name, value) for name, value in state.items()})


def say_unused(model: Layer, checkpoint: Checkpoint) -> None:
    """Name, in one line, the checkpoint's weights that the layer does not have, if there are any.

    Weights of one module and modules of the same name in all layers count as one.
    """
    state = model.state_dict()
    modules = [
        re.sub(r"\.\d+\.", ".*.", name.rpartition(".")[0] or name) for name in checkpoint.weights if name not in state
    ]
    if modules:
        counted = (f"{module} ({count})" if count > 1 else module for module, count in sorted(Counter(modules).items()))
        say(f"    unused weights of {checkpoint.where}: {', '.join(counted)}")


def weights_of(model: Layer) -> Weights:
    """The layer's weights as float32 arrays."""
    return {name: np.asarray(value.numpy(), np.float32) for name, value in model.state_dict().items()}


class PaddleEngine:
    """Runs a Paddle layer as an engine of the serving code (`ernie_runtime.steps.batching.Engine`)."""

    def __init__(self, model: Layer, kind: BuilderKind) -> None:
        self.model, self.kind = model, kind

    def __call__(self, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by contract name, float32 [B, ...]."""
        paddle = import_paddle()
        with paddle.no_grad():
            raw = self.model(
                paddle.to_tensor(tensors["input_ids"]), token_type_ids=paddle.to_tensor(tensors["token_type_ids"])
            )
        return {name: value.numpy() for name, value in self.kind.outputs(raw).items()}
