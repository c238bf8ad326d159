# make demo, make test: all that is needed is set up first, in .venv and, where allowed, by apt.
PYTHON ?= /usr/bin/python3
export PYTHON

VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(wildcard csrc/* src/ccert/*.py src/ccert/*.pyi src/ccert/*/*.py) \
	build_ffi.py setup.py pyproject.toml README.md $(wildcard docs/man/*)
PYTEST := $(BIN)/python -m pytest
ASAN = $(shell gcc -print-file-name=libasan.so) $(shell gcc -print-file-name=libubsan.so)
# Who talks to our servers in tests/interop.  Where they cannot be installed it is skipped.
export PEERS := gnutls-bin libnet-ssleay-perl postfix postfix-policyd-spf-python postgrey swaks

.PHONY: help demo test lint sanitize sanitized fuzz properties faults soak sessions threads foreign valgrind bench bench-trixie bench-scale free-threaded bench-smoke report vectors docs man sdist wheel wheel-test matrix fresh odd release-check lock clean

help:
	@echo 'make demo      a mail server, clients with every kind of certificate, setting off and on'
	@echo 'make test      the whole test suite, with coverage'
	@echo 'make lint      ruff, mypy, clang-format, warnings of gcc and clang'
	@echo 'make sanitize  the test suite with AddressSanitizer and UndefinedBehaviorSanitizer'
	@echo 'make fuzz      100 000 mutated chains, then libFuzzer on the C code (over an hour)'
	@echo 'make properties  20 000 examples for each property of tables, files, answers, commands (an hour)'
	@echo 'make faults    every allocation of a server fails, once and from then on (a quarter of an hour)'
	@echo 'make soak      ccert serve under load and among faulty clients, for ten minutes'
	@echo 'make sessions  the property of sessions, for an hour: random contexts, names, reloads, time'
	@echo 'make threads   64 threads share contexts, for ten minutes in each of four ways'
	@echo 'make foreign    CPython'"'"'s tests, tlsfuzzer and sslyze, with ccert and without (ten minutes)'
	@echo 'make valgrind  the whole C fuzz under valgrind (several minutes)'
	@echo 'make bench     ccert beside its rivals and stock ssl: ratios, and bench.json (15 minutes)'
	@echo 'make bench-trixie  some of it with Debian 13 and its OpenSSL, in a chroot: dist/bench-trixie.json'
	@echo 'make bench-scale  threads and processes, from one to as many as there are CPUs: a table, scale.svg'
	@echo 'make free-threaded  TESTS on Python 3.14 without the GIL, in a chroot, and what threads gain there'
	@echo 'make bench-smoke  every bench once, for its verdicts, without times'
	@echo 'make report    the page on performance and its plots, from RESULTS=bench.json'
	@echo 'make vectors   the catalogue as files, for other implementations'
	@echo 'make docs      the documentation as a site, in docs/build'
	@echo 'make man       the manual pages anew, in docs/man'
	@echo 'make sdist     build the sdist, install it into an empty venv, shake hands'
	@echo 'make wheel     one wheel for every Linux on x86_64 with OpenSSL 3, built in a chroot, in dist'
	@echo 'make wheel-test  the test suite with that wheel, on SUITE=trixie without a compiler'
	@echo 'make matrix    the sdist, compiled and tested in chroots of SUITES (an hour or more)'
	@echo 'make fresh     the README'"'"'s commands in a chroot with git and make only'
	@echo 'make odd       the test suite without root, HOME, a pty, IPv6 or the usual locale'
	@echo 'make release-check  everything before a release but the upload (an hour)'
	@echo 'make lock      the newest versions of what tests and builds need, by hash: .ci/requirements.txt'
	@echo 'make clean     remove all that the others made'
	@echo 'PYTHON=…       the Python to use ($(PYTHON)); it must run on the system'"'"'s libssl'

demo: $(VENV)/installed
	$(BIN)/ccert demo

test: $(VENV)/installed
	@.ci/packages valgrind mandoc
	@.ci/packages $(PEERS) || :
	@.ci/packages clang libclang-rt-dev || :
	$(PYTEST) --cov --cov-report=term $(ARGS)

lint: $(VENV)/installed
	@.ci/packages clang
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror csrc/*.[ch] tests/c/*.c tests/c/faults/*.[ch] tests/c/shared/*.[ch] \
		tests/c/sharing/*.[ch] tests/c/fuzz/*.c tests/c/fuzz/shared/*.[ch] bench/drivers/*.c
	set -e; for compiler in gcc clang; do for file in csrc/*.c; do \
		$$compiler -std=c11 -O2 -fPIC -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes \
			-Werror -c $$file -o /dev/null; done; done

# The extension is built into a venv of its own, so that make test never sees it.
sanitize:
	$(MAKE) VENV=$(VENV)/sanitize CCERT_SANITIZE=1 sanitized

sanitized: export CCERT_SANITIZE := 1
sanitized: $(VENV)/installed
	@.ci/packages valgrind mandoc
	@.ci/packages $(PEERS) || :
	@.ci/packages clang libclang-rt-dev || :
	LD_PRELOAD='$(ASAN)' ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
		$(PYTEST) -p no:cacheprovider $(ARGS)

# Mutated chains, what is trusted of them judged by openssl verify, with the sanitizers on; then each
# target of tests/c/fuzz, guided by coverage.  SECONDS=60 is a minute for each.
fuzz: SECONDS := 900
fuzz: $(VENV)/installed
	@.ci/packages clang libclang-rt-dev
	CCERT_FUZZ=100000 $(MAKE) sanitize ARGS='-rP -o faulthandler_timeout=0 tests/tls/test_fuzz.py'
	CCERT_FUZZ_SECONDS=$(SECONDS) $(PYTEST) -q -s -o faulthandler_timeout=0 -p no:cacheprovider \
		tests/c/test_fuzz_targets.py $(ARGS)

# The tests that Hypothesis finds examples for; where they would be slow, a test says how many.
properties: $(VENV)/installed
	@.ci/packages $(PEERS) || :
	$(PYTEST) -v -o faulthandler_timeout=0 -p no:cacheprovider --hypothesis-profile=long -m hypothesis \
		$(ARGS)

# Every position of tests/c/faults, with the sanitizers on; the table of outcomes is printed.
faults: $(VENV)/installed
	CCERT_FAULTS_STEP=1 $(PYTEST) -q -s -o faulthandler_timeout=0 -p no:cacheprovider \
		tests/c/test_faults.py $(ARGS)

# Eight minutes of load, then kill -9, then a cut at every octet of a handshake.
soak: $(VENV)/installed
	CCERT_LOAD=480 $(PYTEST) -q -s -o faulthandler_timeout=0 -p no:cacheprovider \
		tests/load $(ARGS)

# SECONDS=60 is a minute.
sessions: SECONDS := 3600
sessions: $(VENV)/installed
	CCERT_SESSION_SECONDS=$(SECONDS) $(PYTEST) -q -s -o faulthandler_timeout=0 -p no:cacheprovider \
		tests/tls/test_session_property.py $(ARGS)

# SECONDS=60 is a minute for each: Python, C, C with AddressSanitizer, C with ThreadSanitizer.
threads: SECONDS := 600
threads: $(VENV)/installed
	CCERT_THREADS_SECONDS=$(SECONDS) $(PYTEST) -q -s -o faulthandler_timeout=0 -p no:cacheprovider \
		tests/tls/test_threads.py tests/c/test_c.py -k 'all_at_once or sharing' $(ARGS)

# Fetched, not vendored.  TLSFUZZER may be a clone of its repository.
foreign: TLSFUZZER := https://github.com/tlsfuzzer/tlsfuzzer
foreign: $(VENV)/installed
	@.ci/packages git libpython$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')-testsuite
	rm -rf $(VENV)/foreign && $(PYTHON) -m venv $(VENV)/foreign
	$(VENV)/foreign/bin/pip install --quiet --disable-pip-version-check sslyze
	! git clone --quiet --no-checkout $(TLSFUZZER) $(VENV)/foreign/tlsfuzzer || { \
		cd $(VENV)/foreign && git -C tlsfuzzer checkout HEAD -- tlsfuzzer requirements.txt \
		&& bin/pip install --quiet --disable-pip-version-check -r tlsfuzzer/requirements.txt; }
	$(BIN)/python tests/foreign $(VENV)/foreign/bin/python $(VENV)/foreign/tlsfuzzer

valgrind: $(VENV)/installed
	@.ci/packages valgrind
	@.ci/packages clang libclang-rt-dev || :
	CCERT_C_FUZZ_VALGRIND=100000 $(PYTEST) -o faulthandler_timeout=0 tests/c $(ARGS)

bench: $(VENV)/installed
	@.ci/packages valgrind
	@.ci/packages postfix || :
	$(PYTEST) bench -p no:cacheprovider -o faulthandler_timeout=0 --results=bench.json \
		--benchmark-columns=median,min,rounds --benchmark-group-by=param:kind $(ARGS)

# The rows that depend on OpenSSL most, with Debian 13's: docs/explanation/performance.md has both.
bench-trixie:
	.ci/chroot trixie bench 'gcc libc6-dev libssl-dev pkg-config python3-dev python3-venv valgrind' \
		/src/.ci/in-tree python3 python -m pytest -q -p no:cacheprovider -o faulthandler_timeout=0 \
		--results=/dist/bench-trixie.json bench/test_instructions.py bench/test_handshakes.py \
		bench/test_threads.py $(ARGS)

bench-scale: $(VENV)/installed
	@.ci/packages valgrind
	PYTHONPATH=bench/drivers:tests/support $(BIN)/python bench/scale.py scale.svg

# Python 3.14 without the GIL, from source: tests, then what threads gain.
free-threaded: TESTS := tests/tls
free-threaded: NEEDED := gcc libc6-dev libssl-dev pkg-config make curl xz-utils openssl valgrind \
	zlib1g-dev libffi-dev libsqlite3-dev libbz2-dev liblzma-dev libexpat1-dev
free-threaded:
	.ci/chroot trixie free-threaded '$(NEEDED)' /src/.ci/free-threaded $(TESTS) $(ARGS)

bench-smoke: $(VENV)/installed
	@.ci/packages valgrind
	@.ci/packages postfix || :
	$(PYTEST) bench -p no:cacheprovider --benchmark-disable $(ARGS)

# Without RESULTS: the plots and tables anew, from the numbers that they have.  A second file is of
# another OpenSSL: RESULTS='bench.json dist/bench-trixie.json'.
report: RESULTS := docs/explanation/performance/results.json
report: $(VENV)/installed
	$(BIN)/python bench/page.py docs/explanation $(RESULTS)

# What ccert must agree with, for other implementations: see docs/vectors.
vectors: $(VENV)/tools
	rm -rf vectors
	$(BIN)/python docs/vectors/generate.py vectors $(ARGS)

docs: $(VENV)/installed
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/build
	@echo 'open docs/build/index.html'

man: $(VENV)/installed
	$(BIN)/python docs/manpages.py docs/man

sdist: $(VENV)/installed
	rm -rf dist
	$(BIN)/python -m build --sdist
	rm -rf $(VENV)/sdist && $(PYTHON) -m venv $(VENV)/sdist
	$(VENV)/sdist/bin/pip install --quiet --disable-pip-version-check dist/*.tar.gz cryptography
	cd / && $(CURDIR)/$(VENV)/sdist/bin/python $(CURDIR)/tests/support/smoke.py

# Always the same octets from the same commit: its time is the time of all files.
wheel: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct)
wheel: $(VENV)/installed
	rm -rf dist
	$(BIN)/python -m build --sdist
	.ci/chroot bookworm build 'gcc libc6-dev libssl-dev pkg-config python3-dev python3-venv' \
		/src/.ci/build-wheel

# All that docs/releasing.md wants before an upload.
release-check:
	@test -z "$$(git status --porcelain)" || { echo 'commit first' >&2; exit 1; }
	CI=true $(MAKE) test
	$(MAKE) demo lint docs sdist wheel
	sha256sum dist/* >build.sha256
	$(MAKE) wheel # once more: the same octets
	sha256sum --check build.sha256
	$(MAKE) wheel-test SUITE=bookworm
	$(MAKE) wheel-test SUITE=trixie
	$(MAKE) wheel-test SUITE=sid
	@cat build.sha256

# The wheel in dist, on the Debian that SUITE names, without a compiler; PYTHON may be one of pyenv's.
wheel-test: SUITE := trixie
wheel-test:
	.ci/chroot $(SUITE) test 'mandoc openssl python3-venv $(PEERS)' \
		/src/.ci/test-dist wheel $(PYTHON) $(ARGS)

# The rows are in docs/reference/platforms.md; README.md has some of them.
matrix: SUITES := bookworm trixie sid openssl4
odd: SUITES := odd-user odd-net
matrix odd: $(VENV)/installed
	rm -rf dist
	$(BIN)/python -m build --sdist
	.ci/matrix $(SUITES)

fresh:
	.ci/matrix fresh

clean:
	rm -rf $(VENV) build docs/build dist fuzz vectors bench.json scale.svg build.sha256 src/*.egg-info .coverage .pytest_cache .mypy_cache .ruff_cache

# Installed, not linked to: what is tested is what users get.
$(VENV)/installed: $(VENV)/tools $(SOURCES)
	$(BIN)/pip install --quiet --no-build-isolation --no-deps --force-reinstall .
	@touch $@

$(VENV)/tools: $(VENV)/of$(subst /,-,$(PYTHON)) .ci/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r .ci/requirements.txt
	@touch $@

# What tests and builds need: each distribution in one version, each file by its SHA-256.
lock:
	$(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/pip install --quiet --disable-pip-version-check --upgrade uv
	$(PYTHON) .ci/requirements | $(VENV)/lock/bin/uv pip compile --quiet --universal --upgrade \
		--python-version 3.10 --generate-hashes --no-annotate --no-header --system-certs \
		--output-file .ci/requirements.txt -

# The venv is one Python's; with another, all is made anew.
$(VENV)/of%:
	@.ci/packages
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo 'PYTHON=$(PYTHON) is no Python 3.10 or later' >&2; exit 1; }
	rm -rf $(VENV)
	@mkdir -p $(VENV)
	@touch $@
