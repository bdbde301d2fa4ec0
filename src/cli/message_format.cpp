#include "cli/message_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <optional>
#include <utility>

#include "wire/property.h"

namespace petrel::cli {

namespace {

void append_hex(std::string& out, BytesView bytes, bool upper) {
  for (const char c : bytes) {
    const unsigned value = static_cast<unsigned char>(c);
    out += upper ? fmt::format("{:02X}", value) : fmt::format("{:02x}", value);
  }
}

std::string time_text(const char* format, Arrival arrival) {
  std::tm parts{};
  localtime_r(&arrival.seconds, &parts);
  char text[128];
  return {text, std::strftime(text, sizeof text, format, &parts)};
}

void append_time(std::string& out, char letter, Arrival arrival) {
  if (letter == '@') {
    out += '@';
  } else if (letter == 'N') {
    out += fmt::format("{:09}", arrival.nanoseconds);
  } else {
    const char format[] = {'%', letter, '\0'};
    out += time_text(format, arrival);
  }
}

void append_identifiers(std::string& out, BytesView encoded) {
  for (bool first = true; const auto identifier = wire::next_subscription_identifier(encoded); first = false) {
    if (!first) out += ' ';
    out += std::to_string(*identifier);
  }
}

void append_user_properties(std::string& out, BytesView encoded) {
  wire::for_each_user_property(
      encoded,
      [](void* context, std::string_view name, std::string_view value) {
        auto& text = *static_cast<std::string*>(context);
        if (!text.empty() && text.back() != '\n' && text.back() != ' ') text += ' ';
        text += name;
        text += ':';
        text += value;
      },
      &out);
}

template <class Value>
std::string text_of(const std::optional<Value>& value) {
  return value ? fmt::format("{}", *value) : std::string();
}

// What a letter stands for; nothing for a letter that stands for none.
std::optional<std::string> field_text(char letter, const wire::Publish& p, Arrival arrival) {
  const wire::MessageProperties& properties = p.properties;
  std::string out;
  switch (letter) {
    case 't':
      return std::string(p.topic);
    case 'p':
      return std::string(p.payload);
    case 'q':
      return std::to_string(static_cast<int>(p.qos));
    case 'r':
      return p.retain ? "1" : "0";
    case 'd':
      return p.dup ? "1" : "0";
    case 'm':
      return std::to_string(p.packet_id);
    case 'l':
      return std::to_string(p.payload.size());
    case 'x':
    case 'X':
      append_hex(out, p.payload, letter == 'X');
      return out;
    case 'C':
      return text_of(properties.content_type);
    case 'D':
      return text_of(properties.correlation_data);
    case 'R':
      return text_of(properties.response_topic);
    case 'E':
      return text_of(properties.message_expiry_interval_s);
    case 'F':
      return text_of(properties.payload_format_indicator);
    case 'A':
      return text_of(p.topic_alias);
    case 'S':
      append_identifiers(out, p.subscription_identifiers);
      return out;
    case 'P':
      append_user_properties(out, properties.user_properties);
      return out;
    case 'U':
      return fmt::format("{}.{:09}", arrival.seconds, arrival.nanoseconds);
    case 'I':
      return time_text("%Y-%m-%dT%H:%M:%S%z", arrival);
    default:
      return std::nullopt;
  }
}

// What stands between the % and the letter.
struct Widths {
  bool left = false, zeros = false;
  std::size_t least = 0;
  std::optional<std::size_t> most;
};

constexpr std::size_t kMostWidth = 10'000;

std::size_t read_number(std::string_view format, std::size_t& at) {
  std::size_t number = 0;
  for (; at < format.size() && format[at] >= '0' && format[at] <= '9'; ++at)
    number = std::min(number * 10 + static_cast<std::size_t>(format[at] - '0'), kMostWidth);
  return number;
}

Widths read_widths(std::string_view format, std::size_t& at) {
  Widths widths;
  for (; at < format.size() && (format[at] == '-' || format[at] == '0'); ++at)
    (format[at] == '-' ? widths.left : widths.zeros) = true;
  widths.least = read_number(format, at);
  if (at < format.size() && format[at] == '.') widths.most = read_number(format, ++at);
  return widths;
}

// Widths count bytes. Zeros only where a number stands, and never behind it.
void append_padded(std::string& out, std::string text, char letter, const Widths& widths) {
  constexpr std::string_view kNumbers = "AEFlmSxX";
  constexpr std::string_view kCut = "CIRt";
  if (widths.most && kCut.find(letter) != std::string_view::npos && text.size() > *widths.most)
    text.resize(*widths.most);
  const std::size_t missing = widths.least > text.size() ? widths.least - text.size() : 0;
  const bool zeros = widths.zeros && !widths.left && kNumbers.find(letter) != std::string_view::npos;
  if (!widths.left) out.append(missing, zeros ? '0' : ' ');
  out += text;
  if (widths.left) out.append(missing, ' ');
}

char escaped(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case 'r':
      return '\r';
    case 'v':
      return '\v';
    case 'a':
      return '\a';
    case '0':
      return '\0';
    case 'e':
      return '\x1b';
    default:
      return c;
  }
}

}  // namespace

Arrival Arrival::now() {
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  return {time.tv_sec, time.tv_nsec};
}

Result<std::string, FormatError> format_message(std::string_view format, const wire::Publish& publish,
                                                Arrival arrival) {
  std::string out;
  for (std::size_t i = 0; i < format.size(); ++i) {
    const char begins = format[i];
    const std::size_t sequence = i;
    if (i + 1 == format.size() || (begins != '%' && begins != '@' && begins != '\\')) {
      out += begins;
      continue;
    }
    ++i;
    if (begins == '\\') {
      out += escaped(format[i]);
    } else if (begins == '@') {
      append_time(out, format[i], arrival);
    } else {
      const Widths widths = read_widths(format, i);
      const char letter = i < format.size() ? format[i] : '%';
      if (letter == 'j' || letter == 'J') {
        const auto json = message_as_json(publish, arrival, letter == 'J');
        if (!json.has_value()) return json.error();
        out += *json;
      } else if (letter == '%') {
        out += '%';
      } else if (auto text = field_text(letter, publish, arrival)) {
        append_padded(out, std::move(*text), letter, widths);
      } else {
        out += format.substr(sequence, i + 1 - sequence);
      }
    }
  }
  return out;
}

}  // namespace petrel::cli
