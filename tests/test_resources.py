"""What a machine can run short of, and what a person can do to a run:
one sentence, no damage, and the next run finishes with the right numbers.

The notebooks are toys with the names and parameters of ours;
the runner, its kernels, the disks and the limits are real."""

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from studies import (
    KILLED,
    command,
    different,
    gone,
    here,
    nothing_half_written,
    one_sentence,
    recsys,
    temporary_files,
    toys,
)

ASK = ('run', '--profile', 'tiny', '--study', 'toy', '--only', '10_baselines')


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory):
    "A study on a machine that lacks nothing."
    folder = toys(tmp_path_factory.mktemp('undisturbed'))
    code, told = here(folder, '10_baselines')
    assert code == 0, told
    return folder / 'reports' / 'toy'


def sound(folder):
    "No kernel, nothing half-written; a manifest that can be read, if there is one."
    from recsys_nb.manifest import read_manifest

    assert gone(folder)
    nothing_half_written(folder / 'reports')
    read_manifest(folder / 'reports' / 'toy')


def finishes(folder, undisturbed):
    "A plain rerun ends well, with the right numbers and nothing left over."
    code, told = here(folder, '10_baselines')
    assert code == 0, told
    assert (
        different(undisturbed, folder / 'reports' / 'toy') == [] and temporary_files(folder / 'reports') == []
    )


