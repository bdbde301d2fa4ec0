#include "base/log.h"

#include <chrono>
#include <ctime>
#include <iterator>

#include "base/utf8.h"

namespace petrel {

namespace {

constexpr std::string_view kNames[] = {"error", "warning", "info", "debug"};
constexpr std::string_view kHumanNames[] = {"ERROR", "WARN ", "INFO ", "DEBUG"};

void append_escaped(std::string& line, std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '"' || c == '\\') {
      line += '\\';
      line += c;
      ++i;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      fmt::format_to(std::back_inserter(line), "\\u{:04x}", static_cast<unsigned char>(c));
      ++i;
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
  if (text.empty()) return false;
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
        fmt::format_to(std::back_inserter(line), "{}", field.number);
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
      fmt::format_to(std::back_inserter(line), "{}", field.number);
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
  const std::int64_t now = wall_ms();
  Seen& seen = seen_[event];
  if (now - seen.since_ms >= kIntervalMs) {
    if (seen.left_out > 0) log_.write(level, event, {{"left_out", seen.left_out}, {"reason", "too many such lines"}});
    seen = Seen{now, 0, 0};
  }
  if (seen.lines >= kLinesPerInterval) {
    ++seen.left_out;
    return;
  }
  ++seen.lines;
  log_.write(level, event, fields);
}

}  // namespace petrel
