"""Settings to and from YAML: strict, so that a typo is an error and not a silent default."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import os
import re
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from seqff.config import TrainConfig
from seqff.errors import ConfigError, RunError
from seqff.files import not_there
from seqff.presets import PRESETS
from seqff.untrusted import MOST_YAML_BYTES, check_plain, parse_yaml, read_plain

T = TypeVar("T")
Settings: TypeAlias = "TrainConfig | Mapping[str, Any] | str | os.PathLike[str]"
"""All settings, or only changes to the defaults: a nested mapping, a YAML file or a run folder."""
CONFIG = "config.yaml"
_EXPONENT = re.compile(r"[-+]?\d+e[-+]?\d+", re.IGNORECASE)
"""Numbers that YAML 1.1 reads as strings, because they lack a point: 2e-3."""
RUN_ONLY = ("seed", "init")
"""Entries of a run's config.yaml that are not settings: the seed and the initial encoder."""


def to_dict(config: Any) -> dict[str, Any]:
    """Turn a settings dataclass into plain dicts, lists and numbers."""
    plain: dict[str, Any] = {}
    for spec in dataclasses.fields(config):
        value = getattr(config, spec.name)
        if dataclasses.is_dataclass(value):
            value = to_dict(value)
        plain[spec.name] = list(value) if isinstance(value, tuple) else value
    return plain


def from_dict(kind: type[T], data: Any, where: str = "") -> T:
    """Build a settings dataclass from plain data; missing fields keep their defaults.

    Args:
        kind: the dataclass.
        data: a mapping of its field names.
        where: dotted name of this part, for error messages.

    Raises:
        ConfigError: unknown key (with a suggestion) or a value of the wrong type.
    """
    if not isinstance(data, dict):
        raise ConfigError(f"{where or 'the configuration'} must be a mapping of names to values, got {data!r}")
    hints = get_type_hints(kind)
    prefix = f"{where}." if where else ""
    values: dict[str, Any] = {}
    for key, value in data.items():
        if key not in hints:
            elsewhere = [] if where else [name for name in names_of(kind) if name.rpartition(".")[2] == key]
            guess = f"did you mean '{elsewhere[0]}'?" if elsewhere else suggest(str(key), hints, prefix)
            raise ConfigError(f"unknown key '{prefix}{key}'; {guess}")
        values[key] = _value(hints[key], value, f"{prefix}{key}")
    return kind(**values)


def names_of(kind: Any, prefix: str = "") -> list[str]:
    """Return the dotted names of all settings in a dataclass and those nested in it."""
    names: list[str] = []
    for name, hint in get_type_hints(kind).items():
        names += names_of(hint, f"{prefix}{name}.") if dataclasses.is_dataclass(hint) else [f"{prefix}{name}"]
    return names


def suggest(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Suggest a known name for an unknown one."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{prefix}{close[0]}'?" if close else f"known: {', '.join(known)}"


def _value(hint: Any, value: Any, where: str) -> Any:
    """Check one value against its annotation; lists become tuples, and integers become floats where needed."""
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value, where)  # type: ignore[arg-type]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value in arguments:
            return value
        raise ConfigError(f"{where} = {value!r}: choose from {', '.join(map(str, arguments))}")
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _any_of([argument for argument in arguments if argument is not type(None)], value, where)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{where} = {value!r}: must be a list")
        if arguments[-1] is not Ellipsis and len(value) != len(arguments):
            raise ConfigError(f"{where} = {value!r}: must have {len(arguments)} values")
        return tuple(_value(arguments[0], item, f"{where}[{place}]") for place, item in enumerate(value))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is float and isinstance(value, str) and _EXPONENT.fullmatch(value):
        return float(value)
    if isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise ConfigError(f"{where} = {value!r}: must be of type {hint.__name__}, got {type(value).__name__}")


def _any_of(hints: list[Any], value: Any, where: str) -> Any:
    """Check one value against several annotations, and use the first that matches."""
    if len(hints) == 1:
        return _value(hints[0], value, where)
    for hint in hints:
        with contextlib.suppress(ConfigError):
            return _value(hint, value, where)
    choices = [word for hint in hints for word in _words(hint)]
    raise ConfigError(f"{where} = {value!r}: must be {', '.join(choices[:-1])} or {choices[-1]}")


def _words(hint: Any) -> list[str]:
    """Describe the values that an annotation allows."""
    if get_origin(hint) is Literal:
        return [str(choice) for choice in get_args(hint)]
    if get_origin(hint) is tuple:
        return ["a list of numbers"]
    return [{int: "a whole number", float: "a number", str: "text"}.get(hint, f"of type {hint.__name__}")]


def load_preset(name: str) -> TrainConfig:
    """Return the settings of a published method (see `seqff.presets`).

    Raises:
        ConfigError: there is no such preset.
    """
    if name not in PRESETS:
        raise ConfigError(f"no preset {name!r}; {suggest(name, PRESETS)}")
    return PRESETS[name].config


