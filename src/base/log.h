// The log: what happened, as one line with fields, for people or as JSON. An event is a short constant phrase
// ("connection refused"); what varies goes into fields, so that lines can be counted and filtered.
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

namespace petrel {

enum class LogLevel : std::uint8_t { kError, kWarning, kInfo, kDebug };
enum class LogFormat : std::uint8_t { kHuman, kJson };

struct LogField {
  std::string_view key;
  std::string_view text;
  std::int64_t number = 0;
  bool is_number = false;

  LogField(std::string_view k, std::string_view value) : key(k), text(value) {}
  LogField(std::string_view k, const char* value) : key(k), text(value) {}
  LogField(std::string_view k, const std::string& value) : key(k), text(value) {}
  LogField(std::string_view k, std::integral auto value)
      : key(k), number(static_cast<std::int64_t>(value)), is_number(true) {}
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
// one line that tells how many were left out. Threads: one user.
class LogLimiter {
 public:
  explicit LogLimiter(Log& log) : log_(log) {}
  void error(std::string_view event, LogFields fields) { write(LogLevel::kError, event, fields); }
  void warning(std::string_view event, LogFields fields) { write(LogLevel::kWarning, event, fields); }
  void info(std::string_view event, LogFields fields) { write(LogLevel::kInfo, event, fields); }

  static constexpr std::uint32_t kLinesPerInterval = 20;
  static constexpr std::int64_t kIntervalMs = 10'000;

 private:
  void write(LogLevel level, std::string_view event, LogFields fields);
  struct Seen {
    std::int64_t since_ms = 0;
    std::uint32_t lines = 0;
    std::uint64_t left_out = 0;
  };
  Log& log_;
  std::unordered_map<std::string_view, Seen> seen_;  // events are constants of the program
};

}  // namespace petrel
