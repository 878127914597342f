# make study [DATA=path STUDY=name PROFILE=tiny|default|full]   make test   make lint   make install   make readme   make clean
# make outputs [ONLY="12_sasrec 30_comparison" FORCE=1]   make site
# make peers   make benchmarks [DATA=path STUDY=name]   make torture   make lock
PYTHON ?= python3.11
PROFILE ?= default
BIN := .venv/bin
export OPENBLAS_NUM_THREADS := 1

.PHONY: study test lint torture install notebooks outputs readme site clean peers benchmarks lock
.DELETE_ON_ERROR:

study: install
	$(BIN)/recsys-nb run --profile $(PROFILE) $(if $(DATA),--data "$(DATA)") $(if $(STUDY),--study "$(STUDY)")

test: install
	$(BIN)/python -m pytest

lint: install  ## ruff's rules for notebooks, tests and scripts, and its format for tests and scripts
	$(BIN)/ruff check
	$(BIN)/ruff format --check

torture: install  ## every test, the slow ones too, and a page of what was tried: reports/reliability
	mkdir -p reports/reliability && rm -f reports/reliability/trials.jsonl
	export RELIABILITY=reports/reliability/trials.jsonl; \
	$(BIN)/python -m pytest -m "" -n 0 -k test_load; alone=$$?; \
	$(BIN)/python -m pytest -m "" -k "not test_load"; status=$$((alone + $$?)); \
	$(BIN)/recsys-nb run --only 91_reliability --study reliability --profile tiny --force && exit $$status

install: .venv/.installed

# uv installs and compiles on all cores, in a third of pip's time; where it can't be had or can't reach what pip reaches, pip does it.
# In the second step torch is there already: but PyPI's build for Linux also wants CUDA packages, which the lock does not list.
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
WHEELS = $(or $(PIP_FIND_LINKS),$(shell $(BIN)/python -m pip config get global.find-links 2>/dev/null))
UV = $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode $(WHEELS:%=--find-links %)

.venv/.locked: requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	{ $(PIP) uv==0.13.9 && $(UV) --no-deps -r requirements.lock; } || $(PIP) --no-deps -r requirements.lock
	{ test -x $(BIN)/uv && $(UV) torch==2.13.0; } || $(PIP) torch==2.13.0
	touch $@

.venv/.installed: .venv/.locked setup.py settings.ini .ci/hooks.py
	$(PIP) --no-deps --no-build-isolation -e .
	$(BIN)/python .ci/hooks.py  # a notebook that was only opened and saved leaves no difference in git
	touch $@

notebooks: install  ## export the library, clean the notebooks
	$(BIN)/nbdev_export
	$(BIN)/nbdev_clean

outputs: notebooks  ## run the notebooks whose cells or library changed, and keep what they show
	$(BIN)/python .ci/outputs.py $(ONLY) $(if $(FORCE),--all)

readme: install  ## README.md, RESULTS.md and USAGE.md from their notebooks and the committed reports
	$(BIN)/recsys-nb readme

site: install  ## front page, committed reports and notebooks in build/site, for any static host
	$(BIN)/recsys-nb site

peers: peers/rectools/.installed peers/recbole/.installed peers/ranx/.installed  ## what 90_benchmarks compares with, each in an environment of its own

peers/rectools/.installed: WITH = "rectools[torch]==0.19.0" torch==2.13.0
peers/recbole/.installed: WITH = recbole==1.2.1 torch==2.13.0 numpy==1.26.4 pandas==2.1.4 scipy==1.12.0
peers/ranx/.installed: WITH = ranx==0.3.21
peers/%/.installed:
	$(PYTHON) -m venv peers/$*
	peers/$*/bin/python -m pip install --quiet --disable-pip-version-check $(WITH)
	touch $@

benchmarks: install  ## every stage against its bar, against peers (make peers) and against the machine
	$(BIN)/recsys-nb run --only 90_benchmarks --study $(or $(STUDY),benchmarks) --profile full $(if $(DATA),--data "$(DATA)")

lock:  ## requirements.lock with hashes: the versions stay, or with UPGRADE=1 become the newest that settings.ini allows
	test -x build/lock/bin/uv || ($(PYTHON) -m venv build/lock && build/lock/bin/python -m pip install --quiet --disable-pip-version-check uv)
	build/lock/bin/python .ci/lock.py $(if $(UPGRADE),--upgrade)

clean:
	rm -rf .venv data/cache data/simulated-* build *.egg-info
