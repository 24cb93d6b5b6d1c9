"""Finds the parts of the pip server: tritonserver, its libraries, this Python's stub and libpython."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from ernie_runtime.install import install_hint
from ernie_serve.problems import ServeError, check_platform


@dataclass(frozen=True)
class Wheel:
    """The parts of an installed nvidia-pytriton wheel, for the running Python."""

    version: str
    root: Path
    """The wheel's tritonserver folder."""
    libraries: Path
    """Shared libraries with hashed names, which the wheel's binaries look for."""

    @property
    def server(self) -> Path:
        """The tritonserver binary."""
        return self.root / "bin" / "tritonserver"

    @property
    def caches(self) -> Path:
        """The response cache directory."""
        return self.root / "caches"

    @property
    def python_backend(self) -> list[Path]:
        """Triton's Python backend: its library, its Python module and the stub of this Python."""
        folder = self.root / "backends" / "python"
        return [
            folder / "libtriton_python.so",
            folder / "triton_python_backend_utils.py",
            self.root / "python_backend_stubs" / python_version() / "triton_python_backend_stub",
        ]


def python_version() -> str:
    """The running Python as Triton names its stubs, such as 3.11."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def find_wheel() -> Wheel:
    """The installed wheel, complete for this Python.

    Errors: ServeError when it is not installed, incomplete, or has no stub for the running Python.
    """
    spec = importlib.util.find_spec("pytriton")
    try:
        version = importlib.metadata.version("nvidia-pytriton")
    except importlib.metadata.PackageNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise ServeError(f"tritonserver is not installed in this Python ({sys.executable}): {install_hint('serve')}")
    package = Path(spec.origin).parent
    wheel = Wheel(version, package / "tritonserver", package.parent / "nvidia_pytriton.libs")
    stubs = wheel.root / "python_backend_stubs"
    if stubs.is_dir() and not wheel.python_backend[-1].exists():
        versions = ", ".join(sorted((path.name for path in stubs.iterdir()), key=lambda name: int(name.split(".")[1])))
        raise ServeError(f"nvidia-pytriton {version} has no stub for Python {python_version()}, only for {versions}")
    for path in [wheel.server, wheel.libraries, *wheel.python_backend]:
        if not path.exists():
            raise ServeError(
                f"nvidia-pytriton {version} lacks {path.name}: "
                f"pip install --force-reinstall --no-deps nvidia-pytriton=={version}"
            )
    return wheel


def find_libpython() -> Path | None:
    """The folder of the running Python's shared library; None where the system's loader finds it.

    Errors: ServeError when this Python has no shared library, which the stub needs.
    """
    name = f"libpython{python_version()}.so.1.0"
    folders = [sysconfig.get_config_var("LIBDIR"), os.path.join(sys.base_prefix, "lib")]
    multiarch = sysconfig.get_config_var("MULTIARCH")
    if multiarch:
        folders += [os.path.join(str(folder), multiarch) for folder in folders]
    for folder in folders:
        if folder and os.path.exists(os.path.join(folder, name)):
            return Path(folder)
    system = ["/usr/lib", "/usr/lib64", "/usr/local/lib", f"/usr/lib/{multiarch}", f"/lib/{multiarch}"]
    if any(os.path.exists(os.path.join(folder, name)) for folder in system):
        return None
    raise ServeError(
        f"{name} was not found: this Python ({sys.base_prefix}) has no shared library; try one of: "
        f"apt install libpython{python_version()}, uv, pyenv with PYTHON_CONFIGURE_OPTS=--enable-shared"
    )


def check_environment() -> None:
    """Errors: ServeError for a C library or a numpy that the pip server cannot work with."""
    library, version = platform.libc_ver()
    glibc: tuple[int, int] | None = None
    if library == "glibc":
        major, minor = version.split(".")[:2]
        glibc = (int(major), int(minor))
    try:
        numpy: str | None = importlib.metadata.version("numpy")
    except importlib.metadata.PackageNotFoundError:
        numpy = None
    check_platform(glibc, numpy)


def environment(wheel: Wheel) -> dict[str, str]:
    """Variables under which the server runs.

    The first library folder makes the stub use this Python's libpython, the second its other libraries.
    The embedded interpreter takes its packages from the first ``python3`` on PATH (it follows that one's
    pyvenv.cfg), and would be misled by PYTHONHOME. Errors: ServeError where one of these folders has a colon in its
    path, which separates folders in both variables.
    """
    libpython = find_libpython()
    libraries = [str(folder) for folder in (libpython, wheel.libraries) if folder]
    for folder in (*libraries, str(Path(sys.executable).parent)):
        if os.pathsep in folder:
            raise ServeError(f"{folder} has a colon in its path, where libraries are not found: install elsewhere")
    inherited = os.environ.get("LD_LIBRARY_PATH")
    env = {key: value for key, value in os.environ.items() if key != "PYTHONHOME"}
    env["LD_LIBRARY_PATH"] = os.pathsep.join([*libraries, *([inherited] if inherited else [])])
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return env
