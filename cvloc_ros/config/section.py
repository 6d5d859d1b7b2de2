# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How one key is described, and what all sections of the configuration share."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


def param(default: Any, text: str, *, unit: str = "", dynamic: bool = False, **bounds: Any) -> Any:
    """Describe one key: default, sentence, unit, whether it may change at run time, and pydantic bounds."""
    if isinstance(default, (list, dict)):
        bounds["default_factory"] = lambda: type(default)(default)
    else:
        bounds["default"] = default
    return Field(description=text, json_schema_extra={"unit": unit, "dynamic": dynamic}, **bounds)


class Section(BaseModel):
    """Base of all sections: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
