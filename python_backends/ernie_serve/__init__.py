"""Runs NVIDIA's tritonserver from the pip wheel on a model repository; standard library only."""

from ernie_serve.options import ServerOptions
from ernie_serve.problems import ServeError
from ernie_serve.server import TritonServer

__all__ = ["ServeError", "ServerOptions", "TritonServer"]
