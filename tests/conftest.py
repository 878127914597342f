"Tests run side by side, one thread each; must be set before torch is imported."

import contextlib
import json
import os
import signal

import pytest

from recsys_nb.study import import_without_grammar

for name in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS'):
    os.environ.setdefault(name, '1')

import_without_grammar()

with contextlib.suppress(ValueError):
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell's background job ignores Ctrl-C, and so would every run that a test starts and interrupts


# the longest first; of modules whose tests share little, for what they share is made again for each visit
LONG = (
    'test_studies',
    'test_a_sample_of_kills',
    'test_two_processes_train_as_well_as_one',
    'test_torchrun_on_one_machine',
)


def pytest_collection_modifyitems(items):
    """The longest first, so that no process waits for it alone at the end.
    A test that is to write down what it tries is known by it even if it fails before."""
    items.sort(key=lambda item: next((n for n, name in enumerate(LONG) if name in item.nodeid), len(LONG)))
    for item in items:
        if 'record' in getattr(item, 'fixturenames', ()):
            item.user_properties.append(('records', True))


@pytest.fixture
def record(request):
    """Write down what a test tried, for the reliability page:
    `record('crash points', 'while metrics.json is written', seconds=3.1)`."""

    def record(kind, what, **figures):
        request.node.user_properties.append(('reliability', dict(kind=kind, what=what, **figures)))

    return record


def pytest_runtest_logreport(report):
    """What was tried and how it ended goes into the file that RELIABILITY names, a line each;
    the process that others report to writes it."""
    path = os.environ.get('RELIABILITY')
    if (
        not path
        or not (report.when == 'call' or report.when == 'setup' and report.failed)
        or 'PYTEST_XDIST_WORKER' in os.environ
    ):
        return
    lines = [tried for key, tried in report.user_properties if key == 'reliability']
    if report.failed and not lines and ('records', True) in map(tuple, report.user_properties):
        lines = [dict(kind='unfinished', what='failed before it wrote down what it tried')]
    with open(path, 'a', encoding='utf-8') as file:
        for tried in lines:
            file.write(json.dumps(dict(test=report.nodeid, outcome=report.outcome, **tried)) + '\n')
