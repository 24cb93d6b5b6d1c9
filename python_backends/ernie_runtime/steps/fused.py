"""A whole task as one step: tokenizer, encoder and postprocessor in one process, without Triton between them.

With three processes a request takes three hops through Triton's queues and shared memory; for a small encoder that is
a large part of its time. The three models run the same steps, so the answers are the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np

from ..errors import InvalidItem, ManifestError
from ..manifest import Manifest
from ..names import MANIFEST_FILE, TOKENIZER_FILE, VARIANT_PARAMETER
from .batching import Observe
from .encoder import EncoderStep
from .postprocessor import PostprocessStep
from .step import Arrays
from .tokenizer import TokenizerStep


class FusedStep:
    """TEXT... BYTES [N, 1] -> RESULT and the kind's numeric outputs, N rows.

    The windows of all requests in one call share the encoder's micro-batches.
    """

    parameters = TokenizerStep.parameters
    costly = True  # it is worth asking whether a large request was cancelled

    def __init__(self, tokenizer: TokenizerStep, encoder: EncoderStep, postprocess: PostprocessStep) -> None:
        self.tokenizer, self.encoder, self.postprocess = tokenizer, encoder, postprocess
        self.inputs = tokenizer.inputs

    @classmethod
    def load(
        cls, folder: Path, parameters: Mapping[str, str], device: str = "cpu", observe: Observe | None = None
    ) -> FusedStep:
        """From a version directory of an encoder, which has the task's vocabulary, too.

        Parameter `variant` names the encoder's variant; others: those of `EncoderStep.load`. observe: see EncoderStep.
        ManifestError where a file is missing or of another build.
        """
        manifest = Manifest.load(folder / MANIFEST_FILE)
        variant = manifest.variant(parameters.get(VARIANT_PARAMETER, manifest.recommended))
        for file in (TOKENIZER_FILE, variant.file):
            if not (folder / file).exists():
                raise ManifestError(f"{folder / file}: no such file; publish {manifest.task} again")
        settings = {**variant.settings, **parameters}
        postprocess = PostprocessStep(manifest)
        per_token = [spec.name for spec in postprocess.specs if spec.per_token]
        step = EncoderStep.load(variant.engine, folder / variant.file, settings, per_token, device, observe)
        return cls(TokenizerStep.load(folder, {}), step, postprocess)

    def run(self, requests: Sequence[Arrays]) -> list[dict[str, np.ndarray] | InvalidItem]:
        """The outputs of each request: one call tokenizes, micro-batches run all windows, one call decodes."""
        results = self.tokenizer.run(requests)
        valid = [i for i, outcome in enumerate(results) if not isinstance(outcome, InvalidItem)]
        if valid:
            tokens = [cast(dict[str, np.ndarray], results[i]) for i in valid]
            # The encoder refuses nothing; a failure of it is an exception.
            logits = [cast(dict[str, np.ndarray], outputs) for outputs in self.encoder.run(tokens)]
            inputs = [{**left, **right} for left, right in zip(tokens, logits, strict=True)]
            for i, outcome in zip(valid, self.postprocess.run(inputs), strict=True):
                results[i] = outcome
        return results
