PYTHON ?= python3
BIN := .venv/bin

# One thread per process; whole processes run side by side.
export OMP_NUM_THREADS := 1

.PHONY: book test clean

book: .venv/.ready
	$(BIN)/genbound build

test: .venv/.ready
	$(BIN)/ruff check
	$(BIN)/vulture
	$(BIN)/pytest -n 2 --dist loadgroup

clean:
	rm -rf _build runs

.venv/.ready: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@
