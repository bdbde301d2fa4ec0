// The one place that knows the TOML library; nothing of it leaves this file.
#define TOML_EXCEPTIONS 0
#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <numeric>

#include "server/config_table.h"

namespace petrel::server {
namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

// The key an operator probably meant: the nearest name, and of equally near ones that of the same section.
std::string suggestion(std::string_view section, std::string_view name) {
  std::string best;
  std::size_t best_distance = 2 * std::max<std::size_t>(2, name.size() / 3) + 2;
  const auto offer = [&](std::string_view other_section, std::string_view other_name, std::string shown) {
    const std::size_t distance = 2 * edit_distance(name, other_name) + (section == other_section ? 0 : 1);
    if (distance >= best_distance) return;
    best_distance = distance;
    best = std::move(shown);
  };
  for (const ConfigKey& key : config_keys()) offer(key.section, key.name, fmt::format("\"{}\"", key.full_name()));
  for (const ListenerKey& key : listener_keys())
    offer(kListenerSection, key.name, fmt::format("\"{}\" under [[{}]]", key.name, kListenerSection));
  if (section.empty()) {
    offer("", kListenerSection, fmt::format("[[{}]]", kListenerSection));
    for (const ConfigSection& other : config_sections())
      if (!other.name.empty()) offer("", other.name, fmt::format("[{}]", other.name));
  }
  return best;
}

std::string_view type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a floating-point number";
    case toml::node_type::boolean:
      return "a boolean";
    default:
      return "a date or time";
  }
}

class Reader {
 public:
  Reader(std::string_view source, Config& config, ConfigMistakes& mistakes)
      : source_(source), config_(config), mistakes_(mistakes) {}

  void read(const toml::table& root) {
    for (const auto& [key, node] : root) {
      const std::string_view name = key.str();
      if (name == kListenerSection) {
        read_listeners(node);
      } else if (is_section(name)) {
        read_section(name, node);
      } else {
        read_key("", key, node);
      }
    }
    std::stable_sort(mistakes_.begin(), mistakes_.end(), [](const ConfigMistake& a, const ConfigMistake& b) {
      return std::pair(a.line, a.column) < std::pair(b.line, b.column);
    });
  }

  void mistake(const toml::source_region& where, std::string what) {
    mistakes_.push_back({std::string(source_), where.begin.line, where.begin.column, std::move(what)});
  }

 private:
  static bool is_section(std::string_view name) {
    return std::ranges::any_of(config_sections(), [&](const ConfigSection& s) { return s.name == name; }) &&
           !name.empty();
  }

  void read_section(std::string_view name, const toml::node& node) {
    const toml::table* table = node.as_table();
    if (table == nullptr) {
      mistake(node.source(), fmt::format("\"{0}\" must be a section, not {1}; write [{0}]", name, type_name(node)));
      return;
    }
    for (const auto& [key, value] : *table) read_key(name, key, value);
  }

  void read_key(std::string_view section, const toml::key& key, const toml::node& node) {
    for (const ConfigKey& known : config_keys())
      if (known.section == section && known.name == key.str()) return read_value(known, node);
    unknown(section, key);
  }

  void unknown(std::string_view section, const toml::key& key) {
    const std::string full = section.empty() ? std::string(key.str()) : fmt::format("{}.{}", section, key.str());
    const std::string meant = suggestion(section, key.str());
    mistake(key.source(), meant.empty() ? fmt::format("unknown key \"{}\"; docs/configuration.md lists the keys", full)
                                        : fmt::format("unknown key \"{}\"; did you mean {}?", full, meant));
  }

  ConfigPlace place_of(const toml::node& node) const {
    return {std::string(source_), node.source().begin.line, node.source().begin.column};
  }

  void read_value(const ConfigKey& key, const toml::node& node) {
    config_.places[key.full_name()] = place_of(node);
    const bool is_integer = key.kind == KeyKind::kInteger;
    const bool is_boolean = key.kind == KeyKind::kBoolean;
    const toml::node_type expected = is_integer   ? toml::node_type::integer
                                     : is_boolean ? toml::node_type::boolean
                                                  : toml::node_type::string;
    if (node.type() != expected) {
      mistake(node.source(),
              fmt::format("\"{}\" must be {}, not {}", key.full_name(), key.allowed_text(), type_name(node)));
      return;
    }
    if (is_boolean) return key.set_number(config_, node.as_boolean()->get() ? 1 : 0);
    if (is_integer) {
      const std::int64_t value = node.as_integer()->get();
      if (value >= key.min && value <= key.max) return key.set_number(config_, value);
      mistake(node.source(), fmt::format("\"{}\" must be {}, not {}", key.full_name(), key.allowed_text(), value));
      return;
    }
    const std::string& text = node.as_string()->get();
    if (key.kind == KeyKind::kText) {
      config_.*key.text = text;
      return;
    }
    const auto found = std::ranges::find(key.choices, std::string_view(text));
    if (found != key.choices.end()) return key.set_number(config_, found - key.choices.begin());
    mistake(node.source(),
            fmt::format("\"{}\" must be {}, not {}", key.full_name(), key.allowed_text(), toml_string(text)));
  }

