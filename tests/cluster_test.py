"""The files for a cluster in docs/scale_out.md, run with programs that stand in for SLURM's."""

import os
import re
import shutil
import subprocess

import pytest
from conftest import ROOT

PAGE = (ROOT / 'docs' / 'scale_out.md').read_text()
BLOCKS = re.findall(r'```bash\n(.*?)```', PAGE.partition('## A cluster')[2], re.DOTALL)
JOBS = {
    name: next(block for block in BLOCKS if words in block and block.startswith('#!'))
    for name, words in (
        ('sweep', '--name=rate_'),
        ('report', '--phase=report'),
        ('hosts', '--distributed=auto'),
        ('search', '--phase=search'),
    )
}


@pytest.fixture
def cluster(tmp_path):
    """Runs a job; returns its status and what was called, a line a program.

    python ends with the status that it is given; srun runs what follows; a venv activates nothing.
    """
    programs = tmp_path / 'programs'
    programs.mkdir()
    stand_ins = {
        'python': 'echo "python $*" >> "$CALLED"\nexit "$ENDS"',
        'srun': 'exec "$@"',
        'scontrol': 'echo "scontrol $*" >> "$CALLED"',
        'sbatch': 'echo "sbatch $*" >> "$CALLED"\necho 17',
    }
    for name, text in stand_ins.items():
        (programs / name).write_text(f'#!/bin/bash\n{text}\n')
        (programs / name).chmod(0o755)
    activate = tmp_path / 'venv' / 'bin' / 'activate'
    activate.parent.mkdir(parents=True)
    activate.write_text('')

    def run(text, ends=0, **variables):
        called = tmp_path / 'called'
        called.write_text('')
        job = tmp_path / 'job.sh'
        job.write_text(text.replace('/shared/venv', str(tmp_path / 'venv')))
        process = subprocess.run(
            ['bash', '-u', str(job)],
            env={
                'PATH': f'{programs}:{os.environ["PATH"]}', 'CALLED': str(called), 'ENDS': str(ends),
                'SLURM_JOB_ID': '4711', **variables,
            },
            capture_output=True,
            text=True,
            timeout=30,
        )  # fmt: skip
        assert process.stderr == ''
        return process.returncode, called.read_text().splitlines()

    return run


@pytest.mark.parametrize(('number', 'rate'), [(0, '0.01'), (1, '0.03'), (2, '0.1')])
def test_each_job_of_the_sweep_has_its_rate(cluster, number, rate):
    status, called = cluster(JOBS['sweep'], SLURM_ARRAY_TASK_ID=str(number))
    assert status == 0
    assert called == [
        f'python -m mimic_jax.main --config=experiments/digits_student.py --name=rate_{rate} '
        f'--workdir=/shared/runs --config.students.mimic.train.learning_rate={rate}'
    ]


@pytest.mark.parametrize('name', ['sweep', 'hosts', 'search'])
def test_a_job_that_was_stopped_goes_back_into_the_queue_and_no_other(cluster, name):
    given = {'SLURM_ARRAY_TASK_ID': '0', 'DATABASE': 'sqlite:///studies'}
    for ends, requeued in ((0, False), (130, True), (2, False)):
        status, (run, *rest) = cluster(JOBS[name], ends, **given)
        assert status == ends, 'afterok depends on it'
        assert run.startswith('python -m mimic_jax.main ')
        assert rest == ['scontrol requeue 4711'] * requeued


@pytest.mark.parametrize('name', ['sweep', 'hosts', 'search'])
def test_jobs_ask_for_time_a_signal_before_its_end_and_a_requeue(name):
    (asked,) = (line for line in JOBS[name].splitlines() if line.startswith('#SBATCH'))
    assert re.search(r'--time=\d\d:00:00 --requeue --signal=TERM@120$', asked)


def test_the_report_waits_for_the_sweep(cluster):
    (submit,) = (block for block in BLOCKS if '--dependency' in block)
    assert cluster(submit) == (
        0, ['sbatch --parsable sweep.sh', 'sbatch --dependency=afterok:17 report.sh']
    )  # fmt: skip
    _, (called,) = cluster(JOBS['report'])
    assert called.endswith(
        '--phase=report --experiments=rate_* --name=rates --workdir=/shared/runs'
    )


def test_the_search_gets_the_database_that_was_exported(cluster):
    (submit,) = (block for block in BLOCKS if 'export DATABASE' in block)
    assert cluster(submit) == (0, ['sbatch search.sh'])
    _, (called,) = cluster(JOBS['search'], DATABASE='postgresql://me@node1/searches')
    assert called.endswith('--config.search.storage=postgresql://me@node1/searches')


@pytest.mark.skipif(shutil.which('shellcheck') is None, reason='shellcheck is not installed')
@pytest.mark.parametrize('block', BLOCKS, ids=range(len(BLOCKS)))
def test_shellcheck_finds_nothing(block):
    process = subprocess.run(
        ['shellcheck', '--shell=bash', '--exclude=SC1091', '-'],
        input=block, capture_output=True, text=True,
    )  # fmt: skip
    assert process.returncode == 0, process.stdout
