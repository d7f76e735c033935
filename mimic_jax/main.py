"""The command line: flags, then one call.

python -m mimic_jax.main --config=experiments/digits_student.py
"""

import os
import shlex
import sys
from pathlib import Path

import ml_collections
from absl import app, flags, logging
from ml_collections import config_flags

from mimic_jax import allocator, interrupt
from mimic_jax.errors import UserError

_PHASES = (
    *('all', 'search', 'teacher', 'logits', 'student'),
    *('baseline', 'evaluate', 'decode', 'report'),
)

_CONFIG = config_flags.DEFINE_config_file(
    'config', None, 'The experiment, FILE.py or FILE.py:PRESET,PRESET.', lock_config=True
)
_WORKDIR = flags.DEFINE_string('workdir', 'runs', 'Where artifacts and reports are kept.')
_PHASE = flags.DEFINE_enum('phase', 'all', _PHASES, 'What to run.')


def main(_) -> None:
    allocator.keep_freed_memory()
    from mimic_jax import pipeline  # jax takes seconds to import; --help should not

    if not flags.FLAGS['verbosity'].present:
        logging.set_verbosity(logging.WARNING)  # Orbax tells of every file it touches
    command = shlex.join(['python', '-m', 'mimic_jax.main', *sys.argv[1:]])
    interrupt.install()
    try:
        pipeline.run(
            _CONFIG.value,
            workdir=Path(_WORKDIR.value),
            experiment=_experiment(),
            phase=_PHASE.value,
            command=command,
        )
    except UserError as error:
        _fail(str(error))
    except interrupt.Interrupted:
        print(f'stopped; nothing is lost. To go on: {command}', file=sys.stderr, flush=True)
        os._exit(130)  # at once: threads that still write would hold the exit up
    except OSError as error:
        where = f'{error.filename}: ' if error.filename else ''
        _fail(f'{where}{error.strerror or error}; make room or access for it and run again')


def _parse(argv: list[str]) -> list[str]:
    """Flags, with every mistake in them as one line."""
    try:
        rest = flags.FLAGS(argv)
        if rest[1:]:
            raise UserError(f'unexpected argument {rest[1]!r}; every setting is a --flag=value')
        if not flags.FLAGS['config'].present:
            raise UserError('no experiment given; say --config=experiments/digits_student.py')
        path = Path(_file())
        if not path.is_file():
            raise UserError(f'--config={path}: there is no such file')
        config = _CONFIG.value  # a file that could not be loaded fails here
        if not isinstance(config, ml_collections.ConfigDict):
            raise UserError(f'--config={path}: get_config must return an ml_collections.ConfigDict')
    except (flags.Error, UserError, OSError) as error:
        _fail(_one_line(error))
    except (KeyError, AttributeError, ImportError, SyntaxError) as error:
        _fail(f'--config: {_one_line(error)}')
    return rest


def _experiment() -> str:
    """The report's folder: the config file's stem and the presets, joined by '_'."""
    presets = flags.FLAGS['config'].config_filename.partition(':')[2]
    return '_'.join([Path(_file()).stem, *filter(None, presets.split(','))])


def _file() -> str:
    return flags.FLAGS['config'].config_filename.partition(':')[0]


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


def _fail(message: str) -> None:
    print(f'error: {message}', file=sys.stderr, flush=True)
    sys.exit(2)


if __name__ == '__main__':
    app.run(main, flags_parser=_parse)
