"""configs/packed.pbtxt: requests of different lengths in one batch of NVIDIA's backend of ONNX Runtime.

Written for a task with `serving.packed`; the graph is modeling/packed_graph.py's. Requests, rows and memory are bounded
as in the portable configuration, and the tokenizer pads to no bucket, as the graph drops the padding.
"""

from __future__ import annotations

from pathlib import Path

from tritonclient.grpc import model_config_pb2 as pb

from ernie_runtime.engines import engine_spec
from ernie_runtime.manifest import Manifest, Variant
from ernie_runtime.names import INPUT_IDS

from ..modeling.packed_graph import LENGTHS, packed
from .model_config import encoder_config, tokenizer_config

PACKED = "configs/packed.pbtxt"
PACKED_FILE = "packed.onnx"  # in the encoder's version directory, beside the variant's own graph


def packed_variants(manifest: Manifest) -> list[Variant]:
    """The variants with a packed graph: none, or those that ONNX Runtime runs."""
    if not manifest.made_by.get("serving", {}).get("packed"):
        return []
    return [variant for variant in manifest.variants if engine_spec(variant.engine).reads_onnx]


def packed_encoder_config(manifest: Manifest, variant: Variant) -> pb.ModelConfig:
    """Configuration of T_encoder_V: flat inputs, and the length of each row beside them."""
    config = encoder_config(manifest, variant)
    config.default_model_filename = PACKED_FILE
    for tensor in config.input:
        tensor.allow_ragged_batch = True
    lengths = config.batch_input.add(kind=pb.BatchInput.BATCH_ITEM_SHAPE, data_type=pb.TYPE_INT32)
    lengths.target_name.append(LENGTHS)
    lengths.source_input.append(INPUT_IDS)
    return config


def packed_tokenizer_config(manifest: Manifest) -> pb.ModelConfig:
    """Configuration of T_tokenizer: the portable one without buckets."""
    config = tokenizer_config(manifest)
    config.parameters.pop("buckets")
    return config


def write_packed(graph: Path) -> None:
    """Write the packed graph of an encoder's beside it."""
    import onnx

    onnx.save(packed(onnx.load(str(graph))), str(graph.parent / PACKED_FILE))
