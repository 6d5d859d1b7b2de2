# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The configuration tree as ROS parameters: declared with type, range and description, validated as a whole."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidTopicNameException
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.validate_topic_name import validate_topic_name

from cvloc_ros import config, reference
from cvloc_ros.config import Config
from cvloc_ros.errors import ConfigError

TYPES = {
    "bool": Parameter.Type.BOOL,
    "int": Parameter.Type.INTEGER,
    "float": Parameter.Type.DOUBLE,
    "str": Parameter.Type.STRING,
    "list[float]": Parameter.Type.DOUBLE_ARRAY,
    "list[int]": Parameter.Type.INTEGER_ARRAY,
    "list[str]": Parameter.Type.STRING_ARRAY,
}
FOREIGN = ("use_sim_time", "start_type_description_service", "qos_overrides.")
"""Parameters that rclpy itself declares."""

MAX_INT = 2**63 - 1


class Parameters:
    """Declares the parameters of a node and keeps the valid `Config` made from them.

    `faults` holds one line for each override that was refused; while there are any, `current` raises.
    """

    def __init__(self, node: Node) -> None:
        """Declare every key of the tree; faulty overrides are noted, their parameter gets its default."""
        self._node = node
        given = node._parameter_overrides  # noqa: SLF001  the only way to see those of undeclared parameters
        overrides = {name: item for name, item in given.items() if not name.startswith(FOREIGN)}
        names = _camera_names(overrides.values())
        self._keys = {key.name: key for key in reference.parameters(names)}
        values, self.faults = _read(overrides.values(), self._keys)
        self.faults += _check(values) + _not_topics(values)
        for key in self._keys.values():
            default = list(names) if key.name == "camera_names" else key.default
            value = default if self.faults else values.get(key.name, default)
            parameter = (key.name, value, descriptor(key))
            node.declare_parameters("", [parameter], ignore_override=True)
            if value == []:  # rclpy takes any empty list for bytes, and offers no public way to say otherwise
                node._parameters[key.name] = Parameter(key.name, TYPES[key.kind], [])  # noqa: SLF001
        self._config = Config() if self.faults else config.parse(nest(values))
        node.add_on_set_parameters_callback(self._on_set)
        # Jazzy tells when nobody else refused, Humble does not: there the change is applied when it is judged.
        self._told_later = hasattr(node, "add_post_set_parameters_callback")
        if self._told_later:
            node.add_post_set_parameters_callback(self._after_set)

    @property
    def current(self) -> Config:
        """The configuration of this moment; dynamic keys change between calls.

        Raises:
            ConfigError: with one line for each fault of the overrides.
        """
        if self.faults:
            raise ConfigError("\n".join(self.faults))
        return self._config

    def _on_set(self, parameters: list[Parameter]) -> SetParametersResult:
        ours = [item for item in parameters if item.name in self._keys]
        fixed = [item.name for item in ours if not self._keys[item.name].dynamic]
        if fixed:
            return SetParametersResult(successful=False, reason=f"{', '.join(fixed)}: fixed while the node lives")
        values, faults = _read(ours, self._keys)
        if faults:
            return SetParametersResult(successful=False, reason="\n".join(faults))
        try:
            merged = config.merge(self._config, nest(values))
        except ConfigError as err:
            return SetParametersResult(successful=False, reason=str(err))
        if not self._told_later:
            self._config = merged
        return SetParametersResult(successful=True)

    def _after_set(self, parameters: list[Parameter]) -> None:
        values, _ = _read([item for item in parameters if item.name in self._keys], self._keys)
        if values:
            self._config = config.merge(self._config, nest(values))


