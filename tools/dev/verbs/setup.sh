#!/usr/bin/env bash
# ./dev setup [demo|test]: installs what the demo (default) or also the tests need.
. tools/dev/lib.sh
case ${1:-demo} in
  demo) setup demo ;;
  test) setup demo test ;;
  *) echo "./dev setup: '$1' is neither demo nor test" >&2; exit 2 ;;
esac
