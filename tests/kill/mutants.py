"""Aim: each step of a commit is needed, and the kill test sees it. Takes out one step after another in a copy of the
sources, builds the program there and runs the kill test on it, which must fail each time.

  mutants.py BUILD_FOLDER [--only WORD] [--kills N]     by hand: `./dev test --mutants`; minutes, not part of CI
"""
import argparse
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


@dataclasses.dataclass
class Mutant:
    """One step taken out: `old`, which `file` holds exactly once, becomes `new`."""
    step: str
    file: str
    old: str
    new: str = ""


PIPELINE, CHECKPOINTER = "src/app/runtime/pipeline.cpp", "src/store/commit/checkpointer.cpp"
CHECKPOINT = "      txn.checkpoint(id_of(entry.key), entry.applied, entry.state->image(scratch_), entry.pages);"
COMMITTER = "src/store/commit/committer.cpp"
LOG_ROW = "taken_.txn.append(row.log, row.partition, last, row.bytes);"
GATE = "for (const auto& [name, value] : changes.put) txn.put_meta(name, value);"

MUTANTS = [
    Mutant("event log", PIPELINE,
           "lane_.open().txn.append(store::Log::kEvents, moment.partition.id, moment.facts.seq, record);"),
    Mutant("position", PIPELINE, "if (batch.resume.empty()) return;", "if (!batch.resume.empty()) return;"),
    Mutant("gate: ids", "src/streams/gate_store.cpp", GATE,
           'for (const auto& [name, value] : changes.put)\n    if (name.find("/ids/") == std::string::npos)'
           " txn.put_meta(name, value);"),
    Mutant("gate: watermark and last seq", "src/streams/gate_store.cpp", GATE,
           'for (const auto& [name, value] : changes.put)\n    if (name.find("/ids/") != std::string::npos)'
           " txn.put_meta(name, value);"),
    Mutant("dead letters", PIPELINE,
           "    lane_.open().append_numbered(store::Log::kDeadLetters, store::kJournalPartition,\n"
           "                                 std::move(bytes));\n"),
    Mutant("decisions", PIPELINE, "open.txn.append(store::Log::kDecisions, stream, record.event_seq, bytes);"),
    Mutant("views", "src/store/keyed_state.cpp", CHECKPOINT,
           'options_.owner.starts_with("view/") ? 0 :\n' + CHECKPOINT),
    Mutant("detectors", "src/store/keyed_state.cpp", CHECKPOINT,
           'options_.owner.starts_with("model/") ? 0 :\n' + CHECKPOINT),
    Mutant("how far checkpoints reach", CHECKPOINTER,
           "put_low_water(open.txn, *table, table->low_water(head));", "(void)head;"),
    Mutant("alert state", "src/app/runtime/alerting.cpp",
           "open.txn.put_meta(meta_name(decision, stream, key), bytes);", "(void)open;"),
    Mutant("journal", COMMITTER, LOG_ROW, "if (row.log != Log::kJournal) " + LOG_ROW),
    Mutant("outbox rows", COMMITTER, "taken_.txn.put_outbox(row.sink, last, row.bytes);", "row.bytes.clear();"),
    Mutant("other lanes than the pipeline's", COMMITTER, "if (!of_lane_.empty()) taken_.add(of_lane_);",
           'if (lane->name() == "events") taken_.add(of_lane_);\n    else of_lane_.clear();'),
    Mutant("outbox: what was delivered", "src/streams/outbox.cpp",
           "for (const Seq seq : ended) txn.erase_outbox(options.sink, seq);"),
    Mutant("numbers of partitions", "src/store/commit/partitions.cpp",
           "txn.put_meta(meta::partition(name), std::to_string(id.value()));", "(void)txn;"),
    Mutant("the database's log", "src/store/store.cpp", "options.sync = sync;",
           "options.sync = false, options.disableWAL = sync || !sync;"),
]


def copy_sources(copy):
    """The working tree as it is; what did not change keeps its time, so that a second run builds little."""
    listing = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, text=True,
                             stdout=subprocess.PIPE).stdout.splitlines()
    for name in listing:
        source, target = ROOT / name, copy / name
        if not source.is_file() or (target.exists() and target.read_bytes() == source.read_bytes()):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    if (ROOT / ".deps").exists() and not (copy / ".deps").exists():
        (copy / ".deps").symlink_to((ROOT / ".deps").resolve())


def build(copy):
    done = subprocess.run(["ninja", "-C", copy / "build", "quickwater"], text=True, stdout=subprocess.PIPE)
    return "" if done.returncode == 0 else done.stdout[-3000:]


def judge(mutant, copy, kills):
    """(killed, what the kill test said)."""
    path = copy / mutant.file
    whole = path.read_text()
    if whole.count(mutant.old) != 1:
        return False, f"{mutant.file} holds {whole.count(mutant.old)} times: {mutant.old}"
    path.write_text(whole.replace(mutant.old, mutant.new))
    try:
        trouble = build(copy)
        if trouble:
            return False, f"does not build: {trouble}"
        command = [sys.executable, ROOT / "tests/kill/kill_test.py", copy / "build/quickwater", "--kills", str(kills),
                   "--per-run", "4", "--limit-s", "60"]
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE)
        lines = done.stdout.strip().splitlines() or [""]
        return done.returncode == 1 and lines[-1].startswith("0 passed, 1 failed"), " ".join(lines[:-1])
    finally:
        path.write_text(whole)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build_folder")
    parser.add_argument("--only", default="", metavar="WORD")
    parser.add_argument("--kills", type=int, default=16)
    arguments = parser.parse_args()
    copy = pathlib.Path(arguments.build_folder).resolve() / "mutants"
    copy_sources(copy)
    subprocess.run(["cmake", "-S", copy, "-B", copy / "build", "-G", "Ninja", "-DQW_TESTS=ON"], check=True,
                   stdout=subprocess.DEVNULL)
    killed = survived = 0
    for mutant in MUTANTS:
        if arguments.only not in mutant.step:
            continue
        began = time.monotonic()
        red, said = judge(mutant, copy, arguments.kills)
        killed, survived = killed + red, survived + (not red)
        print(f"{'red' if red else 'NOT SEEN':8} without {mutant.step:30} {time.monotonic() - began:6.0f} s  "
              f"{said[:100]} {said[100:][-200:]}", flush=True)
    print(f"{killed} passed, {survived} failed, 0 skipped")
    return 1 if survived or not killed else 0


if __name__ == "__main__":
    os.environ.pop("QUICKWATER_FAIL_POINT", None)
    sys.exit(main())
