"""`vase-rl COMMAND`: the command line.

Exit status: 0; 2 with one line on standard error for bad input; 130 after Ctrl-C or SIGTERM, with
what was finished left on disk.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
import threading
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

# Nothing heavy up here: `vase-rl --help` must not wait for what it does not use.
from . import manual
from .options import layout
from .parsers import add_commands


class OneLineParser(argparse.ArgumentParser):
    """Reports bad options in one line instead of the whole usage."""

    def error(self, message: str) -> NoReturn:
        """Raise what `main` reports."""
        raise ValueError(f"{message} (see {self.prog} --help)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status.

    Raises:
        SystemExit: after --help and --version.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = argparse.Namespace(out=None)
    try:
        with _terminated_as_interrupted():
            options = build_parser().parse_args(arguments)
            options.run(options, arguments[1:])
    except KeyboardInterrupt:
        place = f"; what was finished is in {options.out}" if options.out else ""
        print(f"vase-rl: interrupted{place}", file=sys.stderr)
        return 130
    except (ValueError, OSError, EOFError, FloatingPointError, zipfile.BadZipFile) as error:
        text = _as_typed(" ".join(str(error).split()), vars(options))
        print(f"vase-rl: {text}", file=sys.stderr)
        return 2
    return 0


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM does what Ctrl-C does: worlds are closed, which may be processes of their own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _as_typed(message: str, arguments: Iterable[str]) -> str:
    """A message whose names of arguments are options: `--data-dir` for `data_dir`.

    What is quoted or part of a path stays as it is.
    """
    for name in arguments:
        if "_" in name:
            option = f"--{name.replace('_', '-')}"
            message = re.sub(rf"(?<![\w/'\"-]){name}(?![\w/'\"])", option, message)
    return message


def build_parser() -> argparse.ArgumentParser:
    """All commands and options."""
    parser = OneLineParser(
        prog="vase-rl",
        description=manual.DESCRIPTION,
        epilog=manual.EXAMPLES,
        formatter_class=layout,
    )
    parser.add_argument("--version", action="version", version=f"vase-rl {_version()}")
    add_commands(parser.add_subparsers(metavar="COMMAND", required=True, title="commands"))
    return parser


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("vase_rl")
    except PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
