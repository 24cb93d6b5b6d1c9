"""What the catalog of tasks says of a name that a server does not know."""

from __future__ import annotations

import pytest

from ernie_triton.errors import ErnieTritonError, ServerUnavailable, UnknownTask
from ernie_triton.lookup import Catalog, IsReady, ReadyModels


@pytest.mark.parametrize(("ready", "error"), [(True, UnknownTask), (False, ServerUnavailable)])
@pytest.mark.parametrize("lost", [False, True])
def test_a_server_that_stops_may_have_had_the_task(ready: bool, error: type[ErnieTritonError], lost: bool) -> None:
    """Triton unloads its models one by one: a caller who believes in 404 never tries again."""
    catalog = Catalog("there:8001")
    asked = catalog.lost("tnews") if lost else catalog.one_task("tnews")
    raised, query = None, next(asked)
    try:
        while True:
            answer = [] if isinstance(query, ReadyModels) else ready if isinstance(query, IsReady) else None
            query = asked.send(answer)
    except ErnieTritonError as caught:
        raised = caught
    except StopIteration as end:
        raised = end.value
    assert type(raised) is error
    assert str(raised).startswith("the server at there:8001 has no task 'tnews'; it has none")
