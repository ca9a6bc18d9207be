// What every benchmark prints: one table for people, or one JSON object for programs (--json).
#pragma once

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace qw::bench {

// One measured number. `note` says why a peer or a target is missing, or what the number means.
struct Measurement {
  std::string name;
  double value = 0;
  std::string unit;
  bool higher_is_better = false;
  std::optional<double> target;
  std::string peer;  // empty: there is none; its value absent: it could not be run, see note
  std::optional<double> peer_value;
  std::string note;
};

// Collects measurements and prints them. Not thread safe. A missed target is shown, never fatal.
class Report {
 public:
  explicit Report(std::string bench) : bench_(std::move(bench)) {}
  void add(Measurement measurement) { results_.push_back(std::move(measurement)); }

  void print(bool as_json) const {
    const std::string text = as_json ? json().dump(2) + "\n" : table();
    std::fwrite(text.data(), 1, text.size(), stdout);
  }

  nlohmann::ordered_json json() const {
    nlohmann::ordered_json all = {{"bench", bench_}, {"machine", machine()}};
    all["results"] = nlohmann::ordered_json::array();
    for (const Measurement& m : results_) {
      nlohmann::ordered_json row = {
          {"name", m.name},        {"value", m.value},
          {"unit", m.unit},        {"better", m.higher_is_better ? "higher" : "lower"},
          {"target", nullptr},     {"peer", nullptr},
          {"peer_value", nullptr}, {"ratio", nullptr}};
      if (m.target) row["target"] = *m.target;
      if (!m.peer.empty()) row["peer"] = m.peer;
      if (m.peer_value) {
        row["peer_value"] = *m.peer_value;
        if (*m.peer_value != 0) row["ratio"] = m.value / *m.peer_value;
      }
      if (!m.note.empty()) row["note"] = m.note;
      all["results"].push_back(std::move(row));
    }
    return all;
  }

  std::string table() const {
    std::string text = bench_ + " on " + machine() + "\n";
    text += line("name", "value", "unit", "target", "peer");
    for (const Measurement& m : results_) {
      std::string target = "-";
      if (m.target) {
        const bool met = m.higher_is_better ? m.value >= *m.target : m.value <= *m.target;
        target =
            (m.higher_is_better ? ">= " : "<= ") + number(*m.target) + (met ? " met" : " MISSED");
      }
      std::string peer = m.peer.empty() ? "-" : m.peer;
      if (m.peer_value) peer += " " + number(*m.peer_value);
      if (!m.note.empty()) peer += "  (" + m.note + ")";
      text += line(m.name, number(m.value), m.unit, target, peer);
    }
    return text;
  }

  // Processor and cores, as /proc tells them.
  static std::string machine() {
    std::ifstream cpuinfo("/proc/cpuinfo");
    std::string model = "unknown processor";
    for (std::string at; std::getline(cpuinfo, at);) {
      if (at.rfind("model name", 0) == 0 && at.find(": ") != std::string::npos) {
        model = at.substr(at.find(": ") + 2);
        break;
      }
    }
    return model + ", " + std::to_string(std::thread::hardware_concurrency()) + " cores";
  }

 private:
  static std::string number(double value) {
    char text[32];
    std::snprintf(text, sizeof text, value >= 10000 ? "%.0f" : "%.4g", value);
    return text;
  }
  static std::string line(const std::string& name, const std::string& value,
                          const std::string& unit, const std::string& target,
                          const std::string& rest) {
    std::string text = name;
    text.resize(std::max<size_t>(text.size() + 1, 46), ' ');
    const auto column = [&](const std::string& cell, size_t width) {
      text += cell;
      if (cell.size() < width) text.append(width - cell.size(), ' ');
      text += ' ';
    };
    column(value, 10);
    column(unit, 10);
    column(target, 16);
    return text + rest + "\n";
  }

  std::string bench_;
  std::vector<Measurement> results_;
};

}  // namespace qw::bench
