// The log: what happened, as one line with fields, for people or as JSON. An event is a short constant phrase
// ("connection refused"); what varies goes into fields, so that lines can be counted and filtered. Of a field's text
// the first 512 bytes or so are told.
//
// Threads: any; a line is written whole. The stream outlives the log.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <concepts>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/time.h"

namespace petrel {

enum class LogLevel : std::uint8_t { kError, kWarning, kInfo, kDebug };
enum class LogFormat : std::uint8_t { kHuman, kJson };

struct LogField {
  std::string_view key;
  std::string_view text;
  std::uint64_t number = 0;  // with is_negative: two's complement
  bool is_number = false;
  bool is_negative = false;

  LogField(std::string_view k, std::string_view value) : key(k), text(value) {}
  LogField(std::string_view k, const char* value) : key(k), text(value) {}
  LogField(std::string_view k, const std::string& value) : key(k), text(value) {}
  LogField(std::string_view k, std::integral auto value)
      : key(k), number(static_cast<std::uint64_t>(value)), is_number(true), is_negative(std::cmp_less(value, 0)) {}
};
using LogFields = std::initializer_list<LogField>;

class Log {
 public:
  explicit Log(std::FILE* out = stderr, LogLevel level = LogLevel::kInfo, LogFormat format = LogFormat::kHuman)
      : out_(out), level_(level), format_(format) {}

  bool enabled(LogLevel level) const { return level <= level_; }
  void write(LogLevel level, std::string_view event, LogFields fields);
  void error(std::string_view event, LogFields fields = {}) { write(LogLevel::kError, event, fields); }
  void warning(std::string_view event, LogFields fields = {}) { write(LogLevel::kWarning, event, fields); }
  void info(std::string_view event, LogFields fields = {}) { write(LogLevel::kInfo, event, fields); }
  void debug(std::string_view event, LogFields fields = {}) { write(LogLevel::kDebug, event, fields); }

  // One line without its end; the time is milliseconds since the Unix epoch.
  static std::string format(LogFormat format, std::int64_t time_ms, LogLevel level, std::string_view event,
                            LogFields fields);

 private:
  std::FILE* out_;
  LogLevel level_;
  LogFormat format_;
  std::mutex mutex_;
};

// For events that strangers can cause at will: of each event at most kLinesPerInterval lines within kIntervalMs, then
// one line that tells how many were left out. Time is told by the owner. Threads: one user.
class LogLimiter {
 public:
  explicit LogLimiter(Log& log) : log_(log) {}
  void error(std::string_view event, LogFields fields) { write(LogLevel::kError, event, fields); }
  void warning(std::string_view event, LogFields fields) { write(LogLevel::kWarning, event, fields); }
  void info(std::string_view event, LogFields fields) { write(LogLevel::kInfo, event, fields); }

  // Tells what was left out in intervals that have ended. Cheap when there is nothing to tell.
  void advance(TimeMs now) {
    now_ = now;
    if (now >= next_report_) report();
  }
  // When advance() has something to tell; kNever: nothing was left out.
  TimeMs next_report() const { return next_report_; }
  // Tells all that was left out, whether or not its interval has ended: the owner is about to go.
  void finish();

  static constexpr std::uint32_t kLinesPerInterval = 20;
  static constexpr TimeMs kIntervalMs = 10'000;

 private:
  struct Seen {
    TimeMs since = 0;
    std::uint32_t lines = 0;
    std::uint64_t left_out = 0;
    LogLevel level = LogLevel::kInfo;
  };
  void write(LogLevel level, std::string_view event, LogFields fields);
  void report();
  void tell(std::string_view event, Seen& seen);

  Log& log_;
  TimeMs now_ = 0;
  TimeMs next_report_ = kNever;
  std::unordered_map<std::string_view, Seen> seen_;  // events are constants of the program
};

}  // namespace petrel
