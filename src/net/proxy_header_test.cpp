#include "net/proxy_header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "net/proxy_test_support.h"

namespace petrel::net {
namespace {

using Status = ParsedProxyHeader::Status;
using testing::HasSubstr;

ParsedProxyHeader parse(const std::string& bytes) { return parse_proxy_header(bytes); }

std::string source(const std::string& bytes) {
  const ParsedProxyHeader parsed = parse(bytes);
  EXPECT_EQ(parsed.status, Status::kDone) << parsed.why;
  EXPECT_EQ(parsed.consumed, bytes.size());
  return parsed.header.source.empty() ? "" : parsed.header.source.peer_text();
}

std::string refusal(const std::string& bytes) {
  const ParsedProxyHeader parsed = parse(bytes);
  EXPECT_EQ(parsed.status, Status::kRefused) << bytes;
  return std::string(parsed.why);
}

TEST(ProxyHeaderVersion1, NamesTheSource) {
  EXPECT_EQ(source("PROXY TCP4 192.0.2.7 198.51.100.1 4711 1883\r\n"), "192.0.2.7:4711");
  EXPECT_EQ(source("PROXY TCP6 2001:db8::7 2001:db8::1 65535 1\r\n"), "[2001:db8::7]:65535");
  EXPECT_EQ(source("PROXY UNKNOWN\r\n"), "");
  EXPECT_EQ(source("PROXY UNKNOWN ffff:f...f:ffff whatever 65535 65535\r\n"), "");
  // The longest of all, section 2.1.
  const std::string group = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
  const std::string longest = "PROXY UNKNOWN " + group + " " + group + " 65535 65535\r\n";
  EXPECT_EQ(longest.size(), kMaxProxyLineBytes);
  EXPECT_EQ(source(longest), "");
}

TEST(ProxyHeaderVersion1, LeavesWhatFollows) {
  const ParsedProxyHeader parsed = parse("PROXY TCP4 192.0.2.7 198.51.100.1 4711 1883\r\n\x10\x0c");
  EXPECT_EQ(parsed.status, Status::kDone);
  EXPECT_EQ(parsed.consumed, 45U);
  EXPECT_EQ(parsed.header.version, 1);
}

TEST(ProxyHeaderVersion1, RefusesWhatIsWrong) {
  EXPECT_THAT(refusal("PROXY TCP4 192.0.2.7 198.51.100.1 4711 1883\n"), HasSubstr("without CR"));
  EXPECT_THAT(refusal("PROXY TCP4 2001:db8::7 2001:db8::1 1 1\r\n"), HasSubstr("address"));
  EXPECT_THAT(refusal("PROXY TCP6 192.0.2.7 198.51.100.1 1 1\r\n"), HasSubstr("address"));
  EXPECT_THAT(refusal("PROXY TCP4 192.0.2.777 198.51.100.1 1 1\r\n"), HasSubstr("address"));
  EXPECT_THAT(refusal("PROXY TCP4 192.0.2.7 198.51.100.1 65536 1\r\n"), HasSubstr("port"));
  EXPECT_THAT(refusal("PROXY TCP4 192.0.2.7 198.51.100.1 01 1\r\n"), HasSubstr("port"));
  EXPECT_THAT(refusal("PROXY TCP4 192.0.2.7 198.51.100.1 1 \r\n"), HasSubstr("port"));
  EXPECT_THAT(refusal("PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n"), HasSubstr("two ports"));
  EXPECT_THAT(refusal("PROXY TCP4  192.0.2.7 198.51.100.1 1 1\r\n"), HasSubstr("two ports"));
  EXPECT_THAT(refusal("PROXY UDP4 192.0.2.7 198.51.100.1 1 1\r\n"), HasSubstr("TCP4"));
  EXPECT_THAT(refusal("PROXYTCP4 192.0.2.7 198.51.100.1 1 1\r\n"), HasSubstr("PROXY"));
  EXPECT_THAT(refusal("PROXY UNKNOWN " + std::string(200, 'x')), HasSubstr("107"));
  EXPECT_THAT(refusal("\x10\x0e"), HasSubstr("does not begin"));
  EXPECT_THAT(refusal("PROXT"), HasSubstr("does not begin"));
}

TEST(ProxyHeaderVersion2, NamesTheSource) {
  EXPECT_EQ(source(proxy_v2(0x21, 0x11, proxy_ip4("192.0.2.7", 4711))), "192.0.2.7:4711");
  EXPECT_EQ(source(proxy_v2(0x21, 0x12, proxy_ip4("192.0.2.7", 4711))), "192.0.2.7:4711");
  EXPECT_EQ(source(proxy_v2(0x21, 0x21, proxy_ip6("2001:db8::7", 4711))), "[2001:db8::7]:4711");
  EXPECT_EQ(source(proxy_v2(0x21, 0x31, proxy_unix("/run/app.sock"))), "unix /run/app.sock");
  EXPECT_EQ(source(proxy_v2(0x21, 0x31, proxy_unix(""))), "unix");
  EXPECT_EQ(source(proxy_v2(0x21, 0x31, std::string(216, 'x'))), "unix " + std::string(107, 'x'));
}

TEST(ProxyHeaderVersion2, MayTellNothing) {
  EXPECT_EQ(source(proxy_v2(0x21, 0x00, "")), "");
  EXPECT_EQ(source(proxy_v2(0x21, 0x00, proxy_tlv(0x04, "ignored"))), "");
  EXPECT_EQ(source(proxy_v2(0x21, 0x10, proxy_ip4("192.0.2.7", 1))), "") << "of unspecified transport";
  // What a LOCAL header carries is skipped, whatever it is.
  EXPECT_EQ(source(proxy_v2(0x20, 0x00, "")), "");
  EXPECT_EQ(source(proxy_v2(0x20, 0x11, proxy_ip4("192.0.2.7", 1))), "");
  EXPECT_EQ(source(proxy_v2(0x20, 0xff, "\x20\xff")), "");
  EXPECT_TRUE(parse(proxy_v2(0x20, 0x00, "")).header.is_local);
}

TEST(ProxyHeaderVersion2, RefusesWhatIsWrong) {
  const std::string ip4 = proxy_ip4("192.0.2.7", 4711);
  EXPECT_THAT(refusal(proxy_v2(0x11, 0x11, ip4)), HasSubstr("another version"));
  EXPECT_THAT(refusal(proxy_v2(0x22, 0x11, ip4)), HasSubstr("LOCAL"));
  EXPECT_THAT(refusal(proxy_v2(0x21, 0x41, ip4)), HasSubstr("family"));
  EXPECT_THAT(refusal(proxy_v2(0x21, 0x13, ip4)), HasSubstr("family"));
  EXPECT_THAT(refusal(proxy_v2(0x21, 0x21, ip4)), HasSubstr("too short"));
  EXPECT_THAT(refusal(proxy_v2(0x21, 0x11, ip4 + "\x04")), HasSubstr("TLV"));
  EXPECT_THAT(refusal(proxy_v2(0x21, 0x11, ip4 + std::string("\x04\x00\x02x", 4))), HasSubstr("TLV"));
  EXPECT_THAT(refusal(proxy_v2(0x21, 0x11, ip4 + proxy_tlv(0x05, std::string(129, 'u')))), HasSubstr("UNIQUE_ID"));
  const std::string large = proxy_v2(0x21, 0x11, std::string(8177, 'x'));
  EXPECT_THAT(refusal(large.substr(0, 16)), HasSubstr("larger")) << "told from its length";
}

TEST(ProxyHeaderVersion2, BelievesAVerifiedCommonNameOnly) {
  const auto name = [](unsigned char client, std::uint32_t verify, const std::string& more) {
    const std::string header =
        proxy_v2(0x21, 0x11,
                 proxy_ip4("192.0.2.7", 1) + proxy_tlv(0x01, "mqtt") + proxy_tlv(0x02, "broker.example") +
                     proxy_tlv(0x20, proxy_ssl(client, verify, more)));
    const ParsedProxyHeader parsed = parse(header);
    EXPECT_EQ(parsed.status, Status::kDone) << parsed.why;
    return parsed.header.common_name;
  };
  const std::string told = proxy_tlv(0x21, "TLSv1.3") + proxy_tlv(0x22, "device 7") + proxy_tlv(0x23, "AES");
  EXPECT_EQ(name(0x03, 0, told), "device 7");
  EXPECT_EQ(name(0x05, 0, told), "device 7");
  EXPECT_EQ(name(0x03, 1, told), "") << "not verified";
  EXPECT_EQ(name(0x01, 0, told), "") << "shown no certificate";
  EXPECT_EQ(name(0x02, 0, told), "") << "without TLS";
  EXPECT_EQ(name(0x03, 0, ""), "");
  const ParsedProxyHeader parsed =
      parse(proxy_v2(0x21, 0x11, proxy_ip4("192.0.2.7", 1) + proxy_tlv(0x20, proxy_ssl(1, 1, told))));
  EXPECT_EQ(parsed.header.tls_version, "TLSv1.3");
  EXPECT_EQ(parsed.header.cipher, "AES");
}

TEST(ProxyHeaderVersion2, RefusesAMalformedCertificatePart) {
  const auto why = [](const std::string& value) {
    return refusal(proxy_v2(0x21, 0x11, proxy_ip4("192.0.2.7", 1) + proxy_tlv(0x20, value)));
  };
  EXPECT_THAT(why("\x01"), HasSubstr("too short"));
  EXPECT_THAT(why(proxy_ssl(3, 0, std::string("\x22\x00\x09x", 4))), HasSubstr("longer"));
  EXPECT_THAT(why(proxy_ssl(3, 0, proxy_tlv(0x22, "a") + proxy_tlv(0x22, "b"))), HasSubstr("two common names"));
  EXPECT_THAT(why(proxy_ssl(3, 0, proxy_tlv(0x22, "\xff"))), HasSubstr("no text"));
  EXPECT_THAT(why(proxy_ssl(3, 0, proxy_tlv(0x22, std::string("a\0b", 3)))), HasSubstr("no text"));
}

// The check value of CRC-32C, and a header as a whole.
TEST(ProxyHeaderVersion2, VerifiesItsChecksum) {
  EXPECT_EQ(proxy_crc32c("123456789"), 0xe3069283U);
  const std::string addresses = proxy_ip4("192.0.2.7", 4711);
  std::string header = proxy_v2(0x21, 0x11, addresses + proxy_tlv(0x03, std::string(4, '\0')) + proxy_tlv(0x04, "pad"));
  const std::size_t at = 16 + addresses.size() + 3;
  const std::uint32_t sum = proxy_crc32c(header);
  for (std::size_t i = 0; i < 4; ++i) header[at + i] = static_cast<char>(sum >> (24 - 8 * i));
  EXPECT_EQ(source(header), "192.0.2.7:4711");
  for (std::size_t i = 16; i < 16 + addresses.size(); ++i) {
    std::string changed = header;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_THAT(refusal(changed), HasSubstr("CRC32C")) << i;
  }
  EXPECT_THAT(refusal(proxy_v2(0x21, 0x11, addresses + proxy_tlv(0x03, "abc"))), HasSubstr("four bytes"));
}

// Cut anywhere, a header is waited for; and one byte after the other leads to the same end.
TEST(ProxyHeader, ComesInAnyPieces) {
  const std::string whole[] = {
      "PROXY TCP4 192.0.2.7 198.51.100.1 4711 1883\r\n",
      proxy_v2(0x21, 0x21, proxy_ip6("2001:db8::7", 4711) + proxy_tlv(0x04, std::string(300, 'p'))),
  };
  for (const std::string& header : whole) {
    for (std::size_t size = 1; size < header.size(); ++size) {
      const ParsedProxyHeader parsed = parse(header.substr(0, size));
      ASSERT_EQ(parsed.status, Status::kNeedMore) << size << ": " << parsed.why;
      ASSERT_EQ(parsed.consumed, size);
    }
    EXPECT_EQ(parse(header).status, Status::kDone);
  }
}

}  // namespace
}  // namespace petrel::net
