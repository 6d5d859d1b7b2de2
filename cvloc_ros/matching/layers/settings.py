# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a model is: checked when it is made, and stored in the header of its weights."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from cvloc_ros.errors import ModelError
from cvloc_ros.matching import weights

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Base of the settings of a method's models; a method adds its fields, their faults, and its names."""

    NAME: ClassVar[str]
    """As the header of the weights has it."""

    TITLE: ClassVar[str]
    """As people know it."""

    SOURCE: ClassVar[str] = "train one, none are published"
    AGAIN: ClassVar[str] = "train the model again"

    def __post_init__(self) -> None:
        """Refuse what no model can be.

        Raises:
            ModelError: a value is out of its range.
        """
        for wrong, message in self.faults():
            if wrong:
                msg = f"{self.TITLE} settings: {message}"
                raise ModelError(msg)

    def faults(self) -> Sequence[tuple[bool, str]]:
        """What no model can be: whether it is so, and what to say then."""
        raise NotImplementedError

    def facts(self) -> dict[str, str]:
        """Return what stands in the header of the weights."""
        return {"model": self.NAME, "settings": self.to_json()}

    @classmethod
    def of_weights(cls, path: Path | str) -> Self:
        """Read the header of a file of weights.

        Raises:
            ModelError: the file is missing, damaged or of another model.
        """
        facts = weights.read_facts(path)
        if facts.get("model") != cls.NAME or "settings" not in facts:
            msg = f"{path} holds {facts.get('model', 'no known model')}, not {cls.TITLE}; {cls.SOURCE}"
            raise ModelError(msg)
        return cls.from_json(facts["settings"])

    def to_json(self) -> str:
        """Write for the header of the weights."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ModelError: the text is damaged, or of a newer version.
        """
        try:
            return cls(**cls._fields(json.loads(text)))
        except (ValueError, TypeError, AttributeError, KeyError) as err:
            msg = f"settings in the header of {cls.TITLE} weights cannot be read: {err}; {cls.AGAIN}"
            raise ModelError(msg) from err

    @classmethod
    def _fields(cls, read: dict[str, Any]) -> dict[str, Any]:
        """Turn what JSON knows into the values of the fields."""
        return {key: tuple(value) if isinstance(value, list) else value for key, value in read.items()}
