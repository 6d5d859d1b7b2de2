# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reading and writing network weights: tensors by name, nothing that could run code, and errors that name the key."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from cvloc_ros.errors import ModelError

_WRAPPERS = ("state_dict", "model", "model_state_dict", "teacher")
_SHOWN = 5
_IN_FOLDER = ("model.safetensors", "*.safetensors", "*.pth", "*.pt", "*.bin")


def read_tensors(path: Path | str) -> dict[str, Tensor]:
    """Read a .safetensors file or a PyTorch state dict (only tensors are unpickled), on the CPU.

    A folder is taken if it holds exactly one such file. One level of wrapping (`state_dict`, `model`) is opened.

    Raises:
        ModelError: the file is missing, cut off, no such file, or holds something else than named tensors.
    """
    file = find_file(path)
    content = _read_safetensors(file) if file.suffix == ".safetensors" else _read_pickle(file)
    for name in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping) or not content:
        msg = f"{file} holds {type(content).__name__}, not named tensors; a state dict (key: tensor) is required"
        raise ModelError(msg)
    odd = [str(key) for key, value in content.items() if not isinstance(key, str) or not isinstance(value, Tensor)]
    if odd:
        msg = f"{file} is no state dict: {_some(odd)} {'is' if len(odd) == 1 else 'are'} not tensors"
        raise ModelError(msg)
    return dict(content)


def write_tensors(path: Path | str, tensors: Mapping[str, Tensor], facts: Mapping[str, str] | None = None) -> None:
    """Write named tensors as .safetensors, with facts about them in its header; an existing file is replaced whole.

    Raises:
        ModelError: the file cannot be written, or the package safetensors is missing.
    """
    try:
        from safetensors import SafetensorError
        from safetensors.torch import save_file
    except ImportError as err:
        raise ModelError(_no_safetensors(Path(path))) from err
    part = Path(path).with_name(Path(path).name + ".part")
    try:
        save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, part, dict(facts or {}))
        part.chmod(0o644)  # the node may run as another user than the training
        part.replace(path)
    except (OSError, SafetensorError) as err:
        msg = f"{path} cannot be written: {err}"
        raise ModelError(msg) from err


def pack(source: Path | str, target: Path | str) -> int:
    """Write weights in half precision, facts included; matchers compute in single precision with them all the same.

    Returns:
        Size of the file, bytes.

    Raises:
        ModelError: as `read_tensors` and `write_tensors`; also for values that half precision cannot hold.
    """
    tensors = {key: value.half() if value.is_floating_point() else value for key, value in read_tensors(source).items()}
    lost = [key for key, value in tensors.items() if not bool(torch.isfinite(value).all())]
    if lost:
        msg = f"{source}: values of {_some(lost)} are beyond half precision (65504); keep the file as it is"
        raise ModelError(msg)
    write_tensors(target, tensors, read_facts(source))
    return Path(target).stat().st_size


def read_facts(path: Path | str) -> dict[str, str]:
    """Read the facts in the header of a .safetensors file; {} for other files.

    Raises:
        ModelError: as `read_tensors`.
    """
    file = find_file(path)
    if file.suffix != ".safetensors":
        return {}
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as err:
        raise ModelError(_no_safetensors(file)) from err
    try:
        with safe_open(file, "pt") as opened:
            return dict(opened.metadata() or {})
    except (SafetensorError, OSError) as err:
        raise ModelError(_damaged(file, err)) from err


def named(path: Path | str, key: str, remedy: str) -> Path | str:
    """Return the path that the parameter `key` names.

    Raises:
        ModelError: it is empty.
    """
    if not path:
        msg = f"{key} is empty; {remedy}"
        raise ModelError(msg)
    return path


def find_file(path: Path | str) -> Path:
    """Return the file itself, or the one file of weights in a folder.

    Raises:
        ModelError: there is none, or there are several.
    """
    path = Path(path).expanduser()
    if path.is_file():
        return path
    if not path.is_dir():
        msg = f"weights {path} do not exist; give a file or a folder with weights (cvloc weights says where from)"
        raise ModelError(msg)
    for pattern in _IN_FOLDER:
        found = sorted(path.glob(pattern))
        if len(found) == 1:
            return found[0]
        if found:
            msg = f"{path} holds {len(found)} files of weights ({_some([file.name for file in found])}); name one"
            raise ModelError(msg)
    msg = f"{path} holds no weights; one of {', '.join(_IN_FOLDER)} is required"
    raise ModelError(msg)


def load_into(module: nn.Module, tensors: Mapping[str, Tensor], what: str, source: Path | str) -> None:
    """Copy tensors into a module of exactly these keys and shapes; `what` and `source` appear in errors.

    Raises:
        ModelError: missing or unknown keys, or shapes that differ, each named.
    """
    check(tensors, {key: tuple(value.shape) for key, value in module.state_dict().items()}, what, source)
    module.load_state_dict(dict(tensors))


def check(
    tensors: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]], what: str, source: Path | str
) -> None:
    """Compare keys and shapes with those of a model.

    Raises:
        ModelError: as `load_into`; also for values that are not finite.
    """
    missing = [key for key in expected if key not in tensors]
    unknown = [key for key in tensors if key not in expected]
    if len(missing) > len(expected) // 2:
        msg = (
            f"{source} is not {what}: {len(missing)} of {len(expected)} keys are missing ({_some(missing)}), and "
            f"it has {_some(unknown) or 'nothing else'}; these are the weights of another model"
        )
        raise ModelError(msg)
    if missing or unknown:
        parts = [f"missing: {_some(missing)}"] * bool(missing) + [f"unknown: {_some(unknown)}"] * bool(unknown)
        msg = f"{source} does not fit {what}; {'; '.join(parts)}"
        raise ModelError(msg)
    wrong = [
        f"{key} is {tuple(tensors[key].shape)}, {shape} is required"
        for key, shape in expected.items()
        if tuple(tensors[key].shape) != shape
    ]
    if wrong:
        msg = f"{source} does not fit {what}; {_some(wrong)}; the size of the model or its settings differ"
        raise ModelError(msg)
    broken = [key for key, value in tensors.items() if not bool(torch.isfinite(value).all())]
    if broken:
        msg = f"{source}: {_some(broken)} hold values that are not finite; fetch the file again"
        raise ModelError(msg)


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as err:
        raise ModelError(_no_safetensors(file)) from err
    try:
        return dict(load_file(file))
    except (SafetensorError, OSError, ValueError) as err:
        raise ModelError(_damaged(file, err)) from err


def _read_pickle(file: Path) -> object:
    try:
        content: object = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as err:
        msg = (
            f"{file} is not a plain state dict: {_reason(err)}. It is damaged, no PyTorch file, or holds objects "
            "other than tensors, which are never unpickled because they can run code; save the state dict alone"
        )
        raise ModelError(msg) from err
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as err:
        raise ModelError(_damaged(file, err)) from err
    return content


def _damaged(file: Path, err: Exception) -> str:
    size = file.stat().st_size if file.exists() else 0
    reason = _reason(err)
    return f"{file} ({size} bytes) cannot be read: {reason}; it is cut off or no file of weights; fetch it again"


def _no_safetensors(file: Path) -> str:
    return f"{file} needs the package safetensors; pip install safetensors, or use a PyTorch file (.pth)"


def _reason(err: Exception) -> str:
    return (str(err).strip() or type(err).__name__).splitlines()[0].split(". ")[0]


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more
