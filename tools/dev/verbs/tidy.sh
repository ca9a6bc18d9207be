#!/usr/bin/env bash
# ./dev tidy: the house rules, and the tests of the checker itself.
. tools/dev/lib.sh
step "tidy's own tests" "mend tools/tidy.py" python3 tools/tidy_test.py
python3 tools/tidy.py
