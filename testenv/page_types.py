"""Writes the page's TypeScript declarations of the wire from the pydantic models, so that `tsc` sees every drift.

`python testenv/page_types.py` writes them; the browser tests compare the file with `declarations()`.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from pydantic import BaseModel

STATIC = Path(__file__).resolve().parent.parent / "src/airflow_package_manager/web/static"
TARGET = STATIC / "wire.d.ts"
MODULES = ("schemas", "operation_schemas")


def models() -> dict[str, type[BaseModel]]:
    """Return every model of an answer by its name."""
    found: dict[str, type[BaseModel]] = {}
    for module in MODULES:
        room = importlib.import_module(f"airflow_package_manager.web.{module}")
        for value in vars(room).values():
            if isinstance(value, type) and issubclass(value, BaseModel) and value.__module__ == room.__name__:
                found[value.__name__] = value
    return dict(sorted(found.items()))


def declarations() -> str:
    """Return the text of `wire.d.ts`."""
    lines = ["// Written by testenv/page_types.py from web/schemas.py; do not edit by hand.", ""]
    for name, model in models().items():
        schema = model.model_json_schema(mode="serialization")
        lines.append(f"export interface {name} {{")
        lines += [f"  {field}: {_type(part)};" for field, part in schema.get("properties", {}).items()]
        if schema.get("additionalProperties") is True:
            lines.append("  [member: string]: unknown;")
        lines += ["}", ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in schema:
        return " | ".join(_type(part) for part in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(f'"{value}"' for value in schema["enum"])
    if "const" in schema:
        return f'"{schema["const"]}"'
    if schema.get("type") == "array":
        inner = _type(schema["items"])
        return f"({inner})[]" if " | " in inner else f"{inner}[]"
    simple = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
    return simple.get(schema.get("type", ""), "{[key: string]: any}")


if __name__ == "__main__":
    TARGET.write_text(declarations(), encoding="utf-8")
    print(f"wrote {TARGET}")
