# make demo     pictures through a handful of tokens and back, and pictures from text
# make test     the tests
# make lint     ruff, mypy, import-linter
# make docs     the site with the page of the bundled model, into site/; open site/index.html
# make notebooks  runs the notebooks and stores what they show
# make package  sdist and wheel into dist/, tried in an environment of their own
# make weights  the tokenizer and the generator that ship, from DATA (docs/catalogue.md); run again to go on
# make pictograms  models of the set of `textok data pictograms`; run again to go on
# make study    the tables of docs/results that are of pictograms; run again to go on
#
# PYTHON chooses the interpreter, VENV the folder, PIP_FLAGS what pip needs on your machine.

PYTHON ?= python3
VENV ?= .venv
PIP_FLAGS ?=
BIN := $(VENV)/bin
USE := $(VENV)/.textok
READY := $(VENV)/.textok-dev
export OMP_NUM_THREADS ?= 2

.PHONY: ready demo test lint docs notebooks package weights pictograms study clean
.DEFAULT_GOAL := demo

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# What using textok takes, and what working on it takes.
$(USE): EXTRAS = offline,train,eval,data,demo
$(READY): EXTRAS = dev
$(USE) $(READY): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV): a few minutes, once"
	$(BIN)/python -m pip install --quiet $(PIP_FLAGS) -c constraints.txt -e '.[$(EXTRAS)]'
	touch $@

PROMPTS := "red women handbag" "men black casual shoes" "women golden watch" "blue jeans"

demo: $(USE)
	$(BIN)/textok reconstruct --out demo-out
	$(BIN)/textok generate $(PROMPTS) --out demo-out/generated
	@echo "look at these two; then: source $(BIN)/activate, textok demo, docs/tutorial.md"

ready: $(READY)

# Two at a time, a file in one of them: files share what is dear to set up.
# Many of them start processes of their own, which need not compile the package anew.
test: export OMP_NUM_THREADS = 1
test: export PYTHONDONTWRITEBYTECODE =
test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# npm fetches onnxruntime-web, or RUNTIME names its file; where neither can be had the site goes without the page:
# the command says why in one line, with exit code 2.
PAGE := build/draw
$(PAGE)/index.html: $(shell find textok/export textok/assets/products -type f -not -name '*.pyc') | $(READY)
	npm_config_prefer_offline=true npm_config_fetch_retries=1 \
		$(BIN)/textok export web products $(PAGE) $(if $(RUNTIME),--runtime '$(RUNTIME)') || test $$? -eq 2

docs: $(READY) $(PAGE)/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

notebooks: $(READY)
	$(BIN)/python -m notebooks.run

# The wheel holds the bundled model: under 40 MB, and enough to generate an image without a network.
package: export OMP_NUM_THREADS = 1
package: | $(BIN)/python
	rm -rf dist build/package
	$(BIN)/python -m pip install --quiet $(PIP_FLAGS) hatchling
	$(BIN)/hatchling build
	test "$$(cat dist/*.whl | wc -c)" -lt 40000000
	$(PYTHON) -m venv build/package
	build/package/bin/python -m pip install --quiet $(PIP_FLAGS) -c constraints.txt "$$(echo dist/*.whl)[offline]"
	cd build/package && bin/textok generate "red women handbag" --out generated
	rm -rf build/package

DATA ?= data/products-64

weights: $(USE)
	$(BIN)/python -m studies.weights --data $(DATA)

PICTOGRAMS ?= data/pictograms-64
LATENTS := latents/pictograms-64
TOKENIZER := runs/pictograms-64
GENERATOR := runs/dit-pictograms-64

$(PICTOGRAMS)/summary.json: | $(USE)
	$(BIN)/textok data pictograms $(PICTOGRAMS) --size 64

$(TOKENIZER)/report.md: $(PICTOGRAMS)/summary.json
	$(BIN)/textok train tokenizer pictograms-64 --data.path $(PICTOGRAMS) --run.out $(TOKENIZER)

$(GENERATOR)/report.md: $(TOKENIZER)/report.md
	$(BIN)/textok extract $(TOKENIZER)/model $(PICTOGRAMS) $(LATENTS) --where style!=openmoji --flip
	$(BIN)/textok train generator dit-pictograms-64 --latents.path $(LATENTS) --run.out $(GENERATOR)

pictograms: $(GENERATOR)/report.md

study: $(GENERATOR)/report.md
	$(BIN)/python -m studies.text_gain --data $(PICTOGRAMS)
	$(BIN)/python -m studies.nested --data $(PICTOGRAMS)
	$(BIN)/python -m studies.generation_gain --data $(PICTOGRAMS)
	$(BIN)/python -m studies.by_class --tokenizer $(TOKENIZER)/model --data $(PICTOGRAMS)
	$(BIN)/python -m studies.sampling --model $(GENERATOR)/model --data $(PICTOGRAMS)
	$(BIN)/python -m studies.discrete --data $(PICTOGRAMS)

clean:
	rm -rf $(VENV) demo-out site build dist
