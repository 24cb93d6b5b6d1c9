"""The task that `model` names in the shapes of others."""

from __future__ import annotations

from collections.abc import Sequence

from ernie_triton.tasks import Task

from .. import bodies
from ..gateway import Gateway
from ..problems import Problem


async def choose(here: Gateway, model: str | None, kinds: Sequence[str], example: str) -> Task:
    """The task of that name, which must be of one of `kinds`; without a name, the only one of these kinds."""
    if model is not None:
        task = await here.task(model)
        if task.kind not in kinds:
            fitting = ", ".join(t.name for t in await here.tasks() if t.kind in kinds) or "none"
            message = f"task {task.name} is of the kind {task.kind}; here go those of {', '.join(kinds)}: {fitting}"
            raise Problem(422, "wrong_kind", message)
        return task
    fitting_tasks = [task for task in await here.tasks() if task.kind in kinds]
    if len(fitting_tasks) != 1:
        names = ", ".join(task.name for task in fitting_tasks) or "none"
        raise bodies.wrong(f"the field 'model' is missing, and the server has not one task for it ({names})", example)
    return fitting_tasks[0]
