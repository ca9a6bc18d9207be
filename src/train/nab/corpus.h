// The Numenta Anomaly Benchmark's files: 58 series with labelled windows.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "models/engine.h"

namespace qw::train::nab {

// A labelled anomaly: first and last row time, as the labels give them.
struct Window {
  int64_t first_us = 0;
  int64_t last_us = 0;
};

// One file of the benchmark. A value.
struct Series {
  std::string name;  // folder/file.csv
  std::vector<models::Observation> rows;
  std::vector<Window> windows;
};

// The weights of one application profile.
struct Profile {
  std::string name;
  double true_positive = 0;
  double false_positive = 0;
  double false_negative = 0;
};

// The benchmark, or some of its files. A value.
struct Corpus {
  std::vector<Series> series;
  std::vector<Profile> profiles;  // standard, reward_low_FP_rate, reward_low_FN_rate
};

// Reads folder/{data,labels/combined_windows.json,config/profiles.json}. kNotFound or kBadInput
// name the file (and line) that is missing or wrong.
Result<Corpus> read_corpus(const std::string& folder);

// "2014-04-10 07:15:00" with or without ".000000", UTC, to microseconds. kBadInput otherwise.
Result<int64_t> parse_time_us(const std::string& text);

}  // namespace qw::train::nab
