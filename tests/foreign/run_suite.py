"""Run modules of CPython's own tests; print the outcome of each test as JSON.

Usage: run_suite.py stock|off|on MODULE…  The words say what is attached: nothing, or ccert with
trust_server_ccerts off or on.  Nothing is asked of the network.
"""

import json
import sys
import unittest

import attaching
from test import support


class Result(unittest.TextTestResult):
    """Remembers the worst outcome of each test; subtests count for theirs."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.outcomes = {}

    def startTest(self, test) -> None:  # noqa: N802 - unittest's
        super().startTest(test)
        self.outcomes[test.id()] = "passed"

    def addSkip(self, test, reason) -> None:  # noqa: N802 - likewise
        super().addSkip(test, reason)
        self.outcomes[test.id()] = "skipped"

    def stopTestRun(self) -> None:  # noqa: N802 - likewise
        super().stopTestRun()
        for failed, _ in self.failures + self.errors:
            self.outcomes[getattr(failed, "test_case", failed).id()] = "failed"


kind, *modules = sys.argv[1:]
support.use_resources = []
if kind != "stock":
    attaching.attach_all(setting=kind == "on")
tests = unittest.defaultTestLoader.loadTestsFromNames(modules)
result = unittest.TextTestRunner(sys.stderr, verbosity=2, resultclass=Result).run(tests)
json.dump(result.outcomes, sys.stdout)
