// Starts, watches and ends one demo incident: a load in a child process of this very program.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "app/incident/load.h"

namespace qw::app {

enum class IncidentState : uint8_t {
  kRunning,
  kEnded,    // its time was over
  kStopped,  // by a person
  kHealed,   // by a healing action
  kFailed,   // it could not do its work: `message`
};
std::string_view name_of(IncidentState state);  // "running", "ended", ...

// What the control API says of an incident. A value.
struct IncidentStatus {
  std::string id;  // "inc-1795424390000000": from its start
  IncidentKind kind = IncidentKind::kCpu;
  IncidentState state = IncidentState::kRunning;
  int64_t started_us = 0;
  int64_t ends_us = 0;  // at the latest; once it is over: when it ended
  std::string message;
};

// The file of this program, by its own name, so that what it starts is listed as what it is.
std::string own_program();

// The incidents of one application. At most one runs; it ends with its time, with stop(), with this
// object and with this process (also by kill -9). Any thread. Owns one thread while one runs.
class Incidents {
 public:
  // How loads are started. A value.
  struct Options {
    // The program and its leading arguments, before `KIND --seconds N ...`.
    std::vector<std::string> program = {own_program(), "incident"};
    std::string folder = ".";  // for the disk kind
    // Told when an incident begins and when it is over, in this order, on the watching thread; must
    // not call start() or stop().
    std::function<void(const IncidentStatus&)> on_change;
  };
  Incidents(Options options, const Clock& clock);
  ~Incidents();
  Incidents(const Incidents&) = delete;
  Incidents& operator=(const Incidents&) = delete;

  // kConflict when one runs or after end(); kBadInput; kIo when the program cannot be started.
  Result<IncidentStatus> start(IncidentKind kind, int seconds);
  // Asks it to end and does not wait; on_change tells when it has. `how`: kStopped or kHealed.
  // kNotFound when none runs.
  Result<IncidentStatus> ask_to_end(IncidentState how);
  // The same, and waits until it is over (at most about 2 s).
  Result<IncidentStatus> stop(IncidentState how);
  // Ends the one that runs, waits until on_change has returned, and starts none any more.
  void end();
  // The running one, or the last; nothing before the first.
  std::optional<IncidentStatus> status() const;

 private:
  struct Child;
  void watch(const IncidentStatus& begun, std::vector<std::string> arguments);
  void finish(IncidentState state, std::string message);

  Options options_;
  const Clock& clock_;
  std::mutex start_mutex_;  // one start() at a time; taken before mutex_
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<IncidentStatus> status_;
  bool closed_ = false;   // by end()
  bool started_ = false;  // the watching thread has tried to start it
  std::optional<Error> start_error_;
  std::optional<IncidentState> wish_;  // how it is to end early
  int wake_fd_ = -1;
  std::thread thread_;
};

}  // namespace qw::app