def descriptor(key: reference.Key) -> ParameterDescriptor:
    """Describe one key to ROS. Open bounds are shown as closed ones; the tree itself checks them exactly."""
    notes = [part for part in (key.unit, key.range_text) if part]
    result = ParameterDescriptor(
        name=key.name,
        type=TYPES[key.kind].value,
        description=key.text + (f" [{'; '.join(notes)}]" if notes else ""),
        additional_constraints=key.range_text,
        read_only=not key.dynamic,
    )
    if key.low is None and key.high is None:
        return result
    if key.kind == "int":
        low = -MAX_INT if key.low is None else int(key.low)
        high = MAX_INT if key.high is None else int(key.high)
        result.integer_range = [IntegerRange(from_value=low, to_value=high, step=0)]
    else:
        low_m = -sys.float_info.max if key.low is None else key.low
        high_m = sys.float_info.max if key.high is None else key.high
        result.floating_point_range = [FloatingPointRange(from_value=low_m, to_value=high_m, step=0.0)]
    return result


def nest(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn dotted keys into nested mappings."""
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *path, leaf = name.split(".")
        here = tree
        for part in path:
            here = here.setdefault(part, {})
        here[leaf] = value
    return tree


def _camera_names(overrides: Iterable[Parameter]) -> list[str]:
    for item in overrides:
        if item.name == "camera_names" and item.type_ == Parameter.Type.STRING_ARRAY and item.value:
            return list(item.value)
    return ["camera"]


def _check(values: Mapping[str, Any]) -> list[str]:
    try:
        config.parse(nest(values))
    except ConfigError as err:
        return str(err).splitlines()
    return []


def _not_topics(values: Mapping[str, Any]) -> list[str]:
    """Return a line for each topic that ROS would refuse; activate would tell neither its name nor its key."""
    topics = {name: value for name, value in values.items() if name.endswith("_topic") and value}
    return [f"{name} = {value!r}: {fault}" for name, value in topics.items() if (fault := _not_topic(value))]


def _not_topic(name: str) -> str:
    try:
        validate_topic_name(name)
    except InvalidTopicNameException as err:
        return str(err).splitlines()[0]
    return ""


def _read(items: Iterable[Parameter], keys: Mapping[str, reference.Key]) -> tuple[dict[str, Any], list[str]]:
    """Return the values of known keys, integers taken for doubles, and a line for each item that is none of them."""
    values: dict[str, Any] = {}
    faults: list[str] = []
    for item in items:
        key = keys.get(item.name)
        if key is None:
            faults.append(_unknown(item.name, keys))
        elif _fits(item, key.kind):
            values[item.name] = _plain(item.value, key.kind)
        else:
            found = item.type_.name.lower().replace("_", " ")
            wanted = TYPES[key.kind].name.lower().replace("_", " ")
            faults.append(f"{item.name} = {item.value!r}: {found} given, {wanted} expected")
    return values, faults


def _unknown(name: str, keys: Mapping[str, reference.Key]) -> str:
    near = next(iter(difflib.get_close_matches(name, list(keys), n=1)), "")
    if name.startswith("cameras.") and name.count(".") >= 2 and near.split(".")[1:2] != name.split(".")[1:2]:
        return f"{name}: camera {name.split('.')[1]} is not in camera_names"
    return f"{name}: unknown parameter" + (f"; did you mean {near}?" if near else "")


def _fits(item: Parameter, kind: str) -> bool:
    if item.type_ == TYPES[kind]:
        return True
    if kind == "float":
        return item.type_ == Parameter.Type.INTEGER
    if kind.startswith("list"):
        # An empty list of a parameter file arrives without type and value.
        empty = item.type_ == Parameter.Type.NOT_SET or (hasattr(item.value, "__len__") and len(item.value) == 0)
        return empty or (kind == "list[float]" and item.type_ == Parameter.Type.INTEGER_ARRAY)
    return False


def _plain(value: Any, kind: str) -> Any:
    if kind == "float":
        return float(value)
    if kind == "list[float]":
        return [float(item) for item in value or ()]
    if kind == "list[int]":
        return [int(item) for item in value or ()]
    return list(value or ()) if kind == "list[str]" else value
