// The settings table: every key of the application file, said once. Parser, help and reference page
// are made from it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace qw::schema {

// What may stand at a key.
enum class SettingKind : uint8_t {
  kGroup,       // further keys
  kGroups,      // a list of groups; the rows of one are below "PATH[]"
  kMap,         // names of the user's choice; what each may hold is the row "PATH.*"
  kText,        // any text
  kTexts,       // a list of texts
  kName,        // letters, digits, _ and -; begins with a letter
  kIdentifier,  // a name that expressions can use: no -, no word of the expression language
  kReference,   // the name of something else in the file
  kReferences,  // one such name, or a list
  kExpression,  // text for the expression compiler
  kBool,
  kInteger,
  kNumber,
  kShare,      // "20%"
  kDuration,   // "500ms", "30s", "1m", "1h", "7d"
  kSize,       // "64KB", "1MB", "2GB": powers of 1000; KiB, MiB, GiB: of 1024
  kRate,       // "3/10m"
  kChoice,     // one of `allowed`
  kResolved,   // text that may hold ${VAR} or be file:PATH; printed as written
  kSecret,     // the same, and hidden even when written out in the file
  kWindows,    // a list of "1m" or "7d/1h"
  kType,       // a column's type
  kVersion,    // "registry:NAME@ALIAS"
  kCondition,  // ">= champion - 0.5"
  kScalar,     // a number, true, false or a text
  kBounds,     // [lowest, highest], either may be null
};

// One row. All texts are as a user would write them.
struct Setting {
  std::string_view path = {};  // "sources[].kafka.topic"; "schema.*" is a name the user chooses
  SettingKind kind = SettingKind::kText;
  bool required = false;           // where its group is given (and `with` holds)
  std::string_view fallback = {};  // what holds when it is left out; "": nothing
  std::string_view allowed = {};   // "a|b|c" for choices, "LOW..HIGH" for quantities; "": no limit
  std::string_view with = {};      // a sibling key without which this one means nothing; "": none
  std::string_view help = {};      // one or two sentences: what it does, unit, cost
  std::string_view example = {};
};

// Exactly one (or, not `required`, at most one) of these keys is in the group.
struct OneOf {
  std::string_view path = {};  // of the group
  std::string_view keys;       // "host|file|http|kafka"
  bool required = true;
};

// The application file's rows, parents before children, in the order of the reference page.
std::span<const Setting> app_file_settings();
std::span<const OneOf> app_file_one_ofs();
const Setting* find_setting(std::string_view path);
// The rows directly below a path ("" for the top).
std::vector<const Setting*> settings_below(std::string_view path);
// "brokers" of "sources[].kafka.brokers".
std::string_view last_part(std::string_view path);

std::string_view name_of(SettingKind kind);  // "duration"
// "a duration such as 30s", for "expected ...".
std::string expected(const Setting& setting);
std::vector<std::string> split_choices(std::string_view allowed);

// Values as written. kBadInput names what was found and what is allowed; `how_to_mend` may be
// empty.
Result<int64_t> parse_duration_us(std::string_view text);
// The shortest such text: 3600000000 -> "1h".
std::string format_duration(int64_t duration_us);
Result<int64_t> parse_size_bytes(std::string_view text);
Result<int64_t> parse_integer(std::string_view text);
Result<double> parse_number(std::string_view text);
Result<double> parse_share(std::string_view text);                        // 0..1
Result<std::pair<int64_t, int64_t>> parse_rate(std::string_view text);    // count, per microseconds
Result<std::pair<int64_t, int64_t>> parse_window(std::string_view text);  // size, step (0: none)
Result<void> check_name(std::string_view text, SettingKind kind);
// The quantity of a kInteger, kNumber, kShare, kDuration or kSize is within "LOW..HIGH".
Result<void> check_range(const Setting& setting, std::string_view text);

// The candidate nearest to a wrong name (at most a third of its letters off, case ignored), or "".
std::string nearest(std::string_view wrong, const std::vector<std::string>& candidates);
// "did you mean 'x'?", "use one of a, b, c", or "" without candidates.
std::string suggestion(std::string_view wrong, const std::vector<std::string>& candidates);

// The page docs/reference/app-file.md.
std::string app_file_reference();
// Help for a terminal: the keys below `path` ("" for the top), or one key in full. kNotFound with a
// suggestion.
Result<std::string> app_file_help(std::string_view path);

}  // namespace qw::schema
