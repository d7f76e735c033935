"""Trains deep teachers, writes down their logits, trains shallow mimic students.

  python -m mimic_jax.main --config=FILE.py[:PRESET,PRESET] [--phase=PHASE]

FILE    experiments/digits_student.py takes a minute.  --config=FILE --help
        prints what an experiment is, what it takes, and its presets
PRESET  another size or variant, where the experiment has some
PHASE   all: search, teacher, logits, student, baseline, evaluate, decode and
        report, as far as the experiment has them and they are not done yet
        plan: what all would make and what it takes, before it is computed
        export: a student as one file; predict: its answers to --input
        views: the views of a logit cache as arrays in the folder --output
        rates: the largest stable learning rate of each net, and short trials
        settings: every setting with its value, default and meaning
        completion: a line for bash, after which Tab completes settings
        verify: every file of --workdir against its digest
        status: what lies in --workdir, and which experiment made it
        clean: what no report refers to; with --yes, deletes it

Each setting is a flag too: --config.students.mimic.train.learning_rate=0.01
"""

import functools
import os
import sys
import traceback

from mimic_jax.runtime import interrupt

if __name__ == '__main__':  # the imports below take a moment, in which Ctrl-C may come
    interrupt.leave_at_once()

from absl import app, flags, logging
from ml_collections import config_flags

from mimic_jax.config import command_line, shipped, usage
from mimic_jax.errors import UserError
from mimic_jax.runtime import allocator, console, files
from mimic_jax.runtime.address import without_password

_CONFIG = config_flags.DEFINE_config_file(
    'config', None, 'The experiment, FILE.py or FILE.py:PRESET,PRESET.', lock_config=True
)
_WORKDIR = flags.DEFINE_string('workdir', 'runs', 'Where artifacts and reports are kept.')
_PHASE = flags.DEFINE_enum('phase', 'all', command_line.PHASES, 'What to run.')
_STUDENT = flags.DEFINE_string('student', None, 'Which of config.students to export or predict by.')
_FORMAT = flags.DEFINE_enum('format', 'jax', ('jax', 'onnx'), 'What to export a student as.')
_INPUT = flags.DEFINE_string('input', None, 'What to predict: images, an array, or recordings.')
_OUTPUT = flags.DEFINE_string('output', None, 'Where predictions, views or an export go.')
_NAME = flags.DEFINE_string('name', None, 'The report’s folder, if not the config file’s name.')
_FROM = flags.DEFINE_string('from', None, 'An export to write anew, without its workdir.')
_COMPILE_FOR = flags.DEFINE_string('compile_for', None, 'Chips to plan for, as tpu:v5e:2x4.')
_EXPERIMENTS = flags.DEFINE_list('experiments', [], 'Finished experiments to report together.')
_YES = flags.DEFINE_bool('yes', False, 'Delete what --phase=clean lists.')
_VERSION = flags.DEFINE_bool('version', False, 'Print the versions of mimic_jax, Python and jax.')
_HOSTS = 'One process of several: auto (TPU pods, SLURM, MPI) or HOST:PORT,COUNT,ID.'
_DISTRIBUTED = flags.DEFINE_string('distributed', None, _HOSTS)


def main(_) -> None:
    allocator.keep_freed_memory()
    if not flags.FLAGS['verbosity'].present:
        # Orbax logs every file that it touches, and at length every error that it raises.
        logging.set_verbosity(logging.FATAL)
    # Reports hold this command and go to others: without passwords, and as text.
    shown = files.printable(interrupt.command(map(without_password, sys.argv[1:])))
    interrupt.leave_at_once()  # until a run begins, nothing is written that a stop could harm
    console.accept_any_text()
    try:
        if _DISTRIBUTED.value:
            interrupt.install()
            _hosts().initialize(_DISTRIBUTED.value)
        if _PHASE.value in command_line.OF_SETTINGS:
            _print_settings()
        elif _PHASE.value in command_line.OF_WORKDIR:
            _of_workdir()
        elif flags.FLAGS['experiments'].present:
            _gather(shown)
        elif _FROM.value:
            _export_again()
        else:
            _run(shown)
    except UserError as error:
        _stop(2, f'error: {error}')
    except interrupt.Interrupted:
        _stop(130, interrupt.how_to_go_on())
    except BrokenPipeError:  # whoever read the output has read enough
        os._exit(141)
    except OSError as error:
        where = f'{error.filename or _WORKDIR.value}: {error.strerror or error}'
        _stop(2, f'error: {where}; make room or access for it and run again')
    except Exception as error:
        if not _DISTRIBUTED.value:
            raise
        _stop_one_of_several(error)
    if _DISTRIBUTED.value:
        _hosts().finish()


def _hosts():
    """The module of several hosts, which loads jax."""
    from mimic_jax.runtime import hosts

    return hosts


