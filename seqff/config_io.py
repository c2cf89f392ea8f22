"""Settings to and from YAML: strict, so that a typo is an error and not a silent default."""

from __future__ import annotations

import dataclasses
import difflib
import types
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from seqff.config import TrainConfig
from seqff.errors import ConfigError
from seqff.presets import PRESETS

T = TypeVar("T")


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
    """Build a settings dataclass from plain data; what is not named keeps its default.

    Args:
        kind: the dataclass.
        data: a mapping of its field names.
        where: dotted name of this part, for the errors.

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
            close = difflib.get_close_matches(str(key), hints, n=1)
            guess = f"; did you mean '{prefix}{close[0]}'?" if close else f"; known: {', '.join(sorted(hints))}"
            raise ConfigError(f"unknown key '{prefix}{key}'{guess}")
        values[key] = _value(hints[key], value, f"{prefix}{key}")
    return kind(**values)


def _value(hint: Any, value: Any, where: str) -> Any:
    """Check one value against its annotation; lists become tuples, whole numbers floats where floats are due."""
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
        return _value(next(argument for argument in arguments if argument is not type(None)), value, where)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{where} = {value!r}: must be a list")
        if arguments[-1] is not Ellipsis and len(value) != len(arguments):
            raise ConfigError(f"{where} = {value!r}: must have {len(arguments)} values")
        return tuple(_value(arguments[0], item, f"{where}[{place}]") for place, item in enumerate(value))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise ConfigError(f"{where} = {value!r}: must be of type {hint.__name__}, got {type(value).__name__}")


def load_preset(name: str) -> TrainConfig:
    """Return the settings of a published method (see `seqff.presets`).

    Raises:
        ConfigError: no preset of that name.
    """
    if name not in PRESETS:
        close = difflib.get_close_matches(name, PRESETS, n=1)
        guess = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(PRESETS)}"
        raise ConfigError(f"no preset {name!r}; {guess}")
    return PRESETS[name].config


def load_config(path: str | Path, base: TrainConfig | None = None) -> TrainConfig:
    """Read the settings of a training run from YAML.

    Args:
        path: the file.
        base: the settings that what the file does not name keeps; None for the defaults.

    Raises:
        ConfigError: the file is missing, not YAML, or not settings.
    """
    try:
        data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    try:
        return from_dict(TrainConfig, _over(to_dict(base or TrainConfig()), {} if data is None else data))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _over(base: dict[str, Any], data: Any) -> Any:
    """Lay settings over others, part by part; what is not a mapping on both sides is taken as it is given."""
    if not isinstance(data, dict):
        return data
    both = {key: _over(base[key], data[key]) if isinstance(base.get(key), dict) else data[key] for key in data}
    return {**base, **both}


def dump_yaml(data: dict[str, Any]) -> str:
    """Write plain data as YAML, keys in the order given."""
    return yaml.safe_dump(data, sort_keys=False, default_flow_style=None, allow_unicode=True)
