# Everything is done by dev.py, which brings its own tools. `ARGS` goes to the program it starts:
# make run ARGS="--port 9000", make test ARGS="tests/kit -k journal"

PYTHON ?= python3

.PHONY: run test console-test lint format bench lock

run test console-test lint format bench lock:
	@$(PYTHON) dev.py $@ $(ARGS)