def _stop_one_of_several(error: Exception) -> None:
    """Ends a process at once. An orderly end would wait for the others, which wait for this one."""
    hosts = _hosts()
    if not hosts.is_lost(error):
        traceback.print_exception(error)
        _stop(1, f'error: {type(error).__name__} in process {hosts.process()}')
    _stop(3, f'error: process {hosts.process()}: {hosts.LOST}')


def _run(command: str) -> None:
    workdir, experiment = files.expand(_WORKDIR.value), _experiment()
    if sys.stderr.isatty():  # jax takes seconds to load, in which nothing else is shown
        files.say(f'{experiment}: artifacts and report in {workdir}')
    from mimic_jax import pipeline
    from mimic_jax.artifacts import source
    from mimic_jax.runtime import compiled

    compiled.keep()
    source.look_beside(_file())
    if not _DISTRIBUTED.value:
        interrupt.install()
    pipeline.run(
        _CONFIG.value,
        workdir=workdir,
        experiment=experiment,
        phase=_PHASE.value,
        command=command,
        student_name=_STUDENT.value or '',
        file_format=_FORMAT.value,
        source=_path(_INPUT.value),
        output=_path(_OUTPUT.value),
        compile_for=_COMPILE_FOR.value or '',
    )


def _path(flag: str | None) -> str:
    return str(files.expand(flag)) if flag else ''


def _print_settings() -> None:
    from mimic_jax.config import describe

    if _PHASE.value == 'completion':
        print(usage.completion(_CONFIG.value, _own()))
    else:
        print(describe.values(_CONFIG.value, console.width()))


def _own() -> list[flags.Flag]:
    """This command's flags, without those of absl and of libraries."""
    return flags.FLAGS.get_key_flags_for_module(sys.modules[__name__])


def _of_workdir() -> None:
    """Looks at a whole workdir, whichever experiments made it."""
    from mimic_jax.artifacts import verify
    from mimic_jax.reporting import inventory
    from mimic_jax.runtime.progress import Progress

    workdir = files.expand(_WORKDIR.value)
    if _PHASE.value == 'status':
        print(inventory.status(workdir, console.width()))
    elif _PHASE.value == 'clean':
        inventory.clean(workdir, _YES.value)
    elif not verify.run(workdir, watch=functools.partial(Progress().count, 'checking artifacts')):
        sys.exit(1)


def _export_again() -> None:
    from mimic_jax.export import lasting

    print(lasting.again(files.expand(_FROM.value), files.expand(_OUTPUT.value), _FORMAT.value))


def _gather(command: str) -> None:
    from mimic_jax.reporting import gather, terminal

    workdir, name = files.expand(_WORKDIR.value), _NAME.value or ''
    columns = console.width()
    print(gather.run(workdir, _EXPERIMENTS.value, command, name, columns))
    print(terminal.pages(workdir / name, gather.PAGES, columns))


def _parse(argv: list[str]) -> list[str]:
    """Flags, with every mistake in them as one line."""
    try:
        argv = [command_line.with_shipped(word) for word in command_line.joined(argv)]
        if usage.asks_for_help(argv):
            print(usage.help_for(argv, __doc__, _own(), console.width()))
            sys.exit(0)
        rest = flags.FLAGS(argv)
        if _VERSION.value:
            print(usage.versions())
            sys.exit(0)
        if rest[1:]:
            raise UserError(command_line.unexpected(rest[1]))
        if command_line.needs_config(flags.FLAGS):
            command_line.check_file(_file())
            # A file that cannot be loaded fails here.
            command_line.check_config(_CONFIG.value, _file())
    except flags.Error as error:
        _fail(command_line.one_line(error))
    except Exception as error:
        mistake = command_line.mistake(error, argv)
        if not mistake:
            raise
        _fail(mistake)
    return rest


def _experiment() -> str:
    """The report's folder: --name, or the config file's stem and the presets, joined by '_'."""
    if _NAME.value:
        return _NAME.value
    presets = flags.FLAGS['config'].config_filename.partition(':')[2]
    return shipped.experiment_name(_file(), presets)


def _file() -> str:
    return flags.FLAGS['config'].config_filename.partition(':')[0]


def _stop(status: int, message: str) -> None:
    """Ends the process at once: threads that still write, or wait for a disk, would hold it up."""
    if _DISTRIBUTED.value:
        _hosts().finish()
    sys.stdout.flush()
    print(message, file=sys.stderr, flush=True)
    os._exit(status)


def _fail(message: str) -> None:
    print(f'error: {message}', file=sys.stderr, flush=True)
    sys.exit(2)


def run() -> None:
    """The command `mimic_jax`."""
    app.run(main, flags_parser=_parse)


if __name__ == '__main__':
    run()
