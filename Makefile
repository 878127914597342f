# make study [DATA=path STUDY=name PROFILE=tiny|default|full]   make test   make install   make readme   make clean
PYTHON ?= python3.11
PROFILE ?= default
BIN := .venv/bin
export OPENBLAS_NUM_THREADS := 1

.PHONY: study test install notebooks readme clean
.DELETE_ON_ERROR:

study: install
	$(BIN)/recsys-nb run --profile $(PROFILE) $(if $(DATA),--data "$(DATA)") $(if $(STUDY),--study "$(STUDY)")

test: install
	$(BIN)/python -m pytest

install: .venv/.installed

.venv/.locked: requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	touch $@

.venv/.installed: .venv/.locked setup.py settings.ini
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

notebooks: install  ## export the library, clean the notebooks
	$(BIN)/nbdev_export
	$(BIN)/nbdev_clean

readme: install  ## README.md from nbs/index.ipynb and the committed reports
	$(BIN)/recsys-nb readme

clean:
	rm -rf .venv data/cache data/simulated-* build *.egg-info
