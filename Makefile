PYTHON ?= python3
BIN := .venv/bin
# Processor time ignores what else runs; for a GPU: make bench TIMER=time.perf_counter
TIMER ?= time.process_time

# One thread per process; whole processes run side by side.
export OMP_NUM_THREADS := 1

.PHONY: book test bench clean

book: .venv/.ready
	$(BIN)/genbound build

test: .venv/.ready
	$(BIN)/ruff check
	$(BIN)/vulture
	$(BIN)/pytest -n 2 --dist loadgroup

bench: .venv/.ready
	$(BIN)/pytest benchmarks -q --benchmark-timer=$(TIMER) --benchmark-columns=min,median,rounds

clean:
	rm -rf _build runs

.venv/.ready: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@
