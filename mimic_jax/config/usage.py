"""The command's help, its versions, and completion for bash."""

import ast
import importlib.metadata
import platform
import runpy
import shlex
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import ml_collections

from mimic_jax import __version__
from mimic_jax.config import shipped
from mimic_jax.config.command_line import PHASES, check_file, file_of
from mimic_jax.ops.text import narrowed


def asks_for_help(words: Iterable[str]) -> bool:
    return any(word in ('-h', '-help', '--help') for word in words)


def help_for(words: Iterable[str], about: str, flags: Iterable, columns: int | None = None) -> str:
    """What --help prints: about an experiment where --config names one, or else about the command.

    about: the command's own text.  flags: its absl flags.  columns: of the terminal, if it is for one.

    Raises:
      UserError: the experiment's file is not there.
    """
    path = file_of(words)
    if not path:
        return '\n'.join([about, 'Flags:', *map(_flag, flags)])
    check_file(path)
    text = ast.get_docstring(ast.parse(Path(path).read_text())) or 'It has no docstring.'
    names = list(runpy.run_path(path).get('PRESETS', ()))
    presets = f'Presets: {"; ".join(names)}' if names else 'It has no presets.'
    said = f'{text}\n\n{textwrap.fill(presets, 79, break_on_hyphens=False)}'
    return said if columns is None else narrowed(said, columns)


def versions() -> str:
    jax = importlib.metadata.version('jax')  # jax itself is slow to import
    return f'mimic_jax {__version__}, Python {platform.python_version()}, jax {jax}'


def completion(config: Mapping, flags: Iterable) -> str:
    """A line of bash, after which Tab completes phases, experiments, flags and the settings of a config."""
    experiments = [Path(name).stem for name in shipped.names()]
    named = [f'--{flag.name}' + '=' * (not flag.boolean) for flag in flags]
    words = [*PHASES, *experiments, '--help', *named, *_settings(config, '--config')]
    return f'complete -o nospace -W {shlex.quote(" ".join(words))} mimic_jax'


def _settings(group: Mapping, path: str) -> Iterator[str]:
    """The flags of all settings in a group, as they are typed before their values."""
    for name, value in group.items():
        if isinstance(value, ml_collections.ConfigDict):
            yield from _settings(value, f'{path}.{name}')
        else:
            yield f'{path}.{name}='


def _flag(flag) -> str:
    """A flag with its meaning and default, in lines of 79 characters."""
    default = '' if flag.default in (None, [], False) else f' (default: {flag.default})'
    text = f'--{flag.name}: {flag.help}{default}'.replace('|', ', ')
    return textwrap.fill(text, 79, initial_indent='  ', subsequent_indent='    ')
