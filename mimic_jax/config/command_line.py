"""The command line: phases and flags, experiments found by name, an error of one line for every mistake."""

import dataclasses
import os
import re
import traceback
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path

import ml_collections

from mimic_jax.config import shipped
from mimic_jax.config.fields import nearest
from mimic_jax.errors import UserError

OF_ALL = ('search', 'teacher', 'logits', 'student', 'baseline', 'evaluate', 'decode', 'report')
PHASES = (
    *('all', *OF_ALL),
    *('plan', 'views', 'rates', 'export', 'predict'),
    *('settings', 'completion', 'verify', 'status', 'clean'),
)
OF_SETTINGS = ('settings', 'completion')  # phases that read a config alone, and no data
OF_WORKDIR = ('verify', 'status', 'clean')  # phases that look at a whole workdir and need no config
READ_BY = {  # flags that some phases alone read
    'student': ('export', 'predict'),
    'format': ('export',),
    'input': ('predict',),
    'output': ('predict', 'views', 'export'),
    'from': ('export',),
    'compile_for': ('plan',),
    'experiments': ('report',),
    'yes': ('clean',),
}

_FLAG = re.compile(r'flag --(?P<name>\S+?)=(?P<value>.*?): (?P<reason>.*)', re.DOTALL)
_CHOICES = re.compile(r'value should be one of <(.*)>')
_NEAR = re.compile(r'Did you mean "(.*?)"')
_KINDS = {
    'invalid literal for int': 'a whole number',
    'could not convert string to float': 'a number',
}


def with_shipped(word: str) -> str:
    """A flag as given, but --config=digits_student names a file.

    The package's own experiments are found from any folder, and a file without its '.py' too.
    """
    name, equals, value = word.partition('=')
    if not equals or name.lstrip('-') != 'config':
        return word
    path, colon, presets = value.partition(':')
    path = shipped.find(os.path.expanduser(path))
    if not Path(path).is_file() and Path(f'{path}.py').is_file():
        path = f'{path}.py'
    return f'{name}={path}{colon}{presets}'


def joined(words: Iterable[str]) -> list[str]:
    """The words of a command, but `--config` and its value as one word, as all else here reads them."""
    found = []
    for word in words:
        if found and found[-1] in ('-config', '--config'):
            found[-1] += f'={word}'
        else:
            found.append(word)
    return found


def unexpected(word: str) -> str:
    """What is wrong with a word that is no flag."""
    known = Path(shipped.find(word.partition(':')[0])).is_file()
    rest = f'say --config={word}' if known else 'every setting is a --flag=value'
    return f'unexpected argument {word!r}; {rest}'


def mistake(error: Exception, words: Iterable[str]) -> str:
    """The line about a mistake in a command or its experiment; '' for a fault of this code."""
    if isinstance(error, UserError | OSError):
        return one_line(error)
    found = _place(error, words)
    if found or isinstance(error, KeyError | AttributeError | ImportError | SyntaxError):
        return f'--config{found}: {one_line(error)}'
    return ''


def _place(error: Exception, words: Iterable[str]) -> str:
    """The line of the experiment's file in which an error arose, as '=FILE, line 3'; '' for others."""
    path = file_of(words)
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if path and frame.filename == path]
    return f'={path}, line {lines[-1]}' if lines else ''


def file_of(words: Iterable[str]) -> str:
    """The file that --config names; '' without one."""
    values = (word.partition('=')[2] for word in words if word.lstrip('-').startswith('config='))
    return next(values, '').partition(':')[0]


