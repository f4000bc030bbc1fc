"""Configuration: where it is read from, how it is typed, and what is said when it cannot work.

A source (`yaml_source`) gives a tree of values that know where they stand; environment overrides are laid over it;
pydantic validates it; every fault becomes one line `config.yaml:12: kafka.session_timout: unknown key; ...`.
A fault never shows a value: any of them may be a secret.

For models of your own: `Duration` (a float in seconds) and `Size` (an int in bytes).
"""

from humus.config._load import load
from humus.config._model import Config, HealthSettings, LogLevel, LogSettings
from humus.config._source import Source, YamlSource, yaml_source
from humus.config._units import Duration, Size, parse_duration, parse_size

__all__ = [
    "Config",
    "Duration",
    "HealthSettings",
    "LogLevel",
    "LogSettings",
    "Size",
    "Source",
    "YamlSource",
    "load",
    "parse_duration",
    "parse_size",
    "yaml_source",
]
