"""Kernels that have imported what is slow to import: a process does it once, and is forked for each notebook.

A kernel spends three to six seconds on importing torch, Lightning, pandas and pictures, and there are forty
notebooks to run. The rest is as always: the project's runner starts a process as a kernel,
which here only asks for a fork and lives as long as that does. The library itself is imported by each kernel.

    python kernels.py serve SOCKET          imports, then a kernel for each who connects
    python kernels.py join SOCKET FILE ...  the process that is started as a kernel"""

import contextlib
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

SLOW = (
    'recsys_nb',  # its __init__ alone, which sets threads and must come before torch
    'numpy',
    'scipy.sparse',
    'pandas',
    'pyarrow.parquet',
    'matplotlib.pyplot',
    'matplotlib_inline.backend_inline',
    'seaborn',
    'sklearn.metrics.pairwise',
    'torch._dynamo',
    'lightning.pytorch',
    'optuna',
    'implicit.als',
    'ipykernel.kernelapp',
    'ipykernel.zmqshell',
)


def serve(place):
    "Import, and fork for each connection; ends with who started it."
    parent = os.getppid()
    for name in SLOW:
        __import__(name)
    gc.collect()
    gc.freeze()  # what is shared stays shared
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the kernels
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(place)
        door.listen()
        threads = threading.active_count()
        assert threads == 1, f'{threads} threads: it is not safe to fork'
        door.settimeout(2)
        while os.getppid() == parent:
            try:
                connection, _ = door.accept()
            except TimeoutError:
                continue
            connection.settimeout(None)
            if os.fork() == 0:
                door.close()
                be_a_kernel(connection)
            connection.close()


def be_a_kernel(connection):
    "In the fork: take what the asking process was given, and end when it ends."
    with connection.makefile('r') as file:
        asked = json.loads(file.readline())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.chdir(asked['folder'])
    os.environ.clear()
    os.environ.update(asked['environment'] | dict(JPY_PARENT_PID=str(os.getppid())))
    sys.argv = ['ipykernel_launcher', *asked['arguments']]
    sys.path[:] = ['', *os.environ['PYTHONPATH'].split(os.pathsep), *asked['path']]

    def end_together():
        connection.recv(1)
        os._exit(1)

    threading.Thread(target=end_together, daemon=True).start()
    from ipykernel.kernelapp import IPKernelApp

    try:
        IPKernelApp.launch_instance()
    finally:
        os._exit(0)


def join(place, *arguments):
    "Ask for a kernel, and live as long as it."
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(place)
        given = set(os.environ.get('PYTHONPATH', '').split(os.pathsep))
        path = [p for p in sys.path[1:] if p not in given]
        asked = dict(folder=os.getcwd(), environment=dict(os.environ), arguments=arguments, path=path)
        connection.sendall(json.dumps(asked).encode() + b'\n')
        with contextlib.suppress(KeyboardInterrupt):  # a kernel is interrupted before it is shut down
            connection.recv(1)


@contextlib.contextmanager
def warm_kernels(folder):
    "Within it, what asks Jupyter for the kernel python3 gets one that has imported."
    place = Path(folder) / 'door'
    server = subprocess.Popen([sys.executable, __file__, 'serve', str(place)], stdin=subprocess.DEVNULL)
    spec = Path(folder) / 'kernels' / 'python3' / 'kernel.json'
    spec.parent.mkdir(parents=True)
    program = [sys.executable, __file__, 'join', str(place), '-f', '{connection_file}']
    spec.write_text(json.dumps(dict(argv=program, display_name='python3', language='python')))

    @contextlib.contextmanager
    def chosen():
        while not place.exists() and server.poll() is None:
            time.sleep(0.05)
        before = os.environ.get('JUPYTER_PATH', '')
        os.environ['JUPYTER_PATH'] = f'{folder}{os.pathsep}{before}'
        try:
            yield
        finally:
            os.environ['JUPYTER_PATH'] = before

    try:
        yield chosen
    finally:
        server.kill()
        server.wait()


if __name__ == '__main__':
    dict(serve=serve, join=join)[sys.argv[1]](*sys.argv[2:])
