# Kassette: `make` alone prints this help.
PY := .venv/bin/python
SHELL := /bin/bash
STAMP := .venv/.installed
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help run reset demo test hil mp check soak bench bench-journal bench-swipe replay size heap golden format clean
help: ## this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

$(STAMP): requirements-dev.txt host_tools/venv.sh
	@bash host_tools/venv.sh

run: $(STAMP) ## start the shop: back office, virtual hardware, the real firmware; READER= STATE= TRACE= STRIPE=no
	@exec $(PY) -m kassette_host run $(if $(READER),--reader $(READER)) $(if $(STATE),--state $(STATE)) $(if $(TRACE),--trace $(TRACE)) $(if $(filter no,$(STRIPE)),--no-stripe)

reset: $(STAMP) ## forget the shop's state
	@$(PY) -m kassette_host reset

demo: $(STAMP) ## a scripted morning with faults, compared to the cent; SEED=n for another one
	@$(PY) -m kassette_host demo $(if $(SEED),--seed $(SEED)) $(if $(TRACE),--trace $(TRACE))

test: $(STAMP) ## every test, on CPython and on MicroPython; T=path for one file
	@$(PY) -m pytest $(or $(T),-n 2 --dist loadfile)

hil: $(STAMP) ## the whole-terminal tests on a chip: TARGET=qemu; T=path K=expression
	@$(PY) -m pytest $(or $(T),tests/terminal) --target $(or $(TARGET),qemu) $(if $(K),-k "$(K)")

mp: $(STAMP) ## one test file on MicroPython alone: T=path, N=name of one test
	@.venv/bin/micropython tests/mp_run.py $(T) $(N)

check: $(STAMP) ## format, lint, types, mpy-cross, size budget
	@.venv/bin/ruff format --check . && .venv/bin/ruff check . && .venv/bin/pyright -p .pyrightconfig.json
	@$(PY) -m kassette_host size --check

soak: $(STAMP) ## the exhaustive suites in full, with progress
	@$(PY) -m pytest --soak -m soak -s

bench: $(STAMP) ## counts: exchanges, programs, erases, instructions, bytes
	@$(PY) -m kassette_host bench

bench-journal: $(STAMP) ## what a record costs, beside littlefs; 1 if a target of the journal is missed
	@$(PY) -m kassette_host.bench_journal

bench-swipe: $(STAMP) ## swipes read, beside two simpler decoders, and what a reading costs; 1 if a figure is missed
	@$(PY) -m kassette_host.bench_swipe

replay: $(STAMP) ## a failed power cut once more: CASE="seed, step, event, pattern[, event2, pattern2]"
	@$(PY) tests/support/replay.py "$(CASE)"

size: $(STAMP) ## .mpy bytes and import heap of each module against the budget
	@$(PY) -m kassette_host size

heap: $(STAMP) ## what lives in the firmware's heap after the boot, in sales, with TLS open
	@$(PY) -m kassette_host heap

golden: $(STAMP) ## accept the present screens and slips as the golden ones
	@$(PY) -m pytest tests -k golden --golden

format: $(STAMP) ## let ruff format and mend the code
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix .

clean: ## remove what make built (not the shop's state)
	@rm -rf .build .venv
