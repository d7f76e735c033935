"""Trains deep teachers, writes down their logits, trains shallow mimic students.

  python -m mimic_jax.main --config=FILE.py[:PRESET,PRESET] [--phase=PHASE]

FILE    experiments/digits_student.py takes a minute; its first lines say what
        each file in experiments/ is, and what it takes
PRESET  smoke: a first look, in minutes; small: cut down to a CPU; without one:
        whole.  The file may have others
PHASE   all: search, teacher, logits, student, baseline, evaluate, decode and
        report, as far as the experiment has them and they are not done yet
        export: a student as one file; predict: its answers to --input
        views: the views of a logit cache as arrays in the folder --output
        settings: every setting with its value, default and meaning
        verify: every file of --workdir against its digest

Each setting is a flag too: --config.students.mimic.train.learning_rate=0.01
"""

import functools
import io
import os
import shlex
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path

import ml_collections
from absl import app, flags, logging
from ml_collections import config_flags

from mimic_jax.config import describe, shipped
from mimic_jax.errors import UserError
from mimic_jax.runtime import allocator, files, interrupt, progress
from mimic_jax.runtime.address import without_password

_PHASES = (
    *('all', 'search', 'teacher', 'logits', 'student'),
    *('baseline', 'evaluate', 'decode', 'report'),
    *('views', 'export', 'predict', 'settings', 'verify'),
)

_CONFIG = config_flags.DEFINE_config_file(
    'config', None, 'The experiment, FILE.py or FILE.py:PRESET,PRESET.', lock_config=True
)
_WORKDIR = flags.DEFINE_string('workdir', 'runs', 'Where artifacts and reports are kept.')
_PHASE = flags.DEFINE_enum('phase', 'all', _PHASES, 'What to run.')
_STUDENT = flags.DEFINE_string('student', None, 'Which of config.students to export or predict by.')
_FORMAT = flags.DEFINE_enum('format', 'jax', ('jax', 'onnx'), 'What to export a student as.')
_INPUT = flags.DEFINE_string('input', None, 'What to predict: images, an array, or recordings.')
_OUTPUT = flags.DEFINE_string('output', None, 'Where predictions go, .npz or .csv; or views.')
_NAME = flags.DEFINE_string('name', None, 'The report’s folder, if not the config file’s name.')
_EXPERIMENTS = flags.DEFINE_list('experiments', [], 'Finished experiments to report together.')
_DISTRIBUTED = flags.DEFINE_string(
    'distributed',
    None,
    'One process of several: auto (TPU pods, SLURM, MPI) or HOST:PORT,COUNT,ID.',
)
_READ_BY = {
    'student': ('export', 'predict'),
    'format': ('export',),
    'input': ('predict',),
    'output': ('predict', 'views'),
    'experiments': ('report',),
}


def main(_) -> None:
    allocator.keep_freed_memory()
    if not flags.FLAGS['verbosity'].present:
        # Orbax tells of every file it touches, and at length of every error that it also raises.
        logging.set_verbosity(logging.FATAL)
    command = _command(sys.argv[1:])
    # In reports, which others read, and which hold no bytes that are no text.
    shown = files.printable(_command(map(without_password, sys.argv[1:])))
    interrupt.install()
    if isinstance(sys.stdout, io.TextIOWrapper):  # on any terminal, a class may have any name
        sys.stdout.reconfigure(errors='backslashreplace')
    try:
        if _DISTRIBUTED.value:
            _join()
        if _PHASE.value == 'settings':
            print(describe.values(_CONFIG.value))
        elif _PHASE.value == 'verify':
            _verify()
        elif flags.FLAGS['experiments'].present:
            _gather(shown)
        else:
            _run(shown)
    except UserError as error:
        _stop(2, f'error: {error}')
    except interrupt.Interrupted:
        _stop(130, f'stopped; nothing is lost. To go on: {command}')
    except BrokenPipeError:  # whoever read the output has read enough
        os._exit(141)
    except OSError as error:
        where = error.filename or _WORKDIR.value
        reason = error.strerror or error
        _stop(2, f'error: {where}: {reason}; make room or access for it and run again')
    except Exception as error:
        if not _DISTRIBUTED.value:
            raise
        _stop_one_of_several(error)
    if _DISTRIBUTED.value:
        _leave()


def _command(arguments: Iterable[str]) -> str:
    return shlex.join(['python', '-m', 'mimic_jax.main', *arguments])


def _join() -> None:
    from mimic_jax.runtime import hosts

    if _PHASE.value == 'verify' or flags.FLAGS['experiments'].present:
        raise UserError('--distributed is for a run; verify and reports together take one process')
    hosts.initialize(_DISTRIBUTED.value)


def _leave() -> None:
    from mimic_jax.runtime import hosts

    hosts.finish()


