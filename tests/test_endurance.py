"Many studies in one process: its memory stays, and no kernel, open file or temporary folder is left."

import json
import os
import subprocess
import sys

import pytest
from studies import gone, project, temporary_files, toys

SCRIPT = '''import gc, io, json, os, sys
from pathlib import Path
import psutil
from rich.console import Console
from recsys_nb.study import run_study
root = Path(sys.argv[1])
times = int(sys.argv[2])
asked = dict(only=sys.argv[3].split(','), root=root, profiles=json.loads(sys.argv[4]))
me = psutil.Process()
for i in range(times):
    code = run_study(study=f's{i}', profile='tiny', console=Console(file=io.StringIO()), **asked)
    gc.collect()
    found = dict(code=code, mb=me.memory_info().rss / 1e6, files=me.num_fds(), threads=me.num_threads())
    print(json.dumps(found | dict(children=len(me.children(recursive=True)))), flush=True)
'''


def endure(folder, tmp_path, times, only, profiles):
    "Studies one after another; what was measured after each."
    temporary = tmp_path / 'tmp'
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, '-c', SCRIPT, str(folder), str(times), only, json.dumps(profiles)],
        capture_output=True,
        text=True,
        timeout=3600,
        env=os.environ | {'TMPDIR': str(temporary)},
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [f['code'] for f in found] == [0] * times and gone(folder)
    assert list(temporary.iterdir()) == [] and temporary_files(folder / 'reports') == []
    for key in ('files', 'threads', 'children'):
        assert found[-1][key] <= found[0][key], (key, [f[key] for f in found])
    return found


def test_three_studies_leave_nothing(tmp_path, record):
    profiles = {'tiny': {'*': dict(data='simulated:tiny')}}
    found = endure(toys(tmp_path / 'toys'), tmp_path, 3, '10_baselines', profiles)
    record(
        'endurance',
        '3 studies of toys in one process',
        memory_mb=[round(f['mb']) for f in found],
        open_files=found[-1]['files'],
        memory_growth=round(found[-1]['mb'] / found[0]['mb'] - 1, 4),
    )


@pytest.mark.torture
def test_twenty_studies_leave_nothing(tmp_path, record):
    "Real notebooks; memory may grow by 5 % from the fifth study to the twentieth."
    profiles = {'tiny': {'*': dict(data='simulated:tiny', trials=1, tune_queries=300)}}
    found = endure(
        project(tmp_path / 'real', ('10_baselines', '30_comparison')), tmp_path, 20, '30_comparison', profiles
    )
    growth = found[-1]['mb'] / found[4]['mb'] - 1
    record(
        'endurance',
        '20 tiny studies one after another in one process',
        memory_mb=[round(f['mb']) for f in found],
        mb_after_5=round(found[4]['mb'], 1),
        mb_after_20=round(found[-1]['mb'], 1),
        memory_growth=round(growth, 4),
        open_files=found[-1]['files'],
        threads=found[-1]['threads'],
        children=found[-1]['children'],
    )
    assert growth < 0.05, [round(f['mb']) for f in found]