@contextlib.contextmanager
def mounted(place, *arguments):
    "A mount that ends with the block; a machine where none may be made skips the test."
    place.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(['mount', *arguments, str(place)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f'no mount may be made here: {done.stderr.strip()}')
    try:
        yield place
    finally:
        subprocess.run(['umount', '--lazy', str(place)], check=True)


def fill(disk, leave):
    "Fill a disk up to so many bytes."
    status = os.statvfs(disk)
    with open(disk / 'filler', 'wb') as file:
        file.write(b'x' * max(0, status.f_bavail * status.f_frsize - leave))
    return disk / 'filler'


def full_disk(tmp_path, undisturbed, leave):
    folder = toys(tmp_path)
    with mounted(folder / 'reports', '-t', 'tmpfs', '-o', 'size=8m', 'tmpfs'):
        filler = fill(folder / 'reports', leave)
        done = recsys(folder, *ASK)
        assert done.returncode == 1 and 'No space left on device' in done.stdout + done.stderr, (
            done.stdout + done.stderr
        )
        if done.stderr:
            one_sentence(done, 1, 'No space left on device', 'the same command goes on')
        filler.unlink()
        sound(folder)
        finishes(folder, undisturbed)
    return done.stderr.strip() or done.stdout.splitlines()[1]


def test_disk_full(tmp_path, undisturbed, record):
    record('resources', 'disk full, 60,000 bytes left', answer=full_disk(tmp_path, undisturbed, 60_000))


@pytest.mark.torture
@pytest.mark.parametrize('leave', [0, 4_096, 8_192, 16_384, 24_576, 40_960, 73_728, 90_112])
def test_disk_full_at_many_moments(tmp_path, undisturbed, record, leave):
    record('resources', f'disk full, {leave:,} bytes left', answer=full_disk(tmp_path, undisturbed, leave))


@pytest.mark.torture
def test_a_notebook_that_fills_the_disk(tmp_path, undisturbed, record):
    folder = toys(tmp_path)
    with mounted(folder / 'reports', '-t', 'tmpfs', '-o', 'size=8m', 'tmpfs'):
        done = recsys(folder, *ASK, env=dict(TOY="Path(out, 'big').write_bytes(b'x' * (16 << 20))"))
        assert done.returncode == 1 and 'No space left on device' in done.stdout + done.stderr, (
            done.stdout + done.stderr
        )
        (folder / 'reports' / 'toy' / 'big').unlink(missing_ok=True)
        sound(folder)
        finishes(folder, undisturbed)
    record(
        'resources', 'a notebook fills the disk', answer=done.stderr.strip() or done.stdout.splitlines()[1]
    )


def read_only(folder, place):
    "A folder that nobody may write to, root neither."
    stack = contextlib.ExitStack()
    stack.enter_context(mounted(folder / place, '--bind', str(folder / place)))
    subprocess.run(['mount', '-o', 'remount,ro,bind', str(folder / place)], check=True)
    return stack


def test_read_only_reports(tmp_path, undisturbed, record):
    folder = toys(tmp_path)
    assert here(folder, '10_baselines')[0] == 0
    before = (folder / 'reports' / 'toy' / 'manifest.json').read_bytes()
    with read_only(folder, 'reports'):
        done = recsys(folder, *ASK, '--force')
        one_sentence(done, 1, 'Read-only file system', 'reports')
    assert (folder / 'reports' / 'toy' / 'manifest.json').read_bytes() == before
    sound(folder)
    finishes(folder, undisturbed)
    record('resources', 'read-only report folder', answer=done.stderr.strip())


@pytest.mark.torture
def test_read_only_data(tmp_path, undisturbed, record):
    folder = toys(tmp_path, data=tmp_path / 'own')
    with read_only(folder, 'own'):
        done = recsys(folder, *ASK)
    one_sentence(done, 2, 'Read-only file system', 'data')
    sound(folder)
    record('resources', 'read-only data folder', answer=done.stderr.strip())


def test_memory_limit(tmp_path, undisturbed, record):
    "An address space that the runner fits into, and a notebook that asks for more."
    folder = toys(tmp_path)
    done = recsys(folder, *ASK, before=('prlimit', f'--as={4 << 30}'), env=dict(TOY='x = bytearray(6 << 30)'))
    assert done.returncode == 1 and 'MemoryError' in done.stdout and not done.stderr, (
        done.stdout + done.stderr
    )
    sound(folder)
    finishes(folder, undisturbed)
    record(
        'resources', 'a notebook asks for more than the limit on memory', answer=done.stdout.splitlines()[1]
    )


@pytest.mark.torture
def test_too_little_memory_to_start(tmp_path, undisturbed, record):
    folder = toys(tmp_path)
    done = recsys(folder, *ASK, before=('prlimit', f'--as={400 << 20}'), env=dict(OPENBLAS_NUM_THREADS='1'))
    one_sentence(done, 1, 'too little memory')
    sound(folder)
    record('resources', 'a limit on memory that leaves no room to start', answer=done.stderr.strip())


@pytest.mark.torture
def test_killed_for_memory(tmp_path, undisturbed, record):
    "A control group in which the system kills who takes too much."
    group = Path('/sys/fs/cgroup/memory') / f'recsys-nb-{os.getpid()}'
    try:
        group.mkdir()
        (group / 'memory.limit_in_bytes').write_text(str(900 << 20))
    except OSError as e:
        pytest.skip(f'no control group for memory may be made here: {e}')
    folder = toys(tmp_path)
    try:
        done = recsys(
            folder,
            *ASK,
            before=('sh', '-c', f'echo $$ > {group}/cgroup.procs; exec "$@"', 'sh'),
            env=dict(TOY="x = b'x' * (2 << 30)"),
        )
    finally:
        with contextlib.suppress(OSError):
            group.rmdir()
    assert done.returncode == 1 and KILLED in done.stdout and 'too little memory' in done.stdout, (
        done.stdout + done.stderr
    )
    sound(folder)
    finishes(folder, undisturbed)
    record(
        'resources',
        'the system kills a kernel that takes too much memory',
        answer=done.stdout.splitlines()[1],
    )


@pytest.mark.torture
def test_no_network(tmp_path, undisturbed, record):
    if subprocess.run(['unshare', '-n', 'true'], capture_output=True).returncode:
        pytest.skip('no network namespace may be made here')
    folder = toys(tmp_path)
    done = recsys(folder, *ASK, before=('unshare', '-n', 'sh', '-c', 'ip link set lo up; exec "$@"', 'sh'))
    assert done.returncode == 0, done.stdout + done.stderr
    assert different(undisturbed, folder / 'reports' / 'toy') == []
    record('resources', 'no network', answer='the study works')


def test_two_runs_at_once(tmp_path, undisturbed, record):
    folder = toys(tmp_path)
    first = command(folder, *ASK, env=dict(TOY='import time; time.sleep(3)'))
    assert 'runs' in first.stdout.readline()
    second = recsys(folder, *ASK)
    one_sentence(second, 2, 'is being run by another process')
    first.communicate(timeout=60)
    assert first.returncode == 0 and different(undisturbed, folder / 'reports' / 'toy') == []
    record('resources', 'two runs of one study at once', answer=second.stderr.strip())


def interrupted(tmp_path, undisturbed, number, after):
    "A signal so many seconds after the first notebook was announced."
    folder = toys(tmp_path)
    process = command(folder, *ASK, env=dict(TOY='import time; time.sleep(4)'))
    assert 'runs' in process.stdout.readline()
    time.sleep(after)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (
        process.returncode == 130
        and err == 'Stopped: the same command goes on from here, finished notebooks are skipped.\n'
    ), out + err
    sound(folder)
    finishes(folder, undisturbed)


@pytest.mark.parametrize(
    'number, after',
    [
        (signal.SIGINT, 0.7),
        *(pytest.param(*p, marks=pytest.mark.torture) for p in ((signal.SIGINT, 0), (signal.SIGTERM, 2))),
    ],
)
def test_interrupted(tmp_path, undisturbed, record, number, after):
    interrupted(tmp_path, undisturbed, number, after)
    record(
        'resources',
        f'{number.name} {after} s after the first notebook was announced',
        answer='kernels end, nothing is half-written, the same command goes on',
    )


@pytest.mark.torture
@pytest.mark.parametrize('after', [i / 8 for i in range(1, 40, 3)])
def test_interrupted_at_many_moments(tmp_path, undisturbed, record, after):
    interrupted(tmp_path, undisturbed, signal.SIGINT, after)
    record(
        'resources',
        f'Ctrl-C {after} s after the first notebook was announced',
        answer='kernels end, nothing is half-written, the same command goes on',
    )


def test_replies_that_nobody_is_told_of(tmp_path, monkeypatch, record):
    """pyzmq's asyncio sockets now and then lose the news that a message has come
    (seen as one notebook in some dozens that never ends on a busy machine); here they lose all of it."""
    import nbformat
    import zmq.asyncio
    from recsys_nb.kernel import execute, kernel_environment

    told, lost = zmq.asyncio.Socket._handle_events, []

    def deaf(self, *news):
        if not news or self.type not in (zmq.DEALER, zmq.SUB):
            return told(self, *news)
        self._shadow_sock.get(zmq.EVENTS)
        lost.append(self.type)

    monkeypatch.setattr(zmq.asyncio.Socket, '_handle_events', deaf)
    cells = [nbformat.v4.new_code_cell(f'import time; time.sleep(.2); print({n})') for n in range(3)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / 'three.ipynb')
    with kernel_environment():
        error, _ = execute(str(tmp_path / 'three.ipynb'), str(tmp_path / 'out.ipynb'), {}, limit=40)
    ran = nbformat.read(tmp_path / 'out.ipynb', 4).cells
    assert (
        error == ''
        and [c.outputs[0].text for c in ran if c.cell_type == 'code' and c.outputs] == ['0\n', '1\n', '2\n']
        and {zmq.DEALER, zmq.SUB} <= set(lost)
    )
    record('resources', 'the news that a kernel has answered is lost', lost=len(lost))


def test_a_notebook_that_hangs(tmp_path, undisturbed, record):
    folder = toys(tmp_path)
    done = recsys(
        folder, *ASK, '--time-limit', '0.05', env=dict(TOY='import time; time.sleep(600)'), timeout=60
    )
    assert (
        done.returncode == 1
        and '10_baselines  failed' in done.stdout
        and 'ran longer than the time limit of 0:03' in done.stdout
    ), done.stdout + done.stderr
    assert (
        json.loads((folder / 'reports' / 'toy' / 'manifest.json').read_text())['notebooks']['10_baselines'][
            'status'
        ]
        == 'failed'
    )
    sound(folder)
    finishes(folder, undisturbed)
    record('resources', 'a notebook that hangs', answer=done.stdout.splitlines()[1])
