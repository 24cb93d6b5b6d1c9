"""One pre-training: prepare the text, train, leave an encoder."""

from __future__ import annotations

from dataclasses import replace

from ernie_runtime.errors import ErnieError
from ernie_runtime.json_types import JsonObject

from ..checkpoints.checkpoint import Checkpoint
from ..console import say
from ..errors import ConfigError
from ..framework import import_paddle
from ..training.launch import Devices, launch
from ..training.log import LOG
from .config import PretrainRequest
from .corpus.prepare import FOLDER, Prepared, find_vocabulary, prepare
from .encoder import save_encoder
from .masking import Vocabulary
from .model import find_start, start_key
from .state import ENCODER, PretrainingProgress
from .trainer import Pretrainer, PretrainingJob
from .warm_start import warm_start


def pretrain(request: PretrainRequest) -> JsonObject:
    """Run it to the end, or for its `stop_after`; BuildError, or ErnieError of a vocabulary.

    Returns where the encoder is, and how far the run is.
    """
    import_paddle(request.device)
    request.output.mkdir(parents=True, exist_ok=True)
    config, pace = request.config, request.pace
    if request.devices:
        devices = Devices(
            numbers=request.devices,
            device=request.device,
            logs=request.output / "logs",
            title="pre-training",
            shown=("    step", "    goes on"),
        )
        find_text_and_start(request)  # prepared once, for all processes; a fault in the text is reported here
        progress = launch(train, replace(request, devices=""), devices)
    else:
        progress = train(request)
    is_done = progress.step >= config.steps
    if not is_done:
        say(
            f"    stopped after {pace.stop_after:g} minutes at step {progress.step:,} of {config.steps:,}; "
            "the same command goes on"
        )
    else:
        say(f"    done: {config.steps:,} steps, {progress.tokens:,} tokens; the encoder is {request.output / ENCODER}")
    return {
        "encoder": str(request.output / ENCODER) if is_done else None,
        "log": str(request.output / LOG),
        "step": progress.step,
        "steps": config.steps,
        "tokens": progress.tokens,
    }


def find_text_and_start(request: PretrainRequest) -> tuple[Prepared, Checkpoint]:
    """The text, cut, and the weights to start from."""
    output, seed = request.output, request.config.seed
    try:
        vocabulary = find_vocabulary(request.source, request.init, output)
    except ErnieError as error:
        raise ConfigError(f"--vocab: {error}") from None
    prepared = prepare(request.source, request.config, vocabulary, output)
    start = find_start(request.init, request.shape, vocabulary, seed)
    if request.start == "warm":
        is_special = Vocabulary.of(prepared.tokenizer).is_special
        start = warm_start(start, prepared.corpus, is_special, seed, output / FOLDER / prepared.key)
    return prepared, start


def train(request: PretrainRequest) -> PretrainingProgress:
    """Train in this process, which may be one of several; how far it came."""
    import_paddle(request.device)
    prepared, start = find_text_and_start(request)
    job = PretrainingJob(
        config=request.config,
        start=start,
        tokenizer=prepared.tokenizer,
        corpus=prepared.corpus,
        held_out=prepared.held_out,
        output=request.output,
        fingerprint=f"{prepared.key} {start_key(start)}",
        device=request.device,
        pace=request.pace,
    )

    def save(trainer: Pretrainer) -> None:
        save_encoder(trainer, request.about, request.bits)

    return Pretrainer(job, save).run()
