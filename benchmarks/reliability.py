"""Collects what this folder's programs found about reliability, in one file and in docs/reliability.md.

    python benchmarks/reliability.py --untrusted           # runs its hypothesis tests, at length
    python benchmarks/reliability.py --tests               # the tests of claims that tests alone carry
    python benchmarks/reliability.py --json=results/reliability.json
    python benchmarks/reliability.py --print               # the table of that file

Reads --parts (runs/reliability): untrusted.json and tests.json, and kills*.json, corruption*.json,
long_runs.json and hosts.json, as kills.py, corruption.py, long_runs.py and hosts.py write them with
--json. What is not there has no row.
"""

import argparse
import datetime
import json
import re
import subprocess
import sys
from pathlib import Path

from mimic_jax.ops.text import aligned

ROOT = Path(__file__).parent.parent
RESULT = Path('results') / 'reliability.json'
UNTRUSTED = ['-m', 'pytest', 'tests/untrusted_test.py', '-n', '0', '--hypothesis-profile=thorough']
UNTRUSTED += ['--hypothesis-show-statistics']
# Claims that no program counts, and the tests that support them: files, and words of their names.
CLAIMS = {
    'SIGTERM and Ctrl-C': ('interrupt main', 'signal or stopped or run_ends or sigterm'),
    'disk full, forbidden or gone; too many files': ('disk search', 'disk_test or database'),
    'two to four processes on one workdir': ('artifacts pipeline', 'process or holder or builder'),
    'wrong pairing': (
        'logit_cache pipeline',
        'else or other_teachers or another_jax or teacher_does',
    ),
    'numbers not finite or too large': ('numbers logit_cache', 'numbers_test or float16 or finite'),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--parts', type=Path, default=Path('runs') / 'reliability')
    parser.add_argument('--untrusted', action='store_true')
    parser.add_argument('--tests', action='store_true')
    parser.add_argument('--print', action='store_true')
    parser.add_argument('--json', type=Path, default=RESULT)
    arguments = parser.parse_args()
    if arguments.untrusted:
        write(arguments.parts / 'untrusted.json', untrusted())
    elif arguments.tests:
        write(arguments.parts / 'tests.json', tested_claims())
    elif arguments.print:
        print(table(json.loads(arguments.json.read_text())['rows']))
    else:
        result = together(arguments.parts)
        arguments.json.write_text(json.dumps(result, indent=1) + '\n')
        print(table(result['rows']))


def write(path: Path, part: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({**part, 'date': datetime.date.today().isoformat()}, indent=1) + '\n'
    )


def untrusted() -> dict:
    """Runs the tests and counts the cases that hypothesis tried."""
    return {'cases': cases(output(UNTRUSTED)), 'command': ' '.join(['python', *UNTRUSTED])}


def tested_claims() -> dict:
    """Runs the tests of every claim and counts those that passed and that were skipped."""
    found = []
    for name, (files, words) in CLAIMS.items():
        files = [f'tests/{file}_test.py' for file in files.split()]
        text = output(['-m', 'pytest', *files, '-n', '0', '-k', words])
        found.append(
            {'name': name, **{what: counted(text, what) for what in ('passed', 'skipped')}}
        )
        print(found[-1], flush=True)
    return {'claims': found, 'command': 'python benchmarks/reliability.py --tests'}


def output(arguments: list[str]) -> str:
    """The output of a Python process; where it fails, this one ends with that output."""
    process = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True)
    if process.returncode:
        sys.exit(process.stdout)
    return process.stdout


def counted(text: str, what: str) -> int:
    """The number of tests in pytest's last line with an outcome such as 'passed'.  what: the outcome."""
    found = re.findall(rf'(\d+) {what}', text.strip().splitlines()[-1])
    return int(found[0]) if found else 0


def cases(statistics: str) -> int:
    """The examples that passed, by hypothesis's statistics; those it rejected are none."""
    return sum(map(int, re.findall(r'- (\d+) passing', statistics)))


