#include "net/websocket_extension.h"

#include <gtest/gtest.h>

namespace petrel::net {
namespace {

std::string agreed(std::vector<std::string_view> offers, bool may_keep = false) {
  const auto terms = agree_on_deflate(offers, may_keep);
  return terms ? terms->answer() : "";
}

TEST(WebSocketExtension, AnswersWhatIsOffered) {  // RFC 7692, 7.1
  const std::string both = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
  struct Case {
    std::vector<std::string_view> offers;
    std::string answer;
  };
  for (const Case& c : {
           Case{{}, ""},
           Case{{""}, ""},
           Case{{"permessage-deflate"}, both},
           Case{{"permessage-deflate; client_max_window_bits"}, both + "; client_max_window_bits=15"},
           Case{{"permessage-deflate; client_max_window_bits=10"}, both + "; client_max_window_bits=10"},
           Case{{"permessage-deflate; client_max_window_bits=\"10\""}, both + "; client_max_window_bits=10"},
           Case{{"permessage-deflate; client_max_window_bits=8"}, both + "; client_max_window_bits=9"},
           Case{{"permessage-deflate;server_max_window_bits=9"}, both + "; server_max_window_bits=9"},
           Case{{"permessage-deflate; server_no_context_takeover ; client_no_context_takeover"}, both},
           Case{{"x-webkit-deflate-frame, permessage-deflate"}, both},
           Case{{"foo; bar=\"a b\"", "permessage-deflate"}, ""},
           Case{{"foo; bar=baz", "permessage-deflate"}, both},
           // The first that can be met.
           Case{{"permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=12"},
                both + "; server_max_window_bits=12"},
           Case{{"permessage-deflate; server_max_window_bits=11,permessage-deflate"},
                both + "; server_max_window_bits=11"},
           Case{{", ,permessage-deflate"}, both},
       }) {
    EXPECT_EQ(agreed(c.offers), c.answer) << (c.offers.empty() ? "" : c.offers.front());
  }
}

TEST(WebSocketExtension, DeclinesWhatItDoesNotUnderstand) {  // RFC 7692, 7.1: invalid, unknown, repeated
  for (const char* offer : {"permessage-deflate; unknown",
                            "permessage-deflate; server_no_context_takeover=1",
                            "permessage-deflate; client_no_context_takeover=\"\"",
                            "permessage-deflate; server_max_window_bits",
                            "permessage-deflate; server_max_window_bits=8",
                            "permessage-deflate; server_max_window_bits=7",
                            "permessage-deflate; server_max_window_bits=16",
                            "permessage-deflate; server_max_window_bits=010",
                            "permessage-deflate; server_max_window_bits=+9",
                            "permessage-deflate; client_max_window_bits=0",
                            "permessage-deflate; client_max_window_bits=x",
                            "permessage-deflate; client_max_window_bits=",
                            "permessage-deflate; client_max_window_bits=\"9",
                            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
                            "permessage-deflate; client_max_window_bits; client_max_window_bits=9",
                            "permessage-deflate;",
                            "permessage-deflate =",
                            "permessage-deflate x",
                            "Permessage-Deflate",
                            "permessage-deflate/1",
                            "permessage-deflate; =9"})
    EXPECT_EQ(agreed({offer}), "") << offer;
}

TEST(WebSocketExtension, KeepsContextWhereBothMay) {
  EXPECT_EQ(agreed({"permessage-deflate"}, true), "permessage-deflate");
  EXPECT_EQ(agreed({"permessage-deflate; client_max_window_bits"}, true),
            "permessage-deflate; client_max_window_bits=12");
  EXPECT_EQ(agreed({"permessage-deflate; server_no_context_takeover; server_max_window_bits=10"}, true),
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=10");
  EXPECT_EQ(agreed({"permessage-deflate; client_no_context_takeover"}, true),
            "permessage-deflate; client_no_context_takeover");
}

}  // namespace
}  // namespace petrel::net
