#include "cli/message_format.h"

#include <fmt/format.h>

#include <chrono>
#include <ctime>
#include <iterator>

#include "wire/property.h"

namespace petrel::cli {

namespace {

void append_hex(std::string& out, BytesView bytes, bool upper) {
  for (const char c : bytes) {
    const unsigned value = static_cast<unsigned char>(c);
    out += upper ? fmt::format("{:02X}", value) : fmt::format("{:02x}", value);
  }
}

void append_time(std::string& out, char kind) {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  if (kind == 'U') {
    const auto us = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count();
    out += fmt::format("{}.{:06}", us / 1'000'000, us % 1'000'000);
    return;
  }
  std::tm parts{};
  localtime_r(&seconds, &parts);
  char text[64];
  out.append(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S%z", &parts));
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

void append_field(std::string& out, char field, const wire::Publish& p) {
  const wire::MessageProperties& properties = p.properties;
  switch (field) {
    case 't':
      out += p.topic;
      break;
    case 'p':
      out += p.payload;
      break;
    case 'q':
      out += std::to_string(static_cast<int>(p.qos));
      break;
    case 'r':
      out += p.retain ? '1' : '0';
      break;
    case 'd':
      out += p.dup ? '1' : '0';
      break;
    case 'm':
      out += std::to_string(p.packet_id);
      break;
    case 'l':
      out += std::to_string(p.payload.size());
      break;
    case 'x':
      append_hex(out, p.payload, false);
      break;
    case 'X':
      append_hex(out, p.payload, true);
      break;
    case 'C':
      out += properties.content_type.value_or("");
      break;
    case 'D':
      out += properties.correlation_data.value_or("");
      break;
    case 'R':
      out += properties.response_topic.value_or("");
      break;
    case 'E':
      if (properties.message_expiry_interval_s) out += std::to_string(*properties.message_expiry_interval_s);
      break;
    case 'F':
      if (properties.payload_format_indicator) out += std::to_string(*properties.payload_format_indicator);
      break;
    case 'A':
      if (p.topic_alias) out += std::to_string(*p.topic_alias);
      break;
    case 'S':
      append_identifiers(out, p.subscription_identifiers);
      break;
    case 'P': {
      std::string text;
      append_user_properties(text, properties.user_properties);
      out += text;
      break;
    }
    case 'U':
    case 'I':
      append_time(out, field);
      break;
    case '%':
      out += '%';
      break;
    default:
      out += '%';
      out += field;
  }
}

char escaped(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case 'r':
      return '\r';
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

std::string format_message(std::string_view format, const wire::Publish& publish) {
  std::string out;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (i + 1 == format.size() || (format[i] != '%' && format[i] != '\\')) {
      out += format[i];
    } else if (format[i] == '%') {
      append_field(out, format[++i], publish);
    } else {
      out += escaped(format[++i]);
    }
  }
  return out;
}

}  // namespace petrel::cli
