"""What pyproject.toml cannot say: where the weights are in a checkout, and a clean folder for every build."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from setuptools import Distribution, setup

ROOT = Path(__file__).resolve().parent
WEIGHTS = "ernie-triton-assets"
"""A distribution of its own: builders/assets_wheel builds it from builders/ernie_assets."""


class Project(Distribution):
    """The project as pyproject.toml describes it, completed."""

    def parse_config_files(self, filenames: object = None, ignore_option_errors: bool = False) -> None:
        """pyproject.toml is read here; what is added must come after."""
        super().parse_config_files(filenames, ignore_option_errors)
        if not os.environ.get("ERNIE_TRITON_RELEASE"):
            self._take_weights_from_the_checkout()

    def _take_weights_from_the_checkout(self) -> None:
        """No index has the weights: `pip install '.[build]'` must find them in the folder beside.

        Wheels that are to be installed elsewhere (`make wheels`) name the distribution alone.
        """
        folder = ROOT / "builders" / "assets_wheel"
        if not folder.is_dir():
            return
        for extra, requirements in self.extras_require.items():
            self.extras_require[extra] = [
                f"{WEIGHTS} @ {folder.as_uri()}" if requirement.startswith(WEIGHTS) else requirement
                for requirement in requirements
            ]


def build_folder() -> str:
    """A new one each time: modules of an earlier build must not come along, and build/ is the builders' cache."""
    folder = tempfile.mkdtemp(prefix="ernie-triton")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


setup(distclass=Project, options={"build": {"build_base": build_folder()}})
