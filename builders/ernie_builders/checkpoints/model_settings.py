"""Which settings of a model's config.json are obeyed, which change nothing that it computes, and which are refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import CheckpointError

# Settings that change what a model computes -> the values that ERNIE has too; None is always one.
COMPUTED: Mapping[str, tuple[Any, ...]] = {
    "hidden_act": ("gelu", "relu"),
    "position_embedding_type": ("absolute",),
    "pool_act": ("tanh",),
    "pooler_type": ("first_token_transform",),
    "is_decoder": (False,),
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
    "normalize_before": (False,),
    "preln": (False,),
    "pruned_heads": ({}, []),
    "use_sent_id": (True,),
    "auto_map": (),
    "problem_type": ("single_label_classification", "multi_label_classification"),
}
OBEYED = frozenset(
    {
        *("architectures", "embedding_size", "hidden_size", "id2label", "init_args", "init_class", "intermediate_size"),
        *("label2id", "layer_norm_eps", "max_position_embeddings", "model_type", "num_attention_heads", "num_classes"),
        *("num_hidden_layers", "num_labels", "pad_token_id", "quantization_config", "task_id", "task_options"),
        *("task_type_vocab_size", "type_vocab_size", "use_task_id", "vocab_size"),
    }
)
HARMLESS = frozenset(
    {
        # of training and initialization
        *("attention_dropout", "attention_probs_dropout_prob", "classifier_dropout", "dropout", "enable_recompute"),
        *("finetuning_task", "gradient_checkpointing", "hidden_dropout", "hidden_dropout_prob", "initializer_range"),
        *("recompute_use_reentrant", "task_specific_params", "use_recompute"),
        # of how it is computed, stored and returned
        *("_attn_implementation", "_attn_implementation_autoset", "attn_implementation", "chunk_size_feed_forward"),
        *("dtype", "fuse", "fuse_attention_ffn", "fuse_attention_qkv", "output_attentions", "output_hidden_states"),
        *("output_past", "output_scores", "return_dict", "sep_parallel_degree", "tensor_parallel_degree"),
        *("tensor_parallel_output", "tensor_parallel_rank", "tf_legacy_loss", "torch_dtype", "torchscript"),
        *("use_bfloat16", "use_cache", "use_flash_attention", "use_return_dict", "xla_device"),
        # names, versions, and what the tokenizer's own files say
        *("_commit_hash", "_name_or_path", "_num_labels", "bos_token_id", "cls_token_id", "directionality"),
        *("eos_token_id", "language", "mask_token_id", "model_name", "name_or_path", "paddlenlp_version"),
        *("sep_token_id", "tokenizer_class", "transformers_version", "trust_remote_code", "unk_token_id"),
        # of the parts of BERT's configuration that its own code does not read, and of ERNIE-Gram's unread tables
        *("pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head"),
        "rel_pos_size",
        # of TinyBERT's layers that learn from a teacher
        "fit_size",
        # of PP-MiniLM with its tokenizer in the graph, which is another class
        *("do_lower_case", "is_split_into_words", "max_seq_len", "pad_to_max_seq_len"),
        # of decoders and of text generation
        *("bad_words_ids", "begin_suppress_tokens", "cross_attention_hidden_size", "decoder_start_token_id"),
        *("diversity_penalty", "do_sample", "early_stopping", "encoder_no_repeat_ngram_size"),
        *("exponential_decay_length_penalty", "forced_bos_token_id", "forced_eos_token_id", "length_penalty"),
        *("max_length", "min_length", "no_repeat_ngram_size", "num_beam_groups", "num_beams", "num_choices"),
        *("num_return_sequences", "prefix", "remove_invalid_values", "repetition_penalty", "return_dict_in_generate"),
        *("suppress_tokens", "temperature", "tie_encoder_decoder", "tie_word_embeddings", "top_k", "top_p"),
        "typical_p",
    }
)


def check_settings(config: Mapping[str, Any], where: Path | str) -> None:
    """CheckpointError, naming the setting, for what ERNIE does not compute, and for a setting that is not known."""
    for name, values in COMPUTED.items():
        value = config.get(name)
        if value is not None and value not in values:
            allowed = " or ".join(repr(value) for value in values) or "none"
            raise CheckpointError(f"{where}: {name} is {value!r}, supported is {allowed}")
    unknown = sorted(set(config) - set(COMPUTED) - OBEYED - HARMLESS)
    if unknown:
        raise CheckpointError(
            f"{where}: unknown {'setting' if len(unknown) == 1 else 'settings'} {', '.join(unknown)}; take out of the "
            "file what no output of the model depends on"
        )
    width = config.get("embedding_size")
    if width is not None and width != config.get("hidden_size"):
        raise CheckpointError(
            f"{where}: embedding_size is {width!r}, hidden_size {config.get('hidden_size')!r}: supported are equal ones"
        )
    quantization = config.get("quantization_config") or {}
    method = quantization.get("quant_method") or quantization.get("weight_quantize_algo")
    if method:
        raise CheckpointError(f"{where}: quantization_config asks for {method}: save the weights as float32 or float16")
    _check_labels(config, where)


def _check_labels(config: Mapping[str, Any], where: Path | str) -> None:
    """id2label, label2id and the number of labels must say the same."""
    names, ids = config.get("id2label"), config.get("label2id")
    if not isinstance(names, Mapping):
        return
    if sorted(str(id) for id in names) != sorted(str(id) for id in range(len(names))):
        raise CheckpointError(f"{where}: the ids of id2label are {', '.join(map(str, names))}, expected 0 to n - 1")
    if isinstance(ids, Mapping):
        for name, id in ids.items():
            if names.get(str(id), names.get(id)) != name:
                other = names.get(str(id), names.get(id))
                raise CheckpointError(f"{where}: label2id says that {name} is {id}, id2label that {id} is {other}")
    for key in ("num_labels", "num_classes"):
        if config.get(key) not in (None, len(names)):
            raise CheckpointError(f"{where}: {key} is {config[key]}, id2label has {len(names)}")
