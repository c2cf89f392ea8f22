"""The reference pages of the site, generated from the code whenever it is built (a hook of mkdocs.yml).

Nothing is written to docs/, so the pages are never older than the code. To print one without a build:
    python tools/make_reference.py settings
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

import yaml
from reference_fields import flag, parts_of, table
from reference_text import escape, fence, members, prose, signature

import seqff
from seqff.cli import COMMANDS, options_of, overview
from seqff.cli.help import walk
from seqff.config import TrainConfig
from seqff.config_io import to_dict
from seqff.presets import PRESETS

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"


def pages() -> dict[str, str]:
    """Return the pages by name, in Markdown."""
    makers = (commands, settings, presets, python, examples)
    return {maker.__name__: maker() for maker in makers}


def on_files(files: Any, config: Any) -> Any:
    """Add the pages to mkdocs, which calls this after it has found the files in docs/."""
    from mkdocs.structure.files import File

    for name, text in pages().items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def on_page_content(html: str, **_: Any) -> str:
    """Mark the words of inline code, so that a line never ends inside a name; mkdocs calls this for every page.

    Blocks of code have an empty span before theirs.
    """

    def marked(found: re.Match[str]) -> str:
        words = (f'<span class="word">{word}</span>' for word in found[1].split(" "))
        return f"<code>{' '.join(words)}</code>"

    return re.sub(r"(?<!<span></span>)<code>([^<]+)</code>", marked, html)


def commands() -> str:
    """Return the page of commands, with their help and flags."""
    parts = ["# Commands", fence(overview())]
    for name, summary in COMMANDS.items():
        parts += [f"## seqff {name}", f"{summary[0].upper()}{summary[1:]}."]
        for options in options_of(name):
            parts += [fence(inspect.getdoc(options) or ""), table(options, "flag", flag)]
    return "\n\n".join(parts) + "\n"


def flags(command: str) -> set[str]:
    """Return every flag of a command, in all spellings (with - or _)."""
    found = {"--help", "--help-all", "--debug", "--quiet"}
    for options in options_of(command):
        for setting in walk(options):
            head, dot, last = setting.name.rpartition(".")
            found |= {f"--{setting.name}", f"--{head}{dot}no_{last}"}
    return found | {name.replace("_", "-") for name in found}


def settings() -> str:
    """Return the page of all settings of a training, by group."""
    parts = [
        "# Settings",
        "All settings of a training, except seed and device. The same names work as flags "
        "(`seqff train videos/ --out RUN --pairs.size-px 96`), in YAML (`--config FILE`, any subset of a run's "
        "`config.yaml`) and in Python (`config={'pairs': {'size_px': 96}}`, or the dataclasses of `seqff.config`). "
        "An unknown name is an error with a suggestion.",
    ]
    for path, kind in parts_of(TrainConfig):
        parts += [f"## {path or 'The run'}" if not path else f"## `{path}`", prose(inspect.getdoc(kind) or "")]
        prefix = f"{path}." if path else ""
        parts.append(table(kind, "setting", lambda setting, prefix=prefix: f"`{prefix}{setting.name}`"))
    return "\n\n".join(parts) + "\n"


def presets() -> str:
    """Return the page of presets, with their changes to the defaults."""
    parts = [
        "# Presets",
        "`seqff train videos/ --out RUN --preset NAME`. Each preset is shown as changes to the defaults, in the "
        "form of `--config`; `--config` and flags override the preset.",
    ]
    plain = to_dict(TrainConfig())
    for name, preset in PRESETS.items():
        changed = difference(to_dict(preset.config), plain)
        text = yaml.safe_dump(changed, sort_keys=False, default_flow_style=None) if changed else "# nothing\n"
        parts += [f"## {name}", escape(f"{preset.text}."), escape(f"Source: {preset.reference}."), fence(text, "yaml")]
    return "\n\n".join(parts) + "\n"


def difference(values: dict[str, Any], plain: dict[str, Any]) -> dict[str, Any]:
    """Return the values that differ from the defaults, nested like the settings."""
    found = {}
    for name, value in values.items():
        if isinstance(value, dict):
            value = difference(value, plain[name])
            if value:
                found[name] = value
        elif value != plain[name]:
            found[name] = value
    return found


def python() -> str:
    """Return the page of public names of the package."""
    parts = ["# Python", "The public names of `seqff`; each command is a function of the same name and arguments."]
    for name in seqff.__all__:
        if name == "__version__":
            continue
        value = getattr(seqff, name)
        parts += [f"## {name}", fence(signature(f"seqff.{name}", value), "python"), prose(inspect.getdoc(value) or "")]
        if inspect.isclass(value) and not issubclass(value, Exception):
            parts.append("\n".join(["**Members**", "", *members(value)]))
    return "\n\n".join(part for part in parts if part) + "\n"


def examples() -> str:
    """Return the page of examples, in full."""
    parts = [
        "# Examples",
        "Each example runs as is, on clips that it generates; the tests run them all. They are in the folder "
        "`examples/`; those marked as notebooks are also in `examples/notebooks/*.ipynb`.",
    ]
    for path in sorted(EXAMPLES.glob("*.py")):
        source = path.read_text(encoding="utf-8")
        mark = " (notebook)" if "\n# %%" in source else ""
        parts += [f"## {path.name}{mark}", fence(source, "python")]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    print(pages()[sys.argv[1]])
