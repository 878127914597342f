"""What reading somebody's file costs and does:
time, memory, and whatever it writes, starts, connects to or unpickles."""

import os
import resource
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

SECONDS, MEGABYTES = (
    5,
    1000,
)  # the limits of a case; the memory is that of the whole process, its libraries included
LIBRARIES = (
    300  # megabytes that reading needs before it reads, where another test has brought far larger ones
)
HARM = (
    'os.rename',
    'os.remove',
    'os.mkdir',
    'os.rmdir',
    'os.link',
    'os.symlink',
    'os.truncate',
    'os.chmod',
    'os.chown',
    'os.system',
    'os.exec',
    'os.posix_spawn',
    'subprocess.Popen',
    'socket.connect',
    'pickle.find_class',
    'shutil.move',
)
seen = None  # what Python says it does, while somebody watches


def hook(event, args):
    if seen is None:
        return
    if event == 'open' and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        seen.append((event, args[0]))
    elif event in HARM:
        seen.append((event, args[0] if args else None))


sys.addaudithook(hook)


def memory():
    "Megabytes of this process: now, and the most since `reset`."
    try:
        facts = dict(line.split(':', 1) for line in Path('/proc/self/status').read_text().splitlines())
    except OSError:
        return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,) * 2
    return tuple(int(facts[k].split()[0]) / 1024 for k in ('VmRSS', 'VmHWM'))


def reset():
    try:
        Path('/proc/self/clear_refs').write_text('5')
    except OSError:
        pass


def listing(folder, but):
    return {
        p: (p.lstat().st_size, p.lstat().st_mtime_ns)
        for p in folder.rglob('*')
        if p != but and but not in p.parents
    }


@contextmanager
def watched(folder, cache):
    """Within it nothing may take long, take much memory, or change anything outside the cache;
    `.seconds` and `.megabytes` afterwards."""
    global seen

    def late(*_):
        raise TimeoutError(f'a case took over {4 * SECONDS} s')

    before, cost = listing(folder, cache), SimpleNamespace()
    reset()
    had = memory()[0]
    was = signal.signal(signal.SIGALRM, late)
    signal.alarm(4 * SECONDS)
    seen, start, busy = [], time.perf_counter(), time.process_time()
    try:
        yield cost
    finally:
        did, seen, cost.seconds, cost.megabytes = (
            seen,
            None,
            time.perf_counter() - start,
            memory()[1] - (had - LIBRARIES if 'torch' in sys.modules else 0),
        )
        signal.alarm(0)
        signal.signal(signal.SIGALRM, was)
    outside = [
        d
        for d in did
        if not (isinstance(d[1], (str, Path)) and Path(d[1]).resolve().is_relative_to(cache.resolve()))
    ]
    assert not outside, f'done outside the cache: {outside}'
    assert listing(folder, cache) == before, 'something changed outside the cache'
    assert not cache.exists() or not [p for p in cache.iterdir() if p.name.startswith('.')], (
        'a temporary file is left behind'
    )
    busy = time.process_time() - busy  # on a machine with other work, less than the time that passed
    assert min(cost.seconds, busy) < SECONDS and cost.megabytes < MEGABYTES, vars(cost)
