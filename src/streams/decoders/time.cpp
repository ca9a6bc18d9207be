#include "streams/decoders/time.h"

#include <absl/time/civil_time.h>
#include <absl/time/time.h>
#include <fmt/format.h>

#include <array>
#include <charconv>
#include <chrono>
#include <optional>

namespace qw::streams {
namespace {

constexpr int64_t kSecondUs = 1'000'000;

Error bad_time(std::string_view text, std::string_view why) {
  return Error{ErrorCode::kBadInput, fmt::format("'{}' {}", text.substr(0, 64), why), "", ""};
}

// Takes digits from the front of a text; remembers the first disappointment.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}
  int digits(size_t count) {
    int value = 0;
    for (size_t i = 0; i < count; ++i) {
      if (rest_.empty() || rest_.front() < '0' || rest_.front() > '9') return fail();
      value = value * 10 + (rest_.front() - '0');
      rest_.remove_prefix(1);
    }
    return value;
  }
  bool take(char wanted) {
    if (rest_.empty() || rest_.front() != wanted) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void need(char wanted) {
    if (!take(wanted)) fail();
  }
  std::string_view word(size_t count) {
    if (rest_.size() < count) {
      fail();
      return {};
    }
    const auto taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  int fail() {
    ok_ = false;
    return 0;
  }
  bool ok() const { return ok_; }
  std::string_view rest() const { return rest_; }
  // A decimal fraction after the point, in microseconds.
  int64_t fraction_us() {
    int64_t value = 0;
    size_t count = 0;
    while (!rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9') {
      if (count < 6) value = value * 10 + (rest_.front() - '0');
      ++count;
      rest_.remove_prefix(1);
    }
    if (count == 0) fail();
    for (; count < 6; ++count) value *= 10;
    return value;
  }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

struct Civil {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  int64_t fraction_us = 0;

  bool exists() const {
    const std::chrono::year_month_day date{std::chrono::year{year},
                                           std::chrono::month{static_cast<unsigned>(month)},
                                           std::chrono::day{static_cast<unsigned>(day)}};
    return date.ok() && hour <= 23 && minute <= 59 && second <= 59;
  }
  int64_t as_utc_us() const {
    const std::chrono::sys_days days{std::chrono::year{year} /
                                     std::chrono::month{static_cast<unsigned>(month)} /
                                     std::chrono::day{static_cast<unsigned>(day)}};
    const int64_t seconds =
        int64_t{days.time_since_epoch().count()} * 86'400 + hour * 3'600 + minute * 60 + second;
    return seconds * kSecondUs + fraction_us;
  }
};

// "Z", "+hh", "+hhmm", "+hh:mm"; nothing when the text is something else.
std::optional<int64_t> parse_offset_us(std::string_view text) {
  if (text == "Z" || text == "z") return 0;
  Scanner scanner(text);
  const bool minus = scanner.take('-');
  if (!minus && !scanner.take('+')) return std::nullopt;
  const int hours = scanner.digits(2);
  int minutes = 0;
  if (!scanner.rest().empty()) {
    scanner.take(':');
    minutes = scanner.digits(2);
  }
  if (!scanner.ok() || !scanner.rest().empty() || hours > 18 || minutes > 59) return std::nullopt;
  const int64_t offset_us = (hours * 3'600 + minutes * 60) * kSecondUs;
  return minus ? -offset_us : offset_us;
}

// A number of units, with a fraction where the unit leaves room, exactly.
Result<int64_t> parse_epoch(std::string_view text, int64_t unit_us) {
  const auto point = text.find('.');
  const auto whole_text = text.substr(0, point);
  int64_t whole = 0;
  const auto [end, error] =
      std::from_chars(whole_text.data(), whole_text.data() + whole_text.size(), whole);
  if (error != std::errc{} || end != whole_text.data() + whole_text.size())
    return bad_time(text, "is not a number of seconds, milliseconds or microseconds");
  int64_t fraction_us = 0;
  if (point != std::string_view::npos) {
    Scanner scanner(text.substr(point + 1));
    fraction_us = scanner.fraction_us() / (kSecondUs / unit_us);
    if (!scanner.ok() || !scanner.rest().empty()) return bad_time(text, "is not a number");
  }
  int64_t time_us = 0;
  if (__builtin_mul_overflow(whole, unit_us, &time_us) ||
      __builtin_add_overflow(time_us, text.front() == '-' ? -fraction_us : fraction_us, &time_us))
    return bad_time(text, "is outside the range of a timestamp");
  return time_us;
}

constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

}  // namespace

struct TimeParser::Zone {
  absl::TimeZone zone;

  Result<int64_t> to_utc_us(const Civil& civil, std::string_view text) const {
    const absl::CivilSecond local(civil.year, civil.month, civil.day, civil.hour, civil.minute,
                                  civil.second);
    const auto info = zone.At(local);
    if (info.kind == absl::TimeZone::TimeInfo::SKIPPED)
      return bad_time(text, "does not exist in the declared zone (the clock is put forward)");
    return absl::ToUnixSeconds(info.pre) * kSecondUs + civil.fraction_us;
  }
};

Result<TimeParser> TimeParser::make(TimeForm form, const std::string& zone) {
  TimeParser parser;
  parser.form_ = form;
  if (zone.empty()) return parser;
  auto found = std::make_shared<Zone>();
  if (const auto offset_us = parse_offset_us(zone)) {
    found->zone = absl::FixedTimeZone(static_cast<int>(*offset_us / kSecondUs));
  } else if (!absl::LoadTimeZone(zone, &found->zone)) {
    return Error{ErrorCode::kBadInput, fmt::format("the zone '{}' is unknown", zone), "",
                 "write 'UTC', an offset such as '+02:00', or an IANA name such as 'Europe/Berlin'"
                 " (the package tzdata holds them)"};
  }
  parser.zone_ = std::move(found);
  return parser;
}

bool TimeParser::numeric() const {
  return form_ == TimeForm::kEpochSeconds || form_ == TimeForm::kEpochMillis ||
         form_ == TimeForm::kEpochMicros;
}

Result<int64_t> TimeParser::parse(std::string_view text) const {
  switch (form_) {
    case TimeForm::kIso8601: return parse_iso8601(text);
    case TimeForm::kCommonLog: return parse_common_log(text);
    case TimeForm::kEpochSeconds: return parse_epoch(text, kSecondUs);
    case TimeForm::kEpochMillis: return parse_epoch(text, 1'000);
    case TimeForm::kEpochMicros: return parse_epoch(text, 1);
  }
  return bad_time(text, "cannot be read");
}

Result<int64_t> TimeParser::parse_iso8601(std::string_view text) const {
  Scanner scanner(text);
  Civil civil;
  civil.year = scanner.digits(4);
  scanner.need('-');
  civil.month = scanner.digits(2);
  scanner.need('-');
  civil.day = scanner.digits(2);
  if (scanner.ok() && !scanner.rest().empty()) {
    if (!scanner.take('T') && !scanner.take('t')) scanner.need(' ');
    civil.hour = scanner.digits(2);
    scanner.need(':');
    civil.minute = scanner.digits(2);
    if (scanner.take(':')) {
      civil.second = scanner.digits(2);
      if (scanner.take('.') || scanner.take(',')) civil.fraction_us = scanner.fraction_us();
    }
  }
  if (!scanner.ok()) return bad_time(text, "is not an ISO 8601 time");
  if (!civil.exists()) return bad_time(text, "is not a time of the calendar");
  if (scanner.rest().empty()) {
    if (zone_ == nullptr) return bad_time(text, "has no offset and the source declares no zone");
    return zone_->to_utc_us(civil, text);
  }
  const auto offset_us = parse_offset_us(scanner.rest());
  if (!offset_us) return bad_time(text, "does not end in an offset such as Z or +02:00");
  return civil.as_utc_us() - *offset_us;
}

// As web servers write it: "10/Oct/2000:13:55:36 -0700".
Result<int64_t> TimeParser::parse_common_log(std::string_view text) const {
  Scanner scanner(text);
  Civil civil;
  civil.day = scanner.digits(2);
  scanner.need('/');
  const auto name = scanner.word(3);
  for (size_t i = 0; i < kMonths.size(); ++i)
    if (kMonths[i] == name) civil.month = static_cast<int>(i) + 1;
  scanner.need('/');
  civil.year = scanner.digits(4);
  scanner.need(':');
  civil.hour = scanner.digits(2);
  scanner.need(':');
  civil.minute = scanner.digits(2);
  scanner.need(':');
  civil.second = scanner.digits(2);
  scanner.need(' ');
  const auto offset_us = parse_offset_us(scanner.rest());
  if (!scanner.ok() || !offset_us || !civil.exists())
    return bad_time(text, "is not a time such as 10/Oct/2000:13:55:36 -0700");
  return civil.as_utc_us() - *offset_us;
}

}  // namespace qw::streams
