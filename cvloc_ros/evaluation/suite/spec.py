# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The suite file: which drives, matchers, conditions and sweeps. Unknown keys and values out of range are errors."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from cvloc_ros import resources
from cvloc_ros.errors import ConfigError
from cvloc_ros.evaluation.suite.axes import AXES
from cvloc_ros.simulation.rigs import RIGS
from cvloc_ros.simulation.styles import NAMES

Tree = dict[str, Any]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def _dotted(value: Any) -> Any:
    """Turn `{search.radius_min_m: 15}` into `{search: {radius_min_m: 15}}`."""
    if not isinstance(value, Mapping):
        return value
    tree: Tree = {}
    for key, item in value.items():
        *sections, name = str(key).split(".")
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
        branch[name] = {**branch[name], **_dotted(item)} if isinstance(branch.get(name), dict) else _dotted(item)
    return tree


Settings = Annotated[Tree, BeforeValidator(_dotted)]
Outage = tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(gt=0)]]


class _Common(_Strict):
    config: Settings = Field(default_factory=dict)
    """Any configuration key."""
    outages: tuple[Outage, ...] = ()
    """Beginning and length (s) of times without GNSS."""


_axes: Any = {axis.name: (axis.kind | None, None) for axis in AXES.values()}
_Varied: Any = create_model("_Varied", __base__=_Common, **_axes)


def axis_values(settings: BaseModel) -> Tree:
    """Return the axes that are set."""
    found = {name: getattr(settings, name) for name in AXES}
    return {name: value for name, value in found.items() if value is not None}


class Condition(_Varied):  # type: ignore[misc]
    """Changes to every drive: axes, configuration, outages."""


def _world(value: Any) -> Any:
    if isinstance(value, str) and (value in NAMES or value.startswith("imagery:")):
        return value
    near = difflib.get_close_matches(str(value), NAMES, n=1)
    msg = f"worlds are {', '.join(NAMES)} and imagery:FILE" + (f"; did you mean {near[0]}?" if near else "")
    raise ValueError(msg)


def _rig(value: Any) -> Any:
    if value in RIGS:
        return value
    msg = f"rigs are {', '.join(RIGS)}"
    raise ValueError(msg)


class Simulated(_Varied):  # type: ignore[misc]
    """A simulated drive."""

    world: Annotated[str, BeforeValidator(_world)] = "town"
    seed: Annotated[int, Field(ge=0)]
    seconds: Annotated[float, Field(ge=1, le=3600)] = 25.0
    rig: Annotated[str, BeforeValidator(_rig)] = "demo"
    renderer: Literal["flat", "gl"] = "gl"
    image_hz: Annotated[float, Field(ge=0.1, le=30)] = 2.5
    place: tuple[float, float] | None = None
    """Latitude and longitude of the middle of the world, degrees."""
    size_m: tuple[float, float] | None = None
    resolution_m: float | None = None
    terrain_m: float = 0.0
    sway_deg: float = 0.0
    motion: Path | None = None
    heights: Path | None = None
    """Height model of a world on real imagery."""


class Recorded(_Varied):  # type: ignore[misc]
    """A recorded drive; paths are relative to the suite file."""

    bag: Path
    map: str
    datum: tuple[float, ...] | None = None
    settings: Path | None = None
    """Parameter file of the vehicle."""
    truth: Path | None = None
    truth_topic: str = ""
    initial_yaw_deg: float | None = None


class Suite(_Strict):
    """One suite."""

    path: Path
    title: str
    about: str = ""
    config: Settings = Field(default_factory=dict)
    drives: dict[str, Simulated | Recorded] = Field(min_length=1)
    matchers: dict[str, Settings] = Field(default_factory=lambda: dict[str, Tree](classical={}), min_length=1)
    conditions: dict[str, Condition] = Field(default_factory=lambda: {"base": Condition()}, min_length=1)
    sweeps: dict[str, list[Any]] = Field(default_factory=dict)


