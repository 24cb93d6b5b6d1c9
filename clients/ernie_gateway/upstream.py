"""The connection to Triton, for coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ernie_triton import Client
from ernie_triton.items import Item
from ernie_triton.results import Result, TextError
from ernie_triton.tasks import Task


class AsyncClient:
    """The client, in threads."""

    def __init__(self, url: str, timeout: float) -> None:
        self._client = Client(url, timeout)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *error: object) -> None:
        self._client.close()

    async def tasks(self) -> list[Task]:
        """As Client's."""
        return await asyncio.to_thread(self._client.tasks)

    async def task(self, name: str) -> Task:
        """As Client's."""
        return await asyncio.to_thread(self._client.task, name)

    async def predict(
        self,
        task: str,
        rows: Sequence[Item],
        *,
        variant: str | None = None,
        prefix: str | None = None,
        dimensions: int | None = None,
    ) -> list[Result | TextError]:
        """As Client's, with on_error="return"."""
        return await asyncio.to_thread(
            self._client.predict,
            task,
            rows,
            variant=variant,
            on_error="return",
            prefix=prefix,
            dimensions=dimensions,
        )