def load_settings(config: Settings | None = None, preset: str = "default", *, steps: int | None = None) -> TrainConfig:
    """Return the settings of a training.

    Args:
        config: all settings; or changes to the preset, as a mapping such as `{"pairs": {"size_px": 96}}` or as the path
            of a YAML file or run folder. None for the preset alone.
        preset: name of a published method (`seqff.presets`), "default" for none.
        steps: overrides the number of steps in the settings.

    Raises:
        ConfigError: no such preset or setting (with a suggestion), a value of the wrong type, or no such file.
        TypeError: `config` is something else.
        ValueError: a preset together with a TrainConfig, which is already complete.
    """
    base = load_preset(preset)
    if isinstance(config, TrainConfig):
        if preset != "default":
            raise ValueError(
                f"a TrainConfig contains all settings: leave preset={preset!r} out, or give a mapping as config"
            )
        base = config
    elif isinstance(config, (str, os.PathLike)):
        base = load_config(config, base)
    elif isinstance(config, Mapping):
        base = overlaid(base, config)
    elif config is not None:
        raise TypeError(f"config must be a TrainConfig, a mapping or the path of a YAML file, got {config!r}")
    return base if steps is None else dataclasses.replace(base, steps=steps)


def seed_of(config: object, seed: int | None, init: object) -> int:
    """Return the seed of a training: the given one, else that of the run that `config` names, else 0.

    Raises:
        ConfigError: the file cannot be read.
        ValueError: that run started from a custom encoder, and no `init` is given.
    """
    known = load_run_only(config) if isinstance(config, (str, os.PathLike)) else {}
    if "init" in known and init is None:
        raise ValueError(f"{config} belongs to a run that started from a custom encoder: give it by --init (init=)")
    return int(known.get("seed", 0)) if seed is None else seed


def config_file(path: str | os.PathLike[str]) -> Path:
    """Return the settings file: the path itself, or config.yaml in a run folder."""
    return Path(path, CONFIG) if Path(path).is_dir() else Path(path)


def load_config(path: str | os.PathLike[str], base: TrainConfig | None = None) -> TrainConfig:
    """Read the settings of a training run from YAML.

    Args:
        path: the file, or a run folder. Entries that are not settings (`RUN_ONLY`) are ignored.
        base: settings for everything the file does not set; None for the defaults.

    Raises:
        ConfigError: the file is missing, not YAML, or contains no valid settings.
    """
    path = config_file(path)
    data = read_yaml(path)
    if isinstance(data, dict):
        data = {key: value for key, value in data.items() if key not in RUN_ONLY}
    try:
        return overlaid(base or TrainConfig(), {} if data is None else data)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def overlaid(config: TrainConfig, data: Any) -> TrainConfig:
    """Return settings updated recursively: `{"pairs": {"size_px": 96}}` changes only the size.

    Raises:
        ConfigError: unknown key or a value of the wrong type.
    """
    return from_dict(TrainConfig, _over(to_dict(config), data))


def load_run_only(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the entries of a run's config.yaml that are not settings (`RUN_ONLY`); empty for a plain settings file.

    Raises:
        ConfigError: the file is missing or not YAML, or the seed is not an integer.
    """
    path = config_file(path)
    data = read_yaml(path)
    found = {name: data[name] for name in RUN_ONLY if name in data} if isinstance(data, dict) else {}
    if type(seed := found.get("seed", 0)) is not int:
        raise ConfigError(f"{path}: seed = {seed!r}: must be of type int, got {type(seed).__name__}")
    return found


def read_run_config(run: Path) -> dict[str, Any]:
    """Read config.yaml of a run as plain data, since a run of another version may have unknown settings.

    Raises:
        RunError: the file is missing or damaged, or the folder contains anything but regular files.
    """
    file = run / CONFIG
    if not file.is_file():
        raise RunError(f"{not_there(run, CONFIG)}; a run folder is what `seqff train --out` writes")
    check_plain(run)
    try:
        content = read_yaml(file)
    except ConfigError as error:
        raise RunError(f"{error}; the run folder is damaged") from error
    if not isinstance(content, dict):
        raise RunError(f"{file}: damaged (it holds no settings)")
    return content


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings by their dotted names."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def read_yaml(path: str | Path) -> Any:
    """Read a YAML file.

    Raises:
        ConfigError: the file is missing or not YAML.
    """
    try:
        text = read_plain(Path(path), MOST_YAML_BYTES).decode()
    except (OSError, ValueError) as error:
        why = "no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise ConfigError(f"{path}: cannot be read ({why})") from error
    try:
        return parse_yaml(text)
    except ValueError as error:
        raise ConfigError(f"{path}: not YAML: {error}") from error


def _over(base: dict[str, Any], data: Any) -> Any:
    """Merge settings recursively; anything but two mappings is replaced."""
    if dataclasses.is_dataclass(data):
        return to_dict(data)
    if not isinstance(data, Mapping):
        return data
    both = {key: _over(base[key], data[key]) if isinstance(base.get(key), dict) else data[key] for key in data}
    return {**base, **both}


def dump_yaml(data: dict[str, Any]) -> str:
    """Return plain data as YAML, in the given order of keys."""
    return yaml.safe_dump(data, sort_keys=False, default_flow_style=None, allow_unicode=True)
