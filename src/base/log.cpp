#include "base/log.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <iterator>

#include "base/utf8.h"

namespace petrel {

namespace {

constexpr std::string_view kNames[] = {"error", "warning", "info", "debug"};
constexpr std::string_view kHumanNames[] = {"ERROR", "WARN ", "INFO ", "DEBUG"};

// What strangers name themselves and their topics may be 65 535 bytes long: a line holds the beginning of it.
constexpr std::size_t kMostFieldBytes = 512;

void append_escaped(std::string& line, std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    if (i >= kMostFieldBytes) {
      fmt::format_to(std::back_inserter(line), "... ({} bytes)", text.size());
      return;
    }
    const char c = text[i];
    if (c == '"' || c == '\\') {
      line += '\\';
      line += c;
      ++i;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      fmt::format_to(std::back_inserter(line), "\\u{:04x}", static_cast<unsigned char>(c));
      ++i;
    } else if (c == '\xc2' && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) >= 0x80 &&
               static_cast<unsigned char>(text[i + 1]) <= 0x9f) {
      // The control characters U+0080 to U+009F, which terminals obey too.
      fmt::format_to(std::back_inserter(line), "\\u{:04x}", static_cast<unsigned char>(text[i + 1]));
      i += 2;
    } else if (const std::size_t length = utf8_sequence(text.substr(i)); length != 0) {
      line.append(text, i, length);
      i += length;
    } else {
      fmt::format_to(std::back_inserter(line), "\\ufffd");
      ++i;
    }
  }
}

bool is_plain(std::string_view text) {
  if (text.empty() || text.size() > kMostFieldBytes) return false;
  for (const char c : text)
    if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f || c == '"' || c == '\\' ||
        c == '=')
      return false;
  return true;
}

void append_time(std::string& line, std::int64_t time_ms) {
  const std::time_t seconds = static_cast<std::time_t>(time_ms / 1000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  fmt::format_to(std::back_inserter(line), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900,
                 parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, time_ms % 1000);
}

void append_number(std::string& line, const LogField& field) {
  if (field.is_negative) {
    fmt::format_to(std::back_inserter(line), "{}", static_cast<std::int64_t>(field.number));
  } else {
    fmt::format_to(std::back_inserter(line), "{}", field.number);
  }
}

std::int64_t wall_ms() {
  using std::chrono::duration_cast;
  return duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

std::string Log::format(LogFormat format, std::int64_t time_ms, LogLevel level, std::string_view event,
                        LogFields fields) {
  std::string line;
  const auto index = static_cast<std::size_t>(level);
  if (format == LogFormat::kJson) {
    line += R"({"time":")";
    append_time(line, time_ms);
    fmt::format_to(std::back_inserter(line), R"(","level":"{}","event":")", kNames[index]);
    append_escaped(line, event);
    line += '"';
    for (const LogField& field : fields) {
      fmt::format_to(std::back_inserter(line), R"(,"{}":)", field.key);
      if (field.is_number) {
        append_number(line, field);
      } else {
        line += '"';
        append_escaped(line, field.text);
        line += '"';
      }
    }
    line += '}';
    return line;
  }
  append_time(line, time_ms);
  fmt::format_to(std::back_inserter(line), " {} {}", kHumanNames[index], event);
  for (const LogField& field : fields) {
    fmt::format_to(std::back_inserter(line), " {}=", field.key);
    if (field.is_number) {
      append_number(line, field);
    } else if (is_plain(field.text)) {
      line += field.text;
    } else {
      line += '"';
      append_escaped(line, field.text);
      line += '"';
    }
  }
  return line;
}

void Log::write(LogLevel level, std::string_view event, LogFields fields) {
  if (!enabled(level)) return;
  std::string line = format(format_, wall_ms(), level, event, fields);
  line += '\n';
  const std::lock_guard lock(mutex_);
  std::fwrite(line.data(), 1, line.size(), out_);
  std::fflush(out_);
}

void LogLimiter::write(LogLevel level, std::string_view event, LogFields fields) {
  if (!log_.enabled(level)) return;
  Seen& seen = seen_[event];
  if (seen.lines == 0 || now_ - seen.since >= kIntervalMs) {
    tell(event, seen);
    seen = Seen{now_, 0, 0, level};
  }
  if (seen.lines >= kLinesPerInterval) {
    if (seen.left_out++ == 0) next_report_ = std::min(next_report_, seen.since + kIntervalMs);
    return;
  }
  ++seen.lines;
  log_.write(level, event, fields);
}

void LogLimiter::tell(std::string_view event, Seen& seen) {
  if (seen.left_out == 0) return;
  log_.write(seen.level, event, {{"left_out", seen.left_out}, {"reason", "too many such lines"}});
  seen.left_out = 0;
}

void LogLimiter::report() {
  next_report_ = kNever;
  for (auto& [event, seen] : seen_) {
    if (seen.left_out == 0) continue;
    if (now_ - seen.since >= kIntervalMs) {
      tell(event, seen);
    } else {
      next_report_ = std::min(next_report_, seen.since + kIntervalMs);
    }
  }
}

void LogLimiter::finish() {
  for (auto& [event, seen] : seen_) tell(event, seen);
  next_report_ = kNever;
}

}  // namespace petrel
