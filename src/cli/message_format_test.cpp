#include "cli/message_format.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "wire/property.h"

namespace petrel::cli {
namespace {

constexpr Arrival kArrival{1'600'000'000, 123'456'789};  // 2020-09-13 12:26:40 UTC

class MessageFormat : public ::testing::Test {
 protected:
  MessageFormat() {
    ::setenv("TZ", "UTC0", 1);
    ::tzset();
    message.topic = "greeting";
    message.payload = "hello";
  }

  std::string format(std::string_view text) const {
    const auto formatted = format_message(text, message, kArrival);
    return formatted.has_value() ? *formatted : "not JSON";
  }

  wire::Publish message;
};

TEST_F(MessageFormat, FieldsOfTheMessage) {
  message.retain = true;
  EXPECT_EQ(format("%t %p %q %r %d %l"), "greeting hello 0 1 0 5");
  EXPECT_EQ(format("%x|%X"), "68656c6c6f|68656C6C6F");
  EXPECT_EQ(format("[%C%D%E%F%R%S%P%A]"), "[]");
}

TEST_F(MessageFormat, Times) {
  EXPECT_EQ(format("%U %I"), "1600000000.123456789 2020-09-13T12:26:40+0000");
  EXPECT_EQ(format("@Y-@m-@d @H:@M:@S.@N @@"), "2020-09-13 12:26:40.123456789 @");
}

TEST_F(MessageFormat, EscapesAndWhatIsNone) {
  EXPECT_EQ(format("a\\tb\\\\c\\n"), "a\tb\\c\n");
  EXPECT_EQ(format("100%% %Z % "), "100% %Z % ");
  EXPECT_EQ(format("%"), "%");
  EXPECT_EQ(format("\\"), "\\");
}

TEST_F(MessageFormat, Widths) {
  EXPECT_EQ(format("[%10t]"), "[  greeting]");
  EXPECT_EQ(format("[%-10t]"), "[greeting  ]");
  EXPECT_EQ(format("[%.5t]"), "[greet]");
  EXPECT_EQ(format("[%-7.3t]"), "[gre    ]");
  EXPECT_EQ(format("[%05l]"), "[00005]");
  EXPECT_EQ(format("[%-05l]"), "[5    ]");
  EXPECT_EQ(format("[%010t]"), "[  greeting]") << "no zeros before text";
  EXPECT_EQ(format("[%.2p]"), "[hello]") << "payloads are never cut";
  EXPECT_EQ(format("%99999999999999999999t").size(), 10'000U);
}

TEST_F(MessageFormat, JsonOfAPlainMessage) {
  EXPECT_EQ(format("%j"),
            R"({"tst":"2020-09-13T12:26:40.123456+0000","topic":"greeting","qos":0,"retain":0,"payloadlen":5,)"
            R"("payload":"hello"})");
}

TEST_F(MessageFormat, JsonNamesPropertiesInTheirOrder) {
  const std::string properties = wire::encode_user_property("b", "1") + wire::encode_user_property("a", "2");
  message.properties.user_properties = properties;
  message.properties.content_type = "text/plain";
  EXPECT_EQ(format("%j"),
            R"({"tst":"2020-09-13T12:26:40.123456+0000","topic":"greeting","qos":0,"retain":0,"payloadlen":5,)"
            R"("properties":{"content-type":"text/plain","user-properties":[{"b":"1"},{"a":"2"}]},"payload":"hello"})");
}

TEST_F(MessageFormat, JsonPayload) {
  message.payload = R"({"b":1,"a":[true]})";
  EXPECT_TRUE(format("%J").ends_with(R"("payload":{"b":1,"a":[true]}})"));
  message.payload = "hello";
  EXPECT_EQ(format("%J"), "not JSON");
  message.payload = "";
  EXPECT_TRUE(format("%J").ends_with(R"("payload":null})"));
}

TEST_F(MessageFormat, JsonOfBytesThatAreNoText) {
  message.payload = "\xff\"";
  EXPECT_TRUE(format("%j").ends_with("\"payload\":\"\xEF\xBF\xBD\\\"\"}"));
}

}  // namespace
}  // namespace petrel::cli
