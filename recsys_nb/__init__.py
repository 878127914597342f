"A sequential recommender study one can trust. This file is written by hand: nbdev changes its version only."
import os

# Linear algebra on one thread: faster here, because whatever is large has threads of its own, and the same
# numbers on any machine. OpenMP's threads wait for 2,000 spins, not for milliseconds, before they sleep. Both are
# read once, when numpy and torch are loaded, so this package comes first where either is imported.
for _name, _value in (('OPENBLAS_NUM_THREADS', '1'), ('GOMP_SPINCOUNT', '2000')):
    os.environ.setdefault(_name, _value)

__version__ = "0.1.0"
