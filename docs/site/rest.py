"""The reference page of the REST gateway, from its OpenAPI document."""

from __future__ import annotations

from typing import Any

from ernie_gateway.openapi import REFUSALS, document

METHODS = ("get", "post")


def rest_page() -> str:
    """Addresses, bodies, statuses."""
    api: Any = document([])
    text = "# REST, field by field\n\nWhat `/openapi.json` of a running gateway says, without its examples: those are "
    text += "of the tasks that it serves. How to use it: [gateway](../gateway.md).\n\n## Addresses\n\n"
    text += "| request | what it does | body | reply | refusals |\n|---|---|---|---|---|\n"
    for path, operations in api["paths"].items():
        for method in METHODS:
            if method in operations:
                text += address(f"{method.upper()} {path}", operations[method])
    text += "\n## Bodies\n\n"
    for name, schema in api["components"]["schemas"].items():
        text += f"### {name}\n\n| field | type | required |\n|---|---|---|\n"
        required = schema.get("required", [])
        for field, shape in schema["properties"].items():
            text += f"| `{field}` | {type_of(shape)} | {'yes' if field in required else ''} |\n"
        text += "\n"
    text += "## Refusals\n\nEach has a body as [Error](#error) describes it.\n\n| status | why |\n|---|---|\n"
    return text + "".join(f"| {status} | {why} |\n" for status, why in REFUSALS.items())


def address(name: str, operation: Any) -> str:
    """A row of the table."""
    replies = {status: reply for status, reply in operation["responses"].items() if status.startswith("2")}
    refusals = ", ".join(status for status in operation["responses"] if status not in replies)
    bodies = operation.get("requestBody", {}).get("content", {})
    replied = next(iter(replies.values())).get("content", {})
    return f"| `{name}` | {operation['summary']} | {media(bodies)} | {media(replied)} | {refusals} |\n"


def media(content: Any) -> str:
    """The schemas of a body, with their media types where they are not JSON."""
    parts = []
    for kind, value in content.items():
        shape = type_of(value["schema"])
        parts.append(shape if kind == "application/json" else f"`{kind}`")
    return ", ".join(parts)


def type_of(shape: Any) -> str:
    """A JSON schema in a few words."""
    if "$ref" in shape:
        name = shape["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "oneOf" in shape:
        return " or ".join(dict.fromkeys(type_of(one) for one in shape["oneOf"]))
    if "enum" in shape:
        return " or ".join(f"`{value}`" for value in shape["enum"] if value is not None)
    kind = shape.get("type")
    if isinstance(kind, list):
        kind = " or ".join(one for one in kind if one != "null")
    if kind == "array":
        return f"list of {type_of(shape['items'])}" if "items" in shape else "list"
    return str(kind or shape.get("description", "anything"))
