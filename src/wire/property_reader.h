// Walks one property list of a received packet and checks what holds for all of them: known identifier, allowed in this
// packet, not given twice, well-formed value. Internal to wire/.
#pragma once

#include <bitset>
#include <optional>

#include "wire/cursor.h"
#include "wire/property.h"

namespace petrel::wire {

struct Property {
  PropertyId id{};
  std::uint32_t number = 0;  // bytes and integers
  std::string_view text;     // strings and binary data; the name of a user property
  std::string_view second;   // the value of a user property
  BytesView raw;             // the whole property as encoded
};

// The next property of a list that a decoder has checked; moves `encoded` past it. Nothing at the end.
std::optional<Property> next_property(BytesView& encoded);

class PropertyReader {
 public:
  // Reads the property length and the list behind it from `cursor`. `packet` is a packet_bit() or kWillProperties.
  PropertyReader(Cursor& cursor, std::uint32_t packet);

  BytesView bytes() const { return bytes_; }
  // The next property, or nothing at the end or after an error.
  std::optional<Property> next();
  const std::optional<Error>& error() const { return error_; }
  void refuse(Error error) { error_ = error; }

  // Spans the user properties seen so far, from the first to the last.
  BytesView user_properties() const { return user_properties_; }

 private:
  bool read_value(Property& property, PropertyType type);

  Cursor list_{BytesView{}};
  BytesView bytes_;
  std::uint32_t packet_;
  std::bitset<64> seen_;
  BytesView user_properties_;
  std::optional<Error> error_;
};

// A boolean property's value [0, 1] (or another small range); refuses others as a protocol error.
bool within(PropertyReader& reader, const Property& property, std::uint32_t least, std::uint32_t most,
            std::string_view what);

}  // namespace petrel::wire