  // The listeners of a file replace those that were there.
  void read_listeners(const toml::node& node) {
    const toml::array* listeners = node.as_array();
    if (listeners == nullptr || !std::ranges::all_of(*listeners, [](const toml::node& n) { return n.is_table(); })) {
      mistake(node.source(), "\"listener\" must be an array of tables; write [[listener]] before each address");
      return;
    }
    config_.listeners.clear();
    for (const toml::node& listener : *listeners) read_listener(*listener.as_table());
  }

  void read_listener(const toml::table& table) {
    ListenerConfig listener;
    for (const auto& [key, node] : table) {
      const auto known =
          std::ranges::find_if(listener_keys(), [&](const ListenerKey& one) { return one.name == key.str(); });
      if (known != listener_keys().end()) listener.places[std::string(known->name)] = place_of(node);
      if (known == listener_keys().end()) {
        unknown(kListenerSection, key);
      } else if (!read_listener_value(*known, node, listener)) {
        mistake(node.source(), fmt::format("\"listener.{}\" must be {}, not {}", known->name, known->allowed_text(),
                                           shown(*known, node)));
      }
    }
    if (!table.contains("address"))
      mistake(table.source(), "a [[listener]] needs an address; write address = \"tcp://127.0.0.1:1883\"");
    if (!listener.address.empty()) config_.listeners.push_back(std::move(listener));
  }

  // A value that is of the right type is shown itself.
  static std::string shown(const toml::node& node) {
    if (const auto* text = node.as_string()) return toml_string(text->get());
    if (const auto* number = node.as_integer()) return std::to_string(number->get());
    return std::string(type_name(node));
  }

  // Of an array the first element that cannot be is shown.
  static std::string shown(const ListenerKey& key, const toml::node& node) {
    const toml::array* const elements = key.texts != nullptr ? node.as_array() : nullptr;
    if (elements == nullptr) return shown(node);
    const auto is_wrong = [&](const toml::node& element) {
      const auto* text = element.as_string();
      return text == nullptr || !key.allows(text->get());
    };
    const auto wrong = std::ranges::find_if(*elements, is_wrong);
    return wrong == elements->end() ? shown(node) : shown(*wrong);
  }

  static bool read_listener_value(const ListenerKey& key, const toml::node& node, ListenerConfig& listener) {
    if (key.flag != nullptr) {
      const auto* flag = node.as_boolean();
      if (flag != nullptr) listener.*key.flag = flag->get();
      return flag != nullptr;
    }
    if (key.integer != nullptr || key.limit != nullptr) {
      const auto* number = node.as_integer();
      if (number == nullptr || number->get() < key.min || number->get() > key.max) return false;
      if (key.integer != nullptr) listener.*key.integer = number->get();
      if (key.limit != nullptr) listener.*key.limit = number->get();
      return true;
    }
    if (key.text != nullptr) {
      const auto* text = node.as_string();
      if (text == nullptr || !key.allows(text->get())) return false;
      listener.*key.text = text->get();
      return true;
    }
    std::vector<std::string>& texts = listener.*key.texts;
    texts.clear();
    const auto take = [&](const toml::node& element) {
      const auto* text = element.as_string();
      if (text == nullptr || !key.allows(text->get())) return false;
      texts.push_back(text->get());
      return true;
    };
    const toml::array* const elements = node.as_array();
    return elements == nullptr ? take(node) : std::ranges::all_of(*elements, take);
  }

  std::string_view source_;
  Config& config_;
  ConfigMistakes& mistakes_;
};

}  // namespace

ConfigMistakes read_config(std::string_view text, std::string_view source, Config& config) {
  ConfigMistakes mistakes;
  Reader reader(source, config, mistakes);
  const toml::parse_result parsed = toml::parse(text, source);
  if (parsed) {
    reader.read(parsed.table());
  } else {
    reader.mistake(parsed.error().source(), std::string(parsed.error().description()));
  }
  return mistakes;
}

}  // namespace petrel::server
