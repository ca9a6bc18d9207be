"""Aim: no number in the source cuts a promise in silence: docs/reference/limits.md has each limit, or it is said here
to be none.
Method: names that end or begin as limits do are gathered from src/ and looked for on the page, by name."""
import os
import pathlib
import re

root = pathlib.Path(os.environ["QUICKWATER_SOURCE_DIR"])
PAGE = (root / "docs/reference/limits.md").read_text()

# Sizes of one step of work, of a format or of a computation: whatever the size, the result is the same.
NO_PROMISE = {
    "kBinMax", "kDecimalLimit", "kDifferenceMax", "kShortRowsMax", "kPeriodHoursMax", "kBinsMax", "kHistogramsMax",
    "kFeaturesMax", "kTreesMax", "kNeighboursMax", "kVectorElementsMax", "kMovedMax", "kRawMax", "kMaxBatchRows",
    "kMostHeld", "kMostAtOnce",
    "kDirtyBytesMax", "kSignatureAgeMaxS", "kMostBytes", "kMaxClockStepUs", "max_clock_step_us",
    "max_pending_bytes", "max_queued_kbytes", "max_backoff_ms", "stop_limit_ms", "commit_limit_us", "change_limit_ms",
    "memory_limit_bytes", "replay_max_us", "kMostDigits", "kSpreadMost"}
# Defaults of settings that the first table has under their own names.
SETTINGS = {"max_future_us", "max_rows", "max_record_bytes", "max_files", "max_pending_requests", "max_records",
            "max_processes", "max_keys", "rebuild_max",
            "keys_max", "attempts_max", "limit_count", "limit_per_us", "max_age_us", "max_size_bytes"}

CONSTANT = re.compile(r"constexpr\s+[\w:<> ]+?\b"
                      r"(k(?:Max|Most)[A-Z]\w*|k\w*(?:Max|Most|Limit)(?:Us|Ms|S|Bytes)?|kMost)\s*=")
FIELD = re.compile(r"^\s*(?:static )?(?:constexpr )?(?:u?int\d+_t|size_t|int|double)\s+"
                   r"(max_\w*[a-z]|\w+_max(?:_\w*[a-z])?|\w*limit(?:_\w*[a-z])?)\s*=\s*[^;0]*[1-9]", re.M)

found = set()
for path in sorted((root / "src").rglob("*")):
    if path.suffix not in (".h", ".cpp") or path.stem.endswith("_test") or "/train/nab/" in str(path):
        continue
    text = path.read_text()
    names = CONSTANT.findall(text) + (FIELD.findall(text) if path.suffix == ".h" else [])
    found |= {(name, str(path.relative_to(root))) for name in names}
missing = sorted((name, path) for name, path in found
                 if name not in NO_PROMISE | SETTINGS and f"`{name}`" not in PAGE)
for name, path in missing:
    print(f"{path}: {name} is not on docs/reference/limits.md: say what happens beyond it and how that is noticed, "
          "or make it a setting")
gone = sorted(set(re.findall(r"`(k[A-Z]\w+)`", PAGE)) - {name for name, path in found}
              - {"kDeadLetterRawBytes", "kMinEventTimeUs"})
for name in gone:
    print(f"docs/reference/limits.md names {name}, which the source no longer has")
good = len(found) > 50 and not missing and not gone
print(f"{int(good)} passed, {int(not good)} failed, 0 skipped")
raise SystemExit(0 if good else 1)
