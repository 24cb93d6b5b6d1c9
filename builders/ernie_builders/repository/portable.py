"""What the portable configuration sets for the C++ engines of a stock Triton: bounds on memory, and threads.

The stand-ins cut a batch of any size into micro-batches; a C++ engine runs the whole batch at once. What it allocates
grows with rows times tokens squared, and ONNX Runtime's arena keeps the peak for good. docs/serving.md has the figures.
"""

from __future__ import annotations

from tritonclient.grpc import model_config_pb2 as pb

from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.tokenizer import MAX_WINDOWS_PARAMETER
from ernie_runtime.text.windows import MAX_WINDOWS

from ..config.serving import ServingConfig

ONNX_RUNTIME = "onnxruntime"  # the backend that the parameters below are for
PARAMETERS = {
    "enable_mem_arena": "0",  # an arena never gives back what the largest batch took
    "intra_op_thread_count": "1",  # the threads of a pool spin while they wait, and the backend cannot forbid it
}


def max_rows(manifest: Manifest) -> int:
    """The maximum of rows in one execution of the encoder, and so of windows in one request."""
    tokens = manifest.made_by.get("serving", {}).get("portable_tokens", ServingConfig.portable_tokens)
    return max(1, min(MAX_WINDOWS, int(tokens) // manifest.limits.max_length))


def bound_tokenizer(config: pb.ModelConfig, manifest: Manifest) -> None:
    """Let the tokenizer refuse a request with more windows than the encoder takes, with a message that says so."""
    config.parameters[MAX_WINDOWS_PARAMETER].string_value = str(max_rows(manifest))


def bound_encoder(config: pb.ModelConfig, manifest: Manifest) -> None:
    """Bound the rows of the encoder, and set the parameters of ONNX Runtime's backend."""
    config.max_batch_size = max_rows(manifest)
    if config.backend == ONNX_RUNTIME:
        for name, value in PARAMETERS.items():
            config.parameters[name].string_value = value
