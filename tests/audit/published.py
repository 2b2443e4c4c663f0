"""OCSF 1.8.0 as published, as a judge of our events."""

from __future__ import annotations

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from ocsf_json_schema import (  # type: ignore[import-untyped]
    OcsfJsonSchemaEmbedded,
    get_ocsf_schema,
)


def problems(event: dict[str, Any]) -> list[str]:
    """What the published schema has against the event (as written: with time), empty if nothing."""
    profiles = tuple(event["metadata"].get("profiles", ()))
    validator = _validator(event["class_uid"], profiles)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(event)]


@cache
def _validator(class_uid: int, profiles: tuple[str, ...]) -> Draft202012Validator:
    schema = _embedded().get_class_schema(
        class_name=_class_name(class_uid), profiles=list(profiles)
    )
    return Draft202012Validator(schema)


@cache
def _embedded() -> OcsfJsonSchemaEmbedded:
    return OcsfJsonSchemaEmbedded(get_ocsf_schema("1.8.0"))


@cache
def _class_name(class_uid: int) -> str:
    classes: dict[str, dict[str, Any]] = get_ocsf_schema("1.8.0")["classes"]
    return next(name for name, entry in classes.items() if entry["uid"] == class_uid)