def together(parts: Path) -> dict:
    read = {path.stem: json.loads(path.read_text()) for path in sorted(parts.glob('*.json'))}
    rows = []
    for name, part in read.items():
        for prefix, make in ROWS.items():
            if name.startswith(prefix):
                made = make(part)
                rows += [{**row, 'command': part['command'], 'date': part['date']} for row in made]
    return {'experiment': 'reliability', 'rows': rows, 'parts': summaries(read)}


def summaries(read: dict) -> dict:
    """The parts without the single cases, which are many."""
    long = ('rounds', 'outcomes', 'looks')

    def short(value):
        if isinstance(value, dict):
            return {key: short(item) for key, item in value.items() if key not in long}
        return [short(item) for item in value] if isinstance(value, list) else value

    return {name: short(part) for name, part in read.items()}


def killed(part: dict) -> list[dict]:
    inside = sum(count for phase, count in part['by_phase'].items() if 'inside' in phase)
    same = 'bit-identical to an uninterrupted run' if part['equal'] else 'DIFFERENT'
    return [
        {
            'name': f'SIGKILL, {part["config"]}',
            'tried': f'{part["kills"]} kills, {inside} inside a write',
            'outcome': f'{part["workdirs"]} runs finished, {same}',
        }
    ]


def corrupted(part: dict) -> list[dict]:
    outcome = (
        f'{part["found"]} named with what to do, {part["harmless"]} harmless, '
        f'{part["silent"]} silent, {part["crashed"]} with a traceback'
    )
    of = f': {part["only"].replace(",", ", ")}' if part.get('only') else ''
    return [
        {
            'name': f'files damaged, exchanged or deleted{of}',
            'tried': f'{part["cases"]} cases, {part["kinds"]} kinds of file',
            'outcome': outcome,
        }
    ]


def fed(part: dict) -> list[dict]:
    return [
        {
            'name': 'malformed specs, configs and files',
            'tried': f'{part["cases"]:,} cases',
            'outcome': 'each a line or a right answer',
        }
    ]


def tested(part: dict) -> list[dict]:
    return [
        {
            'name': claim['name'],
            'tried': f'{claim["passed"] + claim["skipped"]} tests',
            'outcome': 'all passed'
            + (f' but {claim["skipped"]} skipped' if claim['skipped'] else ''),
        }
        for claim in part['claims']
    ]


def watched(part: dict) -> list[dict]:
    words = {
        'steps': 'steps, a checkpoint every 20',
        'views': 'cached views',
        'nets': 'students in one process',
    }
    return [
        {
            'name': 'long runs',
            'tried': f'{each["count"]:,} {words[each["name"]]}',
            'outcome': f'memory {each["megabytes_growth"]:+.0f} MB of {each["megabytes"]:,.0f}, '
            f'open files {each["files_growth"]:+.0f} of {each["files"]:.0f}',
        }
        for each in part['parts']
    ]


def shared(part: dict) -> list[dict]:
    def apart(found: dict) -> str:
        numbers = found['differences']
        return ', '.join(f'{phase} {number:.0e}' for phase, number in numbers.items())

    rows = [
        {
            'name': 'several hosts',
            'tried': f'{run["processes"]} processes',
            'outcome': f'logits differ from one process’s by at most: {apart(run)}',
        }
        for run in part['runs']
    ]
    kills = part['killed']['kills']
    stopped = ', '.join(f'{kill["seconds"]:.0f} s' for kill in kills)
    rows.append(
        {
            'name': 'several hosts, one killed',
            'tried': ', then '.join(f'one of {kill["processes"]}' for kill in kills),
            'outcome': f'the others stopped with a line after {stopped}; one process finished: '
            f'{apart(part["killed"])}',
        }
    )
    return rows


ROWS = {
    'kills': killed,
    'corruption': corrupted,
    'untrusted': fed,
    'tests': tested,
    'long_runs': watched,
    'hosts': shared,
}


def table(rows: list[dict]) -> str:
    return aligned([('what', 'how much', 'what came of it'), *(_cells(row) for row in rows)])


def _cells(row: dict) -> tuple[str, str, str]:
    return row['name'], row['tried'], row['outcome']


if __name__ == '__main__':
    main()
