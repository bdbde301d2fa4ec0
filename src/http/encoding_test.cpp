#include "http/encoding.h"

#include <gtest/gtest.h>

namespace petrel::http {
namespace {

// "gzip", "br", "identity", or "-" where the client takes none of them.
std::string chosen(const std::vector<std::string>& headers, bool has_gzip = true, bool has_brotli = true) {
  Request request;
  for (const std::string& value : headers) request.headers.emplace_back("accept-encoding", value);
  const auto encoding = AcceptedEncodings(request).choose(has_gzip, has_brotli);
  return encoding ? std::string(name(*encoding)) : "-";
}

TEST(AcceptedEncodings, AreWeighed) {  // RFC 9110, 12.5.3
  struct Case {
    const char* header;
    const char* chosen;
  };
  for (const Case& c : {
           Case{"gzip, deflate, br", "br"},
           Case{"gzip;q=1.0, br;q=0.5", "gzip"},
           Case{"gzip;q=0.001, br;q=0", "gzip"},
           Case{"gzip;q=0, br;q=0", "identity"},
           Case{"GZIP", "gzip"},
           Case{"x-gzip", "gzip"},
           Case{"deflate", "identity"},
           Case{"", "identity"},
           Case{"*", "br"},
           Case{"*;q=0.1, br;q=0", "gzip"},
           Case{"identity, gzip;q=0.9", "identity"},
           Case{"identity;q=0.5, gzip;q=0.9", "gzip"},
           Case{"identity;q=0", "-"},
           Case{"*;q=0", "-"},
           Case{"*;q=0, identity;q=0.2", "identity"},
           Case{"gzip;q=0, *;q=0", "-"},
           Case{" gzip ; q=0.7 ,, br ; Q=0.9", "br"},
           // What is malformed is as good as not said.
           Case{"gzip;q=2, br;q=0.1234", "identity"},
           Case{"gzip;q=, br;q=-1", "identity"},
           Case{"gzip;level=9", "identity"},
           Case{"gzip;q=0.5;x=1", "identity"},
           Case{"identity;q=x", "identity"},
       })
    EXPECT_EQ(chosen({c.header}), c.chosen) << c.header;
  EXPECT_EQ(chosen({}), "identity");
  EXPECT_EQ(chosen({"gzip;q=0", "br"}), "br");
}

TEST(AcceptedEncodings, OfThoseThereAre) {
  EXPECT_EQ(chosen({"gzip, br"}, true, false), "gzip");
  EXPECT_EQ(chosen({"gzip, br"}, false, false), "identity");
  EXPECT_EQ(chosen({"br, identity;q=0"}, true, false), "-");
  EXPECT_EQ(AcceptedEncodings().choose(true, true), Encoding::kIdentity);
}

}  // namespace
}  // namespace petrel::http
