// `quickwater log`: prints what an application remembered, one JSON object a line. For an
// application that is not running.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <limits>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "app/runtime/decision_json.h"
#include "app/runtime/plan.h"
#include "app/runtime/record_names.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "store/commit/journal.h"
#include "store/commit/partitions.h"
#include "store/segments/history.h"

namespace qw::cli {
namespace {

using nlohmann::json;

struct Arguments {
  std::string what;
  std::string file = "app.yaml";
  std::string data;
};

constexpr Seq kEnd{std::numeric_limits<uint64_t>::max()};

void print(Io io, const json& line) {
  io.out << line.dump(-1, ' ', false, json::error_handler_t::replace) << '\n';
}

// Calls `use` with each record of the log; the first error ends it.
template <class Use>
Result<void> each_record(const store::Store& store, store::Log log, PartitionId partition,
                         const Use& use) {
  std::optional<Error> trouble;
  QW_TRY(store::History(store).scan(log, partition, Seq{}, kEnd,
                                    [&](Seq seq, std::string_view record) {
                                      const Result<void> used = use(seq, record);
                                      if (!used.ok()) trouble = used.error();
                                      return used.ok();
                                    }));
  if (trouble) return *trouble;
  return {};
}

// How a record of before names were stored is told apart from those that carry theirs.
const char* note_of(app::NamesFrom from) {
  switch (from) {
    case app::NamesFrom::kSchema: return nullptr;
    case app::NamesFrom::kPlan: return "application_file";
    case app::NamesFrom::kNowhere: return "none";
  }
  return nullptr;
}

// Every decision there ever was, also those that the application file no longer has.
Result<void> print_decisions(const store::Store& store, const app::Plan& plan, Io io) {
  store::Partitions partitions;
  QW_TRY(partitions.open(store));
  std::map<std::string, schema::DecisionSchema> planned;
  for (const app::PlanDecision& decision : plan.decisions)
    planned[decision.name] =
        serve::decision_schema(decision, plan.models[decision.model].engine.get());
  app::DecisionNames names(store);
  const auto print_one = [&](Seq, std::string_view record) -> Result<void> {
    QW_ASSIGN(const schema::DecisionRecord made, schema::decode_decision(record));
    const auto known = planned.find(made.decision);
    QW_ASSIGN(const app::RecordNames named,
              names.of(made, known == planned.end() ? nullptr : &known->second));
    json line = app::decision_json(plan.file.app.text, made, *named.schema,
                                   std::numeric_limits<double>::quiet_NaN());
    if (const char* const note = note_of(named.from)) line["names_from"] = note;
    print(io, line);
    return {};
  };
  for (const auto& [name, stream] : partitions.known())
    if (name.find('@') != std::string::npos)
      QW_TRY(each_record(store, store::Log::kDecisions, stream, print_one));
  return {};
}

Result<void> print_journal(const store::Store& store, Io io) {
  return each_record(store, store::Log::kJournal, store::kJournalPartition,
                     [&](Seq seq, std::string_view record) -> Result<void> {
                       QW_ASSIGN(const schema::JournalRecord entry, schema::decode_journal(record));
                       print(io, {{"seq", seq.value()},
                                  {"kind", entry.kind},
                                  {"at_us", entry.at_us},
                                  {"body", json::parse(entry.json, nullptr, false)}});
                       return {};
                     });
}

Result<void> print_dead_letters(const store::Store& store, Io io) {
  return each_record(store, store::Log::kDeadLetters, store::kJournalPartition,
                     [&](Seq, std::string_view record) -> Result<void> {
                       QW_ASSIGN(const schema::DeadLetter letter,
                                 schema::decode_dead_letter(record));
                       print(io, {{"source", letter.source},
                                  {"position", letter.position},
                                  {"reason", letter.reason},
                                  {"raw", letter.raw},
                                  {"at_us", letter.at_us}});
                       return {};
                     });
}

Result<void> print_log(const Arguments& arguments, const app::Plan& plan, Io io) {
  MetricRegistry metrics;
  store::StoreOptions options;
  options.folder = arguments.data.empty() ? plan.file.resolve(plan.file.data) : arguments.data;
  options.read_only = true;  // also on a full disk
  const auto opened = store::Store::open(options, metrics);
  if (!opened.ok() && opened.error().code == ErrorCode::kNotFound) return {};  // never ran
  if (!opened.ok()) return opened.error();
  const auto& store = *opened;
  if (arguments.what == "decisions") return print_decisions(*store, plan, io);
  if (arguments.what == "journal") return print_journal(*store, io);
  return print_dead_letters(*store, io);
}

}  // namespace

Run declare_log(CLI::App& command) {
  const auto arguments = std::make_shared<Arguments>();
  command.add_option("what", arguments->what, "decisions, journal or dead-letters")
      ->required()
      ->check(CLI::IsMember({"decisions", "journal", "dead-letters"}));
  add_file_argument(command, arguments->file);
  command.add_option("--data", arguments->data, "the data folder, in place of the file's `data`");
  return [arguments](Io io) {
    const auto plan = load_or_say(arguments->file, io);
    if (plan == nullptr) return kBadAppFile;
    const Result<void> printed = print_log(*arguments, *plan, io);
    return printed.ok() ? kOk : say(io, printed.error());
  };
}

}  // namespace qw::cli
