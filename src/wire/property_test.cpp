// The table of properties (MQTT 5.0, 2.2.2, table 2-4): each property in each packet, once, twice and cut short.
#include <gtest/gtest.h>

#include "wire/cursor.h"
#include "wire/property_reader.h"
#include "wire/test_table.h"

namespace petrel::wire::test {
namespace {

using enum PacketType;

// Table 2-4, written down a second time: identifier, type, packets and whether the will may have it.
struct Row {
  unsigned id;
  PropertyType type;
  std::vector<PacketType> packets;
  bool will = false;
};
const std::vector<PacketType> kAllAcks = {kConnack, kPuback,   kPubrec,     kPubrel, kPubcomp,
                                          kSuback,  kUnsuback, kDisconnect, kAuth};
const std::vector<PacketType> kAllOfThem = {kConnect,  kConnack,    kPublish,   kPuback, kPubrec,
                                            kPubrel,   kPubcomp,    kSubscribe, kSuback, kUnsubscribe,
                                            kUnsuback, kDisconnect, kAuth};
const std::vector<Row> kTable = {
    {1, PropertyType::kByte, {kPublish}, true},
    {2, PropertyType::kFourByteInteger, {kPublish}, true},
    {3, PropertyType::kString, {kPublish}, true},
    {8, PropertyType::kString, {kPublish}, true},
    {9, PropertyType::kBinary, {kPublish}, true},
    {11, PropertyType::kVariableByteInteger, {kPublish, kSubscribe}},
    {17, PropertyType::kFourByteInteger, {kConnect, kConnack, kDisconnect}},
    {18, PropertyType::kString, {kConnack}},
    {19, PropertyType::kTwoByteInteger, {kConnack}},
    {21, PropertyType::kString, {kConnect, kConnack, kAuth}},
    {22, PropertyType::kBinary, {kConnect, kConnack, kAuth}},
    {23, PropertyType::kByte, {kConnect}},
    {24, PropertyType::kFourByteInteger, {}, true},
    {25, PropertyType::kByte, {kConnect}},
    {26, PropertyType::kString, {kConnack}},
    {28, PropertyType::kString, {kConnack, kDisconnect}},
    {31, PropertyType::kString, kAllAcks},
    {33, PropertyType::kTwoByteInteger, {kConnect, kConnack}},
    {34, PropertyType::kTwoByteInteger, {kConnect, kConnack}},
    {35, PropertyType::kTwoByteInteger, {kPublish}},
    {36, PropertyType::kByte, {kConnack}},
    {37, PropertyType::kByte, {kConnack}},
    {38, PropertyType::kStringPair, kAllOfThem, true},
    {39, PropertyType::kFourByteInteger, {kConnect, kConnack}},
    {40, PropertyType::kByte, {kConnack}},
    {41, PropertyType::kByte, {kConnack}},
    {42, PropertyType::kByte, {kConnack}},
};

std::string value_of(PropertyType type) {
  switch (type) {
    case PropertyType::kByte:
      return bytes_of("01");
    case PropertyType::kTwoByteInteger:
      return bytes_of("0001");
    case PropertyType::kFourByteInteger:
      return bytes_of("00000001");
    case PropertyType::kVariableByteInteger:
      return bytes_of("ff01");
    case PropertyType::kString:
    case PropertyType::kBinary:
      return bytes_of("'text'");
    case PropertyType::kStringPair:
      return bytes_of("'name' 'value'");
  }
  return {};
}

// The first error of a list, or nothing; counts the properties.
std::optional<Error> read_list(const std::string& list, std::uint32_t packet, std::size_t& count) {
  char length[4];
  const char* end = put_variable_byte_integer(length, list.size());
  const std::string bytes = std::string(length, static_cast<std::size_t>(end - length)) + list;
  Cursor cursor(bytes);
  PropertyReader reader(cursor, packet);
  for (count = 0; reader.next(); ++count) {
  }
  return reader.error();
}

TEST(Property, EveryIdentifierInEveryPacket_2_2_2_2) {
  for (unsigned id = 0; id < 256; ++id) {
    const auto row = std::ranges::find(kTable, id, &Row::id);
    const bool known = row != kTable.end();
    ASSERT_EQ(find_property(id) != nullptr, known) << id;
    const auto type = known ? row->type : PropertyType::kByte;
    ASSERT_TRUE(!known || find_property(id)->type == type) << id;
    std::string one(1, static_cast<char>(id));
    if (id >= 128) one += '\1';
    one += value_of(type);
    for (unsigned packet = 0; packet < 16; ++packet) {
      const bool allowed = known && (packet == 0 ? row->will
                                                 : std::ranges::find(row->packets, static_cast<PacketType>(packet)) !=
                                                       row->packets.end());
      std::size_t count = 0;
      const auto error = read_list(one, 1U << packet, count);
      ASSERT_EQ(!error.has_value(), allowed) << id << " in packet " << packet;
      ASSERT_EQ(count, allowed ? 1U : 0U);
      if (!allowed) {
        EXPECT_EQ(error->reason, ReasonCode::kMalformedPacket);
        continue;
      }
      const bool repeatable = id == 38 || (id == 11 && packet == 3);
      const auto twice = read_list(one + one, 1U << packet, count);
      ASSERT_EQ(!twice.has_value(), repeatable) << id << " twice in packet " << packet;
      EXPECT_TRUE(!twice || twice->reason == ReasonCode::kProtocolError);
      for (std::size_t size = 1; size < one.size(); ++size) {
        const auto cut = read_list(one.substr(0, size), 1U << packet, count);
        ASSERT_TRUE(cut.has_value()) << id << " cut to " << size;
        EXPECT_EQ(cut->reason, ReasonCode::kMalformedPacket);
      }
    }
  }
  EXPECT_EQ(find_property(300), nullptr);
  EXPECT_EQ(find_property(0xffffffff), nullptr);
}

TEST(Property, UserPropertiesAreReadInOrder_MQTT_3_3_2_18) {
  const std::string list = encode_user_property("a", "1") + bytes_of("02 00000001") + encode_user_property("a", "") +
                           encode_user_property("", "3");
  std::vector<std::string> seen;
  for_each_user_property(
      list,
      [](void* context, std::string_view name, std::string_view value) {
        static_cast<std::vector<std::string>*>(context)->push_back(std::string(name) + "=" + std::string(value));
      },
      &seen);
  EXPECT_EQ(seen, (std::vector<std::string>{"a=1", "a=", "=3"}));
}

TEST(Property, SubscriptionIdentifiersOfEveryLength) {
  std::string list;
  const std::vector<std::uint32_t> identifiers = {1, 127, 128, 16'383, 16'384, 2'097'151, 2'097'152, 268'435'455};
  for (const std::uint32_t identifier : identifiers) {
    list += encode_subscription_identifier(identifier);
    list += bytes_of("01 00");  // in between
  }
  BytesView rest = list;
  for (const std::uint32_t identifier : identifiers) EXPECT_EQ(next_subscription_identifier(rest), identifier);
  EXPECT_EQ(next_subscription_identifier(rest), std::nullopt);
  EXPECT_EQ(rest, "");
}

TEST(Property, AListThatIsNotOneEndsTheWalk) {
  for (const char* list : {"", "26", "26 0001", "26 0001 61", "7e 00", "80808080", "0b ff"}) {
    const std::string bytes = bytes_of(list);
    BytesView rest = bytes;
    EXPECT_FALSE(next_property(rest).has_value()) << list;
  }
}

}  // namespace
}  // namespace petrel::wire::test
