"Tests run side by side, one thread each; must be set before torch is imported."
import os

for name in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS'): os.environ.setdefault(name, '1')


def pytest_collection_modifyitems(items):
    "The longest first, so that no process waits for it alone at the end."
    items.sort(key=lambda item: 'test_studies' not in item.nodeid)
