# The course's commands. Each first builds what it needs in .venv (a few minutes, once).
#
#   make lab        bring my_course/ up to date (what you edited stays) and open JupyterLab in it
#   make test       check the style, run the unit tests and every notebook
#   make soak       the long tests: every kind of machine, fuzzing, kills, a browser, every answer pasted in
#   make browser    the part of the long tests that runs the course in Chromium or Chrome; pictures in build/browser/
#   make bench      measure speed again and write docs/performance.md       (DATA=folder with MNIST)
#   make site       build the course as static pages, build/site/index.html       (ADDRESS=the repository)
#   make notebooks  run the notebooks and write their outputs back        (NOTEBOOKS="notebooks/01_....ipynb")
#   make lesson     begin a new lesson that runs and keeps all rules       (NAME=07_a_name)
#   make format     put the code into its standard layout; `make lint` only looks
#   make clean      remove .venv (my_course/ is yours and stays)
#
# Settings:  make lab PYTHON=python3.12       the Python that .venv is built with, 3.11 or newer
#            make lab LAB_ARGS="--port 9999"  more arguments for JupyterLab
#            make test PYTEST_ARGS="-x -n0"   more arguments for pytest
#            make test CONSTRAINTS=           the newest versions in place of those last tested
#            make lab TORCH=cuda              which build of PyTorch: cpu, cuda, or default, the package index's; else
#                                             make looks: without an NVIDIA driver, cpu if PyTorch's index answers
#            make notebooks CHANGED=1         only those whose cells, or the package behind them, changed since

VENV        := .venv
PY          := $(VENV)/bin/python
CONSTRAINTS := constraints.txt
TORCH       :=
TORCH_INDEX := https://download.pytorch.org/whl/cpu
LAB_ARGS    :=
PYTEST_ARGS :=
NOTEBOOKS   :=
CHANGED     :=
DATA        :=
ADDRESS     :=

# A stamp is written after the last step of an install, so a half-finished one is not taken for a whole one.
VERSIONS    := $(if $(strip $(CONSTRAINTS)),tested,newest)
INSTALLED   := $(VENV)/installed-$(VERSIONS)
SOAKING     := $(VENV)/installed-$(VERSIONS)-soak
SITING      := $(VENV)/installed-$(VERSIONS)-site
TORCH_BUILD := $(VENV)/torch.txt
PIP         := $(PY) -m pip -qq --disable-pip-version-check
WITH        := --requirement $(TORCH_BUILD)
WITH        += $(if $(strip $(CONSTRAINTS)),--constraint $(CONSTRAINTS),--upgrade --upgrade-strategy eager)
NEW_ENOUGH  := import sys; sys.exit(sys.version_info < (3, 11))

.DEFAULT_GOAL := help
.PHONY: help lab test soak browser bench site notebooks lesson format lint clean

help:
	@sed -n '/^#   make/s/^# *//p' Makefile

lab: $(INSTALLED)
	@$(PY) tools/my_course.py $(LAB_ARGS)

test: $(INSTALLED) lint
	$(PY) -m pytest $(PYTEST_ARGS)

soak: $(SOAKING)
	$(PY) -m pytest -m "soak and not alone" --timeout 3600 $(PYTEST_ARGS); others=$$?; \
	$(PY) -m pytest -m "soak and alone" -n0 --timeout 3600 $(PYTEST_ARGS) && exit $$others

browser: $(SOAKING)
	$(PY) -m pytest -n0 -m soak tests/browser $(PYTEST_ARGS)

bench: $(INSTALLED)
	$(PY) -m benchmarks $(DATA)

site: $(SITING)
	@$(PY) -m tools.build_site $(if $(ADDRESS),--address "$(ADDRESS)")

notebooks: $(INSTALLED)
	$(PY) tools/notebooks.py $(if $(CHANGED),changed,execute) $(NOTEBOOKS)

lesson: $(INSTALLED)
	@$(PY) tools/new_lesson.py $(NAME)

format: $(INSTALLED)
	$(PY) -m ruff check --quiet --fix .
	$(PY) -m ruff format .

lint: $(INSTALLED)
	$(PY) -m ruff check --quiet .
	$(PY) -m ruff format --quiet --check .

clean:
	rm -rf $(VENV)

# An environment whose Python no longer starts (it was upgraded or moved) is built anew.
ifneq ($(shell $(PY) -c "print(1)" 2>/dev/null),1)
.PHONY: $(INSTALLED)
endif

# Another TORCH than the one that the environment was built with is looked at again.
ifneq ($(TORCH),)
ifneq ($(TORCH),$(shell sed -n '1s/.*TORCH=//p' $(TORCH_BUILD) 2>/dev/null))
.PHONY: $(INSTALLED)
endif
endif

$(INSTALLED): pyproject.toml $(CONSTRAINTS) tools/jupyterlab_settings.json tools/choose_torch.py
	@if ! $(PY) -c "$(NEW_ENOUGH)" 2>/dev/null || ! $(PY) -m pip --version >/dev/null 2>&1; then \
	  python=; for name in $(if $(PYTHON),"$(PYTHON)",python3 python3.14 python3.13 python3.12 python3.11 python); do \
	    if "$$name" -c "$(NEW_ENOUGH)" 2>/dev/null; then python=$$name; break; fi; \
	  done; \
	  if [ -z "$$python" ]; then \
	    echo "make: the course needs Python 3.11 or newer; $(if $(PYTHON),$(PYTHON) is not that,python3 here is: $$(python3 --version 2>&1))." >&2; \
	    echo "make: install one, or name one that you have:  make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; \
	    exit 1; \
	  fi; \
	  echo "Building $(VENV) with $$("$$python" --version)"; \
	  "$$python" -m venv --clear $(VENV) >/dev/null 2>&1 || { \
	    "$$python" -m venv --clear --without-pip $(VENV) && \
	    "$$python" -m pip -qq --disable-pip-version-check --python $(PY) install pip; \
	  } || { echo "make: $$python could not build $(VENV); it needs pip and the venv module." >&2; exit 1; }; \
	fi
	@$(PY) tools/choose_torch.py $(TORCH_BUILD) \
	  --torch "$(TORCH)" --constraints "$(CONSTRAINTS)" --index "$(TORCH_INDEX)"
	@rm -f $(VENV)/installed-*
	@echo "Installing the course and what it needs into $(VENV) (the first time this takes minutes)"
	@$(PIP) install $(WITH) --editable ".[test]"
	@$(PY) tools/check_torch.py $(TORCH_BUILD)
	@mkdir -p $(VENV)/share/jupyter/lab/settings
	@cp tools/jupyterlab_settings.json $(VENV)/share/jupyter/lab/settings/overrides.json
	@touch $@

$(SOAKING): $(INSTALLED)
	@$(PIP) install $(WITH) --editable ".[test,soak,site,nbgrader]"
	@touch $@

$(SITING): $(INSTALLED)
	@$(PIP) install $(WITH) --editable ".[test,site]"
	@touch $@
