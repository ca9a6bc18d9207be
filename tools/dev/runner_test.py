#!/usr/bin/env python3
"""Aim: the output of a failed suite shows its cause, however long it is. Method: excerpts of made-up logs."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from runner import summary  # noqa: E402


class Excerpt(unittest.TestCase):
    def test_shows_a_failure_far_from_the_end(self):
        lines = ["before"] * 50 + ["x_test.cpp:12: Failure", "  Expected: 1", "  Actual: 2"] + ["noise"] * 500
        shown = list(summary.excerpt(lines))
        for wanted in ("x_test.cpp:12: Failure", "  Expected: 1", "  Actual: 2", "noise"):
            self.assertIn(wanted, shown)
        self.assertEqual(shown.count("..."), 2)
        self.assertLess(len(shown), 80)

    def test_shows_a_short_log_whole_and_once(self):
        lines = ["one", "Traceback (most recent call last):", "two"]
        self.assertEqual(list(summary.excerpt(lines)), lines)

    def test_is_bounded(self):
        shown = list(summary.excerpt(["y_test.cpp:1: Failure", "z" * 100_000] * 1000))
        self.assertLess(sum(map(len, shown)), 100_000)


if __name__ == "__main__":
    unittest.main()
