# Everything a newcomer needs: `make demo` and `make test`. Both do all set-up first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
JOBS ?= 2
N ?= 1000000
SECONDS ?= 0
SEEDS ?= 20

.PHONY: demo test test-faults fuzz sim check bench firmware verifier vectors clean setup lock
.DEFAULT_GOAL := help

help:
	@echo "make demo      three MicroPython meters and a gateway, a backend, outages, and one reading proven offline"
	@echo "make test      every test that fits in some minutes"
	@echo "make test-faults   the slow ones: crashes, fuzz"
	@echo "make fuzz      a million inputs to each decoder, coverage-guided (N=inputs, SECONDS=each at most, ONLY=\"names\")"
	@echo "make sim SEEDS=n   n seeds of the simulation: a fleet, a broker, a person and a backend, with every fault"
	@echo "make check     lint, types, import direction"
	@echo "make bench     speed and memory beside the limit measured in the same run"
	@echo "make firmware  compile the device files for the ESP32 and check them against its stubs"
	@echo "make verifier  build/meterproof-verify.pyz, the offline verifier in one file"

$(READY): constraints.txt pyproject.toml .ci/setup
	@PYTHON="$(PYTHON)" sh .ci/setup $(VENV)
	@touch $@

setup: $(READY)

demo: $(READY)
	@$(BIN)/meterproof demo

test: $(READY)
	@$(BIN)/python -m pytest -n $(JOBS) -m "not slow" tests

test-faults: $(READY)
	@sh .ci/setup-faults
	@$(BIN)/python -m pytest -n $(JOBS) -m slow tests

fuzz: $(READY)
	@$(BIN)/python -m tests.fuzz --inputs $(N) --seconds $(SECONDS) $(if $(ONLY),--only $(ONLY))

sim: $(READY)
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS)

check: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python hardware/build_firmware.py --check-types

bench: $(READY)
	@sh .ci/setup-faults
	@$(BIN)/meterproof bench

firmware: $(READY)
	@$(BIN)/python hardware/build_firmware.py

verifier: $(READY)
	@$(BIN)/python -m shared.verify.build

vectors: $(READY)
	@$(BIN)/python -m tests.independent.make_vectors

# Pin what pyproject.toml asks for, with hashes and without any index address.
lock:
	@$(BIN)/python -m pip -q install uv
	@$(BIN)/uv pip compile pyproject.toml --extra dev --generate-hashes --universal --no-header --no-annotate --python-version 3.11 -q --upgrade -o constraints.txt

clean:
	rm -rf build $(VENV)
