# Thin lines over the `azureiot` command and the tools of a Python project. `make` alone lists what there is.

PYTHON ?= python3
DEVICE ?= mydevice001
PFX ?= certs/$(DEVICE).pfx
AZUREIOT := .venv/bin/azureiot
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-board test-matrix flash lint format footprint emulator ca device pem provision simulate clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/.dev .venv-micropython/.done .venv-azure-sdk/.done ## everything that demo, test and lint need, in environments of their own

demo: .venv/.tools .venv-micropython/.done ## the whole story on this machine, from a CA to telemetry
	$(AZUREIOT) demo

test: setup ## all tests
	.venv/bin/pytest

test-board: setup ## the installer and the application on a board: PORT=/dev/ttyUSB0, or the fake board without it
	AZUREIOT_BOARD_PORT=$(PORT) .venv/bin/pytest $(if $(PORT),tests/board/test_install_flash.py tests/board/test_install_shell.py,--override-ini norecursedirs=.* tests/board tests/app)

test-matrix: setup tests/matrix/node_modules ## the library on each MicroPython release from 1.22 (needs node and npm)
	.venv/bin/pytest tests/matrix/check_versions.py

flash: .venv/.tools ## library, application, certificates and settings of DEVICE onto the board at PORT
	$(AZUREIOT) board flash $(if $(PORT),--port $(PORT)) --device $(DEVICE)

lint: setup ## ruff and pyright
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/pyright
	.venv/bin/pyright --project firmware

format: .venv/.dev ## put every file into the project's form
	.venv/bin/ruff check --fix-only --quiet .
	.venv/bin/ruff format .

footprint: setup ## what the device library costs on a board
	.venv/bin/python benchmarks/footprint.py

emulator: .venv/.tools ## DPS and IoT Hub on this machine, until Ctrl-C
	$(AZUREIOT) emulator

ca: .venv/.tools ## a root and an issuing intermediate
	$(AZUREIOT) ca create

device: .venv/.tools ## certificate, key and PFX of DEVICE (mydevice001)
	$(AZUREIOT) device create $(DEVICE)

pem: .venv/.tools ## PFX to PEM and DER
	$(AZUREIOT) pfx convert $(PFX)

provision: .venv/.tools ## register DEVICE with DPS (settings.json, DPS_IDSCOPE)
	$(AZUREIOT) provision --pfx $(PFX)

simulate: .venv/.tools ## DEVICE sends five messages
	$(AZUREIOT) simulate --pfx $(PFX)

clean: ## remove environments and caches; certificates and the emulator's state stay
	rm -rf .venv .venv-micropython .venv-azure-sdk .typings tests/matrix/node_modules build dist .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv

.venv/.tools: .venv/bin/python pyproject.toml
	.venv/bin/pip install --quiet --disable-pip-version-check --editable '.[tools]'
	@touch $@

.venv/.dev: .venv/.tools
	.venv/bin/pip install --quiet --disable-pip-version-check --editable '.[tools,dev]'
	.venv/bin/pip install --quiet --disable-pip-version-check --upgrade --target .typings micropython-esp32-stubs==1.29.0.post1
	@touch $@

# Its package holds a CPython module named `micropython`, which must not stand beside the library.
.venv-micropython/.done: firmware/micropython.txt
	$(PYTHON) -m venv .venv-micropython
	.venv-micropython/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

tests/matrix/node_modules: tests/matrix/package.json
	npm install --prefix tests/matrix --no-package-lock --no-audit --no-fund
	@touch $@

# Microsoft's SDK pins paho-mqtt below 2.
.venv-azure-sdk/.done: tests/peers/requirements.txt
	$(PYTHON) -m venv .venv-azure-sdk
	.venv-azure-sdk/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@
