"""Run the notebooks of docs/notebooks and keep their outputs: python docs/site/notebooks.py [--url HOST:PORT]."""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "notebooks"
URL = "ERNIE_TRITON_URL"


def read(path: Path) -> Any:
    """A notebook, as nbformat 4 has it; markdown cells have their language in the metadata."""
    return json.loads(path.read_text(encoding="utf-8"))


def write(path: Path, notebook: Any) -> None:
    """As Jupyter writes it, so that saving it there changes nothing else."""
    path.write_text(json.dumps(notebook, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def run(notebook: Any, replace: Mapping[str, str] | None = None) -> list[list[Any]]:
    """The outputs of each code cell; the cells run in order, in one namespace. replace: words of the code by others."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    return [
        run_cell("".join(cell["source"]), namespace, replace or {})
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
    ]


def run_cell(source: str, namespace: dict[str, Any], replace: Mapping[str, str]) -> list[Any]:
    """What a cell prints, and the value of its last expression."""
    for old, new in replace.items():
        source = source.replace(old, new)
    tree = ast.parse(source)
    expression = None
    if tree.body and isinstance(last := tree.body[-1], ast.Expr):
        expression = ast.Expression(last.value)
        del tree.body[-1]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "cell", "exec"), namespace)
        value = eval(compile(expression, "cell", "eval"), namespace) if expression else None
    outputs: list[Any] = []
    if printed.getvalue():
        outputs.append({"name": "stdout", "output_type": "stream", "text": lines(printed.getvalue())})
    if value is not None:
        data = {"text/plain": lines(repr(value))}
        if hasattr(value, "_repr_html_"):
            data["text/html"] = lines(value._repr_html_())
        outputs.append({"data": data, "execution_count": None, "metadata": {}, "output_type": "execute_result"})
    return outputs


def lines(text: str) -> list[str]:
    """As nbformat keeps texts."""
    return text.splitlines(keepends=True)


def page(notebook: Any, language: str) -> str:
    """The notebook as a page of the site: the markdown cells of one language, the code, the outputs."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            if cell["metadata"].get("lang", language) == language:
                parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {"text/plain": output.get("text", [])})
            html = "".join(data.get("text/html", []))
            text = "".join(data["text/plain"]).rstrip()
            parts.append(
                f'<div class="output" markdown="0">\n{html}\n</div>'
                if html
                else f"``` {{ .text .output }}\n{text}\n```"
            )
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Run all notebooks against a served demo and write their outputs into them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="127.0.0.1:8001", help="the demo's gRPC port (default: %(default)s)")
    os.environ[URL] = parser.parse_args().url
    for path in sorted(FOLDER.glob("*.ipynb")):
        notebook = read(path)
        code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        for number, (cell, outputs) in enumerate(zip(code, run(notebook), strict=True), 1):
            cell["execution_count"] = number
            cell["outputs"] = [
                {**output, "execution_count": number} if "execution_count" in output else output for output in outputs
            ]
        write(path, notebook)
        sys.stdout.write(f"{path.name}: {len(code)} cells\n")


if __name__ == "__main__":
    main()
