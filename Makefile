# Everything happens in .venv and var/: nothing is installed on the machine itself.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
SERVE  ?= 1
SEED   ?= 1
DATA   ?=

.PHONY: demo test setup up lint browser clean

## demo: set up, run the main job, then serve the site (SERVE=0 stops after the job; DATA=<file or folder> uses your pairs)
demo: $(STAMP)
	$(BIN)/python manage.py demo --seed $(SEED) $(if $(filter 0,$(SERVE)),--no-serve) $(if $(DATA),--data "$(DATA)")

## test: set up and pass every test
test: lint browser
	$(BIN)/python -m pytest $(PYTEST)

setup: $(STAMP)

## up: services, workers and web until Ctrl-C
up: $(STAMP)
	$(BIN)/python manage.py up

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

browser:
	@command -v $${CONCORD_CHROMIUM:-chromium} >/dev/null || command -v google-chrome >/dev/null || { \
	  echo "The browser tests need Chromium: 'apt-get install chromium' (or your system's package), or name one in CONCORD_CHROMIUM." >&2; exit 1; }

# torch comes first and by pip, so that pip's own settings (a local wheel, a CPU index) decide which build it is.
$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "Concord needs Python 3.11: set PYTHON=/path/to/python3.11." >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[ml,dev]' \
	  || $(BIN)/python -m pip install --quiet -c constraints.txt -e '.[ml,dev]'
	touch $@

clean:
	rm -rf $(VENV) var