def shipped() -> dict[str, Path]:
    """Return name and path of the suites that come with the package."""
    folder = resources.find("config/suites/smoke.yaml").parent
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find(name: str) -> Path:
    """Return the file of a shipped suite, or the file that is named.

    Raises:
        ConfigError: there is neither.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return path
    known = shipped()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        msg = f"{name}: no such suite{hint}; there are {', '.join(known)}, or give a .yaml file"
        raise ConfigError(msg)
    return known[name]


def load(path: Path) -> Suite:
    """Read a suite file.

    Raises:
        ConfigError: one line for each fault, with file and key.
    """
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), _OnceLoader)  # noqa: S506 - a SafeLoader
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        msg = f"{path}: {err}"
        raise ConfigError(msg) from err
    if not isinstance(tree, dict):
        msg = f"{path}: a mapping with title and drives is expected, found {type(tree).__name__}"
        raise ConfigError(msg)
    faults = []
    defaults = tree.pop("defaults", {})
    if not isinstance(defaults, dict):
        defaults, faults = {}, ["defaults: a mapping of settings of simulated drives is expected"]
    models: dict[str, Any] = {"drives": {}, "conditions": {}}
    for section, name, body in _named(tree, faults):
        kind: type[BaseModel] = Condition
        if section == "drives":
            kind = Recorded if "bag" in body else Simulated
            body = _anchored({**defaults, **body} if kind is Simulated else body, path.parent)  # noqa: PLW2901
        try:
            models[section][name] = kind.model_validate(body)
        except ValidationError as err:
            faults += [_explain(fault, kind, f"{section}.{name}") for fault in err.errors()]
    faults += _sweep_faults(tree.get("sweeps"))
    head = {**tree, **{section: found for section, found in models.items() if section in tree}}
    try:
        suite = Suite.model_validate({**head, "path": path.resolve()})
    except ValidationError as err:
        known = [] if not models["drives"] and tree.get("drives") else err.errors()  # told above
        faults += [_explain(fault, Suite, "") for fault in known]
    if faults:
        raise ConfigError("\n".join(f"{path}: {fault}" for fault in faults))
    return suite


def _named(tree: Tree, faults: list[str]) -> Iterator[tuple[str, str, Tree]]:
    for section in ("drives", "conditions"):
        bodies = tree.get(section)
        if bodies is not None and not isinstance(bodies, dict):
            faults.append(f"{section}: names with settings are expected, found {type(bodies).__name__}")
            tree[section] = bodies = {}
        for name, body in (bodies or {}).items():
            if not re.fullmatch(r"[\w.=+-]+", str(name)):
                faults.append(f"{section}.{name}: names have letters, digits and _.=+- only, they become folders")
            if isinstance(body, dict) or body is None:
                yield section, str(name), body or {}
            else:
                faults.append(f"{section}.{name}: settings are expected, found {body!r}")


def _anchored(body: Tree, folder: Path) -> Tree:
    """Make the paths of a drive absolute."""
    found = dict(body)
    kind, colon, file = str(found.get("world", "")).partition(":")
    if kind == "imagery" and colon:
        found["world"] = f"imagery:{(folder / file).resolve()}"
    for key in ("bag", "map", "settings", "truth", "motion", "heights"):
        value = found.get(key)
        if isinstance(value, str) and value not in ("", "none") and "://" not in value and ":" not in value[:12]:
            found[key] = str((folder / value).resolve())
    return found


def _sweep_faults(sweeps: Any) -> Iterator[str]:
    if sweeps is None:
        return
    if not isinstance(sweeps, dict):
        yield "sweeps: axes with lists of values are expected"
        return
    for axis, values in sweeps.items():
        if axis not in AXES:
            near = difflib.get_close_matches(str(axis), AXES, n=1)
            yield f"sweeps.{axis}: no such axis" + (f"; did you mean {near[0]}?" if near else f"; {', '.join(AXES)}")
        elif not isinstance(values, list) or not values:
            yield f"sweeps.{axis}: a list of values is expected"
        else:
            for value in values:
                try:
                    Condition.model_validate({axis: value})
                except ValidationError as err:  # noqa: PERF203 - each value has its own fault
                    yield _explain(err.errors()[0], Condition, "sweeps")


def _explain(fault: Any, kind: type[BaseModel], prefix: str) -> str:
    parts = [str(part) for part in fault["loc"]]
    key = ".".join([*filter(None, [prefix]), *parts[:1]])
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(parts[0], kind.model_fields, n=1)
        return f"{key}: unknown key" + (f"; did you mean {near[0]}?" if near else "")
    if fault["type"] == "missing":
        return f"{key}: is missing"
    return f"{key} = {fault['input']!r}: {str(fault['msg']).removeprefix('Value error, ')}"


class _OnceLoader(yaml.SafeLoader):
    """Refuses a key that is given twice: the first of two drives of one name would silently not be driven."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        """Build a mapping."""
        own = [key for key, _ in node.value if not key.tag.endswith(":merge")]
        keys = [self.construct_object(key, deep=True) for key in own]
        for key in keys:
            if keys.count(key) > 1:
                msg = f"{key!r} is given twice"
                raise yaml.constructor.ConstructorError(None, None, msg, node.start_mark)
        return super().construct_mapping(node, deep)