def needs_config(flags: Mapping) -> bool:
    """Whether a command is for an experiment, which its flags then name.

    Raises:
      UserError: flags that do not go together, or no experiment.
    """
    phase, given = flags['phase'].value, flags['config'].present
    _check_phase(phase, flags)
    if flags['distributed'].value and (phase in OF_WORKDIR or flags['experiments'].present):
        raise UserError(
            '--distributed is for a run; status, clean, verify and reports together take one process'
        )
    if phase in OF_WORKDIR and not given:
        return False
    name = flags['name'].value
    if name and Path(name).name != name:
        raise UserError(f'--name={name} must be a folder’s name, without a path')
    if flags['experiments'].present:
        if given:
            raise UserError('--experiments takes finished reports; leave --config out')
        return False
    if _is_again(flags):
        return False
    if not given:
        raise UserError(
            'no experiment given; say --config=experiments/digits_student.py, or --help'
        )
    return True


def _check_phase(phase: str, flags: Mapping) -> None:
    """Raises UserError where a flag is given that the phase does not read."""
    for name, phases in READ_BY.items():
        if flags[name].present and phase not in phases:
            *others, last = phases
            named = f'{", ".join(others)} and {last}' if others else last
            raise UserError(f'--{name} is for --phase={named} alone')


def _is_again(flags: Mapping) -> bool:
    """Whether an export is to be written anew, which needs no config.

    Raises:
      UserError: --from without --output or beside --config; an export of a config with --output.
    """
    export, output = flags['from'].present, flags['output'].value
    if export and (flags['config'].present or not output):
        raise UserError('--from takes an export and --output=FOLDER; leave --config out')
    if not export and output and flags['phase'].value == 'export':
        raise UserError(
            '--output is for an export --from another; other exports lie in the workdir'
        )
    return export


def check_config(config: object, path: str) -> None:
    """Raises UserError where a file's `get_config` returns no config."""
    if not isinstance(config, ml_collections.ConfigDict):
        raise UserError(f'--config={path}: get_config must return an ml_collections.ConfigDict')


def check_file(path: str) -> None:
    """Raises UserError where an experiment's file is not there."""
    if not Path(path).is_file():
        raise UserError(f'--config={path}: there is no such file; {shipped.nearest(path)}')


def one_line(error: Exception) -> str:
    """What was wrong with flags or an experiment's file, whoever raised it."""
    while error.args and isinstance(error.args[0], Exception):  # one error wrapped in another
        error = error.args[0]
    missing = isinstance(error, KeyError) and error.args
    text = str(error.args[0]) if missing else str(error)
    flag = _FLAG.fullmatch(text)
    if flag and flag['name'].startswith('config.'):
        return _of_setting(**flag.groupdict())
    choices = flag and _CHOICES.fullmatch(flag['reason'])
    if choices:
        return f'--{flag["name"]}={flag["value"]}: {nearest(flag["value"], choices[1].split("|"))}'
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if missing:  # ml_collections on a misspelt key, which it may follow by 'Did you mean …'
        near = _NEAR.search(text)
        return f'there is no setting {lines[0]}' + (f'; did you mean {near[1]!r}?' if near else '')
    if 'Traceback' in text:  # raised inside the config file: its last line says what
        return re.sub(r'^(ValueError|mimic_jax\.errors\.UserError): ', '', lines[-1])
    return lines[0] if lines else type(error).__name__


def _of_setting(name: str, value: str, reason: str) -> str:
    """What was wrong with the flag of a setting."""
    if 'as a ConfigDict' in reason:
        known = _inside(name)
        if 'kind' in known:
            return f'--{name} is a group of settings; say --{name}.kind={value}'
        return f'--{name} is a group of settings; it has {", ".join(known)}'
    for words, kind in _KINDS.items():
        if words in reason:
            return f'--{name} is {value!r}; it must be {kind}'
    return f'--{name} is {value!r}: {reason.splitlines()[0]}'


def _inside(name: str) -> list[str]:
    """The names of the settings and groups in a group; none where it holds entries by name."""
    from mimic_jax.config.experiment import Experiment

    group = Experiment
    for part in name.split('.')[1:]:
        if dataclasses.is_dataclass(group):
            group = typing.get_type_hints(group)[part]
        else:  # an entry's name
            group = typing.get_args(group)[1]
    if not dataclasses.is_dataclass(group):
        return ['entries by name']
    return [field.name for field in dataclasses.fields(group)]
