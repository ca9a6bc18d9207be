"""Aim: docs/flow.md names only files that exist, so that a stranger finds every step."""
import os
import pathlib
import re

root = pathlib.Path(os.environ["QUICKWATER_SOURCE_DIR"])
named = re.findall(r"`((?:src|docs|tests)/[\w/.]+\.\w+)`", (root / "docs/flow.md").read_text())
missing = [name for name in named if not (root / name).exists()]
for name in missing:
    print(f"docs/flow.md names {name}, which does not exist")
good = len(named) > 20 and not missing
print(f"{int(good)} passed, {int(not good)} failed, 0 skipped")
raise SystemExit(0 if good else 1)