def _stop_one_of_several(error: Exception) -> None:
    """Ends a process at once: one that waits for the others to leave, who wait for it, never would."""
    from mimic_jax.runtime import hosts

    if not hosts.is_lost(error):
        traceback.print_exception(error)
        _stop(1, f'error: {type(error).__name__} in process {hosts.process()}')
    _stop(3, f'error: process {hosts.process()}: {hosts.LOST}')


def _run(command: str) -> None:
    from mimic_jax import pipeline
    from mimic_jax.artifacts import source
    from mimic_jax.runtime import compiled

    compiled.keep()
    source.look_beside(_file())
    pipeline.run(
        _CONFIG.value,
        workdir=files.expand(_WORKDIR.value),
        experiment=_experiment(),
        phase=_PHASE.value,
        command=command,
        student_name=_STUDENT.value or '',
        file_format=_FORMAT.value,
        source=_path(_INPUT.value),
        output=_path(_OUTPUT.value),
    )


def _path(flag: str | None) -> str:
    return str(files.expand(flag)) if flag else ''


def _verify() -> None:
    from mimic_jax.artifacts import verify

    watch = functools.partial(progress.Progress().count, 'checking artifacts')
    if not verify.run(files.expand(_WORKDIR.value), watch=watch):
        sys.exit(1)


def _gather(command: str) -> None:
    from mimic_jax.reporting import gather

    workdir = files.expand(_WORKDIR.value)
    print(gather.run(workdir, _EXPERIMENTS.value, command))
    print(workdir / 'report.md')


def _parse(argv: list[str]) -> list[str]:
    """Flags, with every mistake in them as one line."""
    try:
        rest = flags.FLAGS([_with_shipped(word) for word in argv])
        if rest[1:]:
            raise UserError(f'unexpected argument {rest[1]!r}; every setting is a --flag=value')
        for name, phases in _READ_BY.items():
            if flags.FLAGS[name].present and _PHASE.value not in phases:
                raise UserError(f'--{name} is for --phase={" and ".join(phases)} alone')
        if _PHASE.value == 'verify' and not flags.FLAGS['config'].present:
            return rest  # which looks at a whole workdir
        if flags.FLAGS['experiments'].present:
            if flags.FLAGS['config'].present:
                raise UserError('--experiments takes finished reports; leave --config out')
            return rest
        if _NAME.value and Path(_NAME.value).name != _NAME.value:
            raise UserError(f'--name={_NAME.value} must be a folder’s name, without a path')
        if not flags.FLAGS['config'].present:
            raise UserError('no experiment given; say --config=experiments/digits_student.py')
        path = Path(_file())
        if not path.is_file():
            raise UserError(
                f'--config={path}: there is no such file; there are {", ".join(shipped.names())}'
            )
        config = _CONFIG.value  # a file that could not be loaded fails here
        if not isinstance(config, ml_collections.ConfigDict):
            raise UserError(f'--config={path}: get_config must return an ml_collections.ConfigDict')
    except (flags.Error, UserError, OSError) as error:
        _fail(_one_line(error))
    except (KeyError, AttributeError, ImportError, SyntaxError) as error:
        _fail(f'--config: {_one_line(error)}')
    return rest


def _experiment() -> str:
    """The report's folder: --name, or the config file's stem and the presets, joined by '_'."""
    if _NAME.value:
        return _NAME.value
    presets = flags.FLAGS['config'].config_filename.partition(':')[2]
    return shipped.experiment_name(_file(), presets)


def _file() -> str:
    return flags.FLAGS['config'].config_filename.partition(':')[0]


def _with_shipped(word: str) -> str:
    """A flag as given, but --config=experiments/… finds the package's own files from anywhere."""
    name, equals, value = word.partition('=')
    if not equals or name.lstrip('-') != 'config':
        return word
    path, colon, presets = value.partition(':')
    return f'{name}={shipped.find(os.path.expanduser(path))}{colon}{presets}'


def _one_line(error: Exception) -> str:
    while error.args and isinstance(error.args[0], Exception):  # one error wrapped in another
        error = error.args[0]
    missing = isinstance(error, KeyError) and error.args
    text = str(error.args[0]) if missing else str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if missing:  # ml_collections on a misspelt key, which it may follow by 'Did you mean …'
        hints = [f'; {line[0].lower()}{line[1:]}' for line in lines if line.startswith('Did you')]
        return f'there is no setting {lines[0]}' + ''.join(hints)
    if 'Traceback' in text:  # raised inside the config file: its last line says what
        return lines[-1].removeprefix('ValueError: ')
    return lines[0] if lines else type(error).__name__


def _stop(status: int, message: str) -> None:
    """Ends the process at once: threads that still write, or wait for a disk, would hold it up."""
    if _DISTRIBUTED.value:
        _leave()
    sys.stdout.flush()
    print(message, file=sys.stderr, flush=True)
    os._exit(status)


def _fail(message: str) -> None:
    print(f'error: {message}', file=sys.stderr, flush=True)
    sys.exit(2)


if __name__ == '__main__':
    app.run(main, flags_parser=_parse)
