"""The command line: `seqff COMMAND ...`; each command is a thin layer over the public function of the same name."""

from __future__ import annotations

import difflib
import importlib
import io
import logging
import sys
from collections.abc import Sequence

from seqff.cli.arguments import options_in, parse
from seqff.cli.stopping import stoppable, stopped
from seqff.errors import SeqffError
from seqff.terminal import Lines, log_line, printable, visible
from seqff.version import __version__

COMMANDS = {
    "demo": "run the whole pipeline on generated clips: the quickest look at what seqff does",
    "doctor": "show versions, available readers, and the speed of decoding and training",
    "scan": "decode a folder of videos once: true frame counts, damage, the exact reader for each",
    "pack": "pack a folder of videos into tar files, which are read in place of the folder",
    "train": "train an encoder on videos, every layer by its own objective",
    "watch": "show the progress of a training: step, speed, time left, metrics of each layer, alarms",
    "extract": "write the features of every layer, trained and untrained, for a folder of videos",
    "export": "write a feature store to one .npz, .safetensors or .parquet file",
    "convert": "export an encoder or a classifier as a torch.export or ONNX file, or a folder for the Hub",
    "probe": "measure with linear probes what each layer's features are worth",
    "evaluate": "train, extract and probe fold by fold: accuracy on videos the encoder has not seen",
    "compare": "compare results in a table and a figure; seeds as mean and standard deviation",
    "similarity": "compare layers, runs and seeds by their features: CKA, RSA, effective rank",
    "search": "find the moments of other videos that are most similar to a given one",
    "cluster": "cluster moments without labels: which video shows what, and when",
    "classify": "classify new videos by the head that a probe fitted",
    "report": "write an HTML page about a run: did it learn, is it healthy, what does each layer see, the cost",
    "config": "list the presets, show the settings of a preset or a run, check a settings file",
    "completion": "print a completion script for bash, zsh or fish",
}

OVERVIEW = """\
usage: seqff COMMAND ... | seqff COMMAND --help | seqff --version

Visual features from folders of unlabeled video: a conv net trained layer by layer,
without gradients between layers.

commands:
{commands}

typical use:
  seqff scan VIDEOS                     (optional: contents and damage of the files)
  seqff train VIDEOS --out RUN          (--dry-run shows the plan; seqff watch RUN the progress)
  seqff extract RUN VIDEOS --out FEATURES
  seqff probe FEATURES --labels folder --out PROBE
  seqff report RUN PROBE --out page.html

exit codes: 0 success, 1 failure (one line says why; --debug shows the traceback),
2 wrong argument, 130 interrupted."""


def options_of(command: str) -> tuple[type, ...]:
    """Return the dataclasses of a command's arguments: one, or one per action (`seqff config show`)."""
    return options_in(importlib.import_module(f"seqff.cli.{command}").Options)


def overview() -> str:
    """Return the output of `seqff --help`."""
    width = max(map(len, COMMANDS))
    return OVERVIEW.format(commands="\n".join(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()))


class _BarHandler(logging.Handler):
    """Writes log lines above the progress bars."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm.auto import tqdm

        tqdm.write(f"seqff: {record.levelname.lower()}: {log_line(record)}", file=sys.stderr)


def say(error: Exception) -> str:
    """Return the line printed for an error; for an unexpected one it tells how to see the traceback."""
    if isinstance(error, FileNotFoundError) and error.filename is not None:
        return f"no such file or folder: {printable(str(error.filename))}"
    if isinstance(error, (SeqffError, ValueError, OSError)):
        (text, *_) = error.args if len(error.args) == 1 or isinstance(error, SeqffError) else (str(error),)
        return visible(text if isinstance(text, Lines) else str(error))
    words = printable(" ".join(str(error).split()))
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return f"out of memory ({words[:200] or 'no more is said'}): smaller batches (pairs.videos_per_batch) need less"
    return f"unexpected {type(error).__name__}: {words[:500]}; this should not happen: --debug shows the trace"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: the words after `seqff`; None uses those of the process.

    Returns:
        The exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for file names and terminals that are not UTF-8
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print(overview())
        return 0 if given else 2
    if given[0] == "--version":
        print(f"seqff {__version__}")
        return 0
    name, rest = given[0], given[1:]
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        guess = f"did you mean '{close[0]}'?" if close else f"commands: {', '.join(COMMANDS)}"
        print(f"seqff: no command {name!r}; {guess}", file=sys.stderr)
        return 2
    debug = "--debug" in rest
    handler = _BarHandler()
    logging.getLogger("seqff").addHandler(handler)
    came: list[str] = []
    parsed = False
    try:
        with stoppable() as came:
            module = importlib.import_module(f"seqff.cli.{name}")
            options = parse(module, name, [argument for argument in rest if argument != "--debug"])
            parsed = True
            return int(module.run(options) or 0)
    except SystemExit as stop:  # tyro has printed an error or the help
        return stop.code if isinstance(stop.code, int) else 2 * (stop.code is not None)
    except BrokenPipeError:  # the reader of our output has closed it
        sys.stdout = None
        return 0
    except KeyboardInterrupt:
        print(stopped(name, came), file=sys.stderr)
        return 130
    except Exception as error:
        if debug:
            raise
        print(f"seqff {name}: error: {say(error)}", file=sys.stderr)
        return 2 if not parsed or type(error) is ValueError else 1  # ours say so of arguments; files have other kinds
    finally:
        logging.getLogger("seqff").removeHandler(handler)
