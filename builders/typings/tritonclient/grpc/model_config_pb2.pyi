"""Types of the messages in config.pbtxt, which tritonclient makes at run time: what this project reads and writes.

Source: model_config.proto of triton-inference-server/common, r24.10.
"""

from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from typing import Any, Generic, TypeVar, overload

from google.protobuf.message import Message

T = TypeVar("T")
M = TypeVar("M", bound=Message)
K = TypeVar("K", str, int)

class RepeatedScalar(Sequence[T]):
    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __len__(self) -> int: ...
    def append(self, value: T) -> None: ...
    def extend(self, values: Iterable[T]) -> None: ...

class RepeatedMessage(Sequence[M]):
    @overload
    def __getitem__(self, index: int) -> M: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[M]: ...
    def __len__(self) -> int: ...
    def add(self, **fields: Any) -> M: ...
    def extend(self, messages: Iterable[M]) -> None: ...

class MessageMap(Generic[K, M]):
    """Reading a key that is not there makes it."""

    def __getitem__(self, key: K) -> M: ...
    def __contains__(self, key: object) -> bool: ...
    def __iter__(self) -> Iterator[K]: ...
    def __len__(self) -> int: ...
    def keys(self) -> Iterable[K]: ...
    def items(self) -> Iterable[tuple[K, M]]: ...
    def values(self) -> Iterable[M]: ...
    def pop(self, key: K) -> M: ...

class DataType:
    @staticmethod
    def Name(number: int) -> str: ...
    @staticmethod
    def Value(name: str) -> int: ...

TYPE_STRING: int
TYPE_INT32: int
TYPE_INT64: int
TYPE_UINT8: int
TYPE_FP32: int

class ModelInput(Message):
    name: str
    data_type: int
    dims: RepeatedScalar[int]
    optional: bool
    allow_ragged_batch: bool

class ModelOutput(Message):
    name: str
    data_type: int
    dims: RepeatedScalar[int]

class ModelParameter(Message):
    string_value: str

class ModelInstanceGroup(Message):
    KIND_CPU: int
    KIND_GPU: int
    name: str
    kind: int
    count: int

class ModelQueuePolicy(Message):
    REJECT: int
    DELAY: int
    timeout_action: int
    default_timeout_microseconds: int
    allow_timeout_override: bool
    max_queue_size: int

class ModelDynamicBatching(Message):
    preferred_batch_size: RepeatedScalar[int]
    priority_levels: int
    default_priority_level: int
    default_queue_policy: ModelQueuePolicy
    priority_queue_policy: MessageMap[int, ModelQueuePolicy]

class ModelResponseCache(Message):
    enable: bool

class ModelOptimizationPolicy(Message):
    class ExecutionAccelerators(Message):
        class Accelerator(Message):
            name: str
            parameters: MutableMapping[str, str]

        gpu_execution_accelerator: RepeatedMessage[Accelerator]

    execution_accelerators: ExecutionAccelerators

class ModelEnsembling(Message):
    class Step(Message):
        model_name: str
        model_version: int
        input_map: MutableMapping[str, str]
        output_map: MutableMapping[str, str]

    step: RepeatedMessage[Step]

class ModelWarmup(Message):
    class Input(Message):
        data_type: int
        dims: RepeatedScalar[int]
        input_data_file: str

    name: str
    batch_size: int
    inputs: MessageMap[str, Input]

class BatchInput(Message):
    BATCH_ITEM_SHAPE: int
    kind: int
    target_name: RepeatedScalar[str]
    data_type: int
    source_input: RepeatedScalar[str]

class ModelConfig(Message):
    def __init__(
        self, *, name: str = ..., platform: str = ..., backend: str = ..., max_batch_size: int = ...
    ) -> None: ...
    name: str
    platform: str
    backend: str
    max_batch_size: int
    default_model_filename: str
    input: RepeatedMessage[ModelInput]
    output: RepeatedMessage[ModelOutput]
    instance_group: RepeatedMessage[ModelInstanceGroup]
    dynamic_batching: ModelDynamicBatching
    ensemble_scheduling: ModelEnsembling
    optimization: ModelOptimizationPolicy
    response_cache: ModelResponseCache
    model_warmup: RepeatedMessage[ModelWarmup]
    parameters: MessageMap[str, ModelParameter]
    batch_input: RepeatedMessage[BatchInput]
    cc_model_filenames: MutableMapping[str, str]
