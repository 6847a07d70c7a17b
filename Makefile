# Thin lines over the `azureiot` command and the tools of a Python project. `make` alone lists what there is.

PYTHON ?= python3
DEVICE ?= mydevice001
PFX ?= certs/$(DEVICE).pfx
AZUREIOT := .venv/bin/azureiot
# One word for the shell, whatever is in it.
quoted = '$(subst ','\'',$(1))'
# These need nothing but a port; the installation on that board is replaced.
HARDWARE_TESTS := $(addprefix tests/board/test_,install_flash.py install_shell.py log_interrupted.py)
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-board test-matrix fuzz coverage flash lint format footprint emulator ca device pem provision simulate clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/.dev .venv-micropython/.done .venv-azure-sdk/.done ## everything that demo, test and lint need, in environments of their own

demo: .venv/.tools .venv-micropython/.done ## the whole story on this machine, from a CA to telemetry
	$(AZUREIOT) demo

test: setup ## all tests
	.venv/bin/pytest

test-board: setup ## boards alone: PORT=/dev/ttyUSB0 tests the installer on hardware; without PORT, all on the fake board
	AZUREIOT_BOARD_PORT=$(call quoted,$(PORT)) .venv/bin/pytest $(if $(PORT),$(HARDWARE_TESTS),tests/board tests/app)

test-matrix: setup tests/matrix/node_modules ## the library on each MicroPython release from 1.22 (needs node and npm)
	.venv/bin/pytest tests/matrix/check_versions.py

fuzz: setup ## the codecs, long: the same tests with fifty times the examples, about a quarter of an hour
	AZUREIOT_FUZZ=1 .venv/bin/pytest --timeout 3600 tests/wire tests/peers/test_paho_packets.py tests/emulator/test_mqtt_packets.py tests/emulator/test_mqtt_hostile_clients.py

coverage: setup ## lines and branches of host tools and library that the tests reach
	COVERAGE_FILE=$(CURDIR)/.coverage .venv/bin/coverage run -m pytest
	.venv/bin/coverage combine
	.venv/bin/coverage report

flash: .venv/.tools ## library, application, certificates and settings of DEVICE onto the board at PORT
	$(AZUREIOT) board flash $(if $(PORT),--port $(call quoted,$(PORT))) --device $(call quoted,$(DEVICE))

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
	$(AZUREIOT) device create $(call quoted,$(DEVICE))

pem: .venv/.tools ## PFX to PEM and DER
	$(AZUREIOT) pfx convert $(call quoted,$(PFX))

provision: .venv/.tools ## register DEVICE with DPS (settings.json, DPS_IDSCOPE)
	$(AZUREIOT) provision --pfx $(call quoted,$(PFX))

simulate: .venv/.tools ## DEVICE sends five messages
	$(AZUREIOT) simulate --pfx $(call quoted,$(PFX))

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
