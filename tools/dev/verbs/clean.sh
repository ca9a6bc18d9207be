#!/usr/bin/env bash
# ./dev clean [--all]: removes what was built; --all also what was fetched.
. tools/dev/lib.sh
rm -rf build build-* .cache ui/dist
case ${1:-} in
  '') echo "removed build*, .cache and ui/dist (fetched libraries stay: ./dev clean --all)" ;;
  --all) rm -rf .deps ui/node_modules; echo "removed build*, .cache, ui/dist, ui/node_modules and .deps" ;;
  *) echo "./dev clean: unknown option '$1'" >&2; exit 2 ;;
esac
