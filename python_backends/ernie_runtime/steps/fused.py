"""A whole task as one step: tokenizer, encoder and postprocessor in one process, without Triton between them.

With three processes a request takes three hops through Triton's queues and shared memory; for a small encoder that is
a large part of its time. Nor are the windows written as tensors and read again between the steps. The three models run
the same code on the same rows, so the answers are the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import InvalidItem, ManifestError
from ..kinds import WindowOutput
from ..manifest import Manifest
from ..names import MANIFEST_FILE, TOKENIZER_FILE, VARIANT_PARAMETER
from ..text.windows import Document
from .batching import Observe
from .encoder import EncoderStep
from .pipeline import window_outputs
from .postprocessor import PostprocessStep
from .step import Arrays
from .tokenizer import CutRequest, TokenizerStep


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
        cuts = self.tokenizer.cut(requests)
        valid = [cut for cut in cuts if isinstance(cut, CutRequest)]
        windows = [window for cut in valid for window in cut.windows]
        if not windows:
            return [cut for cut in cuts if isinstance(cut, InvalidItem)]
        rows = self.encoder.rows([w.input_ids for w in windows], [w.token_type_ids for w in windows])
        documents: list[Document] = []
        outputs: list[list[WindowOutput]] = []
        first = 0
        for cut in valid:
            own = rows[first : first + len(cut.windows)]
            first += len(own)
            outputs += window_outputs(self.postprocess.specs, cut.windows, own, len(cut.documents), cut.first)
            documents += [replace(d, utf16=True) for d in cut.documents] if cut.utf16 else cut.documents
        answers = iter(self.postprocess.answers(documents, outputs, [len(cut.documents) for cut in valid]))
        return [cut if isinstance(cut, InvalidItem) else next(answers) for cut in cuts]
