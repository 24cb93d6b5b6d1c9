"""PaddlePaddle, imported late and set up for this machine."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import io
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

from ernie_runtime.install import install_hint

from .errors import ConfigError


def _is_amd() -> bool:
    try:
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False


def import_paddle(device: str | None = None) -> Any:
    """The paddle module, switched to the device ("cpu", "gpu", "gpu:1") if one is given.

    ConfigError if Paddle or the device is not available.

    Three settings that Paddle reads when it is imported make CPU training some 3 times faster: Paddle uses one
    thread unless OMP_NUM_THREADS says otherwise; the MKL that it bundles (2019) takes its slowest path on
    processors that are not Intel's unless MKL_DEBUG_CPU_TYPE=5 names AVX2; and with views of transposed tensors
    (FLAGS_use_stride_kernel, on by default) each is copied element by element before it is multiplied, a fifth of
    the time of fine-tuning.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))
    if _is_amd():
        os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "5")
    os.environ.setdefault("FLAGS_use_stride_kernel", "0")
    os.environ.setdefault("GLOG_minloglevel", "2")
    # paddle2onnx's optimizer would pip-install packages at run time; what it wants is in the lock file.
    os.environ.setdefault("POLYGRAPHY_AUTOINSTALL_DEPS", "0")
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):  # its warning about OMP_NUM_THREADS
        warnings.simplefilter("ignore")
        try:
            import paddle
        except ImportError as error:
            raise ConfigError(
                f"PaddlePaddle cannot be imported ({error}): install the build environment: {install_hint('build')}"
            ) from None
    if device is None:
        return paddle
    if device.startswith("gpu") and not paddle.is_compiled_with_cuda():
        raise ConfigError(f"--device {device}: this PaddlePaddle is built for CPUs; install paddlepaddle-gpu 3.3.1")
    try:
        paddle.set_device(device)
    except ValueError as error:
        raise ConfigError(f"--device {device}: {error}") from None
    return paddle


def device_numbers(devices: str) -> list[int]:
    """The numbers that --devices names; ConfigError for what is none."""
    numbers = devices.split(",") if devices else []
    if not all(number.isdigit() for number in numbers):
        raise ConfigError(f"--devices {devices}: expected numbers joined by commas, such as 0,1")
    return [int(number) for number in numbers]


def check_devices(device: str, devices: str) -> None:
    """ConfigError for a device of --device or --devices that is not there; Paddle is imported for other than `cpu`."""
    numbers = device_numbers(devices)
    if device == "cpu":  # --devices are then processes
        return
    count = import_paddle(device).device.cuda.device_count()
    absent = [number for number in numbers if number >= count]
    if absent and device.startswith("gpu"):
        raise ConfigError(f"--devices {devices}: no device {absent[0]}; this machine has {count}, counted from 0")


def _enter_paddlenlp() -> None:
    """The package without what its `__init__` imports: task flows, data sets, a web server. Three seconds less.

    ModuleNotFoundError if it is not there.
    """
    if "paddlenlp" in sys.modules:
        return
    spec = importlib.util.find_spec("paddlenlp")
    if spec is None:
        raise ModuleNotFoundError("No module named 'paddlenlp'")
    package: Any = importlib.util.module_from_spec(spec)
    package.__version__ = importlib.metadata.version("paddlenlp")  # its parts read it
    import_paddle().disable_signal_handler()  # as `__init__` does: Python's own handlers stay
    sys.modules["paddlenlp"] = package


def import_paddlenlp() -> Any:
    """paddlenlp.transformers, with its loggers quiet; ConfigError if it is not there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            _enter_paddlenlp()
            import paddlenlp.data  # before transformers, which it imports half-way: they import each other
            import paddlenlp.transformers as transformers
            import paddlenlp.utils.env  # noqa: F401 (makes folders)
            from paddlenlp.utils.log import logger
        except OSError as error:
            raise ConfigError(
                f"{error.filename}: PaddleNLP cannot make its folder ({error.strerror}): "
                "set PPNLP_HOME to a folder that can be written"
            ) from None
        except ImportError as error:
            raise ConfigError(
                f"PaddleNLP cannot be imported ({error}): install the build environment: {install_hint('build')}"
            ) from None
    logger.set_level("ERROR")
    logging.getLogger("paddle").setLevel(logging.ERROR)
    return transformers
