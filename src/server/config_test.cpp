#include "server/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "broker/limits.h"
#include "server/config_table.h"
#include "server/listener_settings.h"

namespace petrel::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> mistakes_of(std::string_view text) {
  Config config;
  std::vector<std::string> lines;
  for (const ConfigMistake& mistake : read_config(text, "p.toml", config)) lines.push_back(mistake.to_string());
  return lines;
}

std::string check(ListenerConfig listener) {
  Config config;
  config.listeners.push_back(std::move(listener));
  std::string text;
  for (const ConfigMistake& mistake : check_config(config)) text += mistake.to_string() + "\n";
  return text;
}

std::string check(std::string address, std::optional<bool> allow_anonymous) {
  return check(ListenerConfig{std::move(address), allow_anonymous});
}

TEST(Config, ReadsEveryKindOfKey) {
  Config config;
  const auto mistakes = read_config(
      "threads = 3\nstore = \"memory\"\n[log]\nlevel = \"debug\"\nformat = \"json\"\n"
      "[limits]\nreceive_maximum = 7\nconnect_timeout_s = 2\nqueue_policy = \"drop-oldest\"\n"
      "session_expiry_max_s = 4294967295\n[sys]\nevents = true\ninterval_s = 3\naccess = \"all\"\nid = "
      "\"b1\"\n[shutdown]\ngrace_s = 9\n"
      "[[listener]]\naddress = \"tcp://127.0.0.1:1\"\n[[listener]]\naddress = \"tcp://[::1]:2\"\n"
      "allow_anonymous = false\n",
      "p.toml", config);
  EXPECT_THAT(mistakes, IsEmpty());
  EXPECT_EQ(config.threads, 3U);
  EXPECT_EQ(config.log_level, LogLevel::kDebug);
  EXPECT_EQ(config.log_format, LogFormat::kJson);
  EXPECT_EQ(config.settings.receive_maximum, 7);
  EXPECT_EQ(config.settings.connect_timeout_ms, 2000);
  EXPECT_EQ(config.settings.queue_policy, broker::QueuePolicy::kDropOldest);
  EXPECT_EQ(config.settings.session_expiry_max_s, broker::kSessionNeverExpires);
  EXPECT_TRUE(config.settings.sys.enabled);
  EXPECT_TRUE(config.settings.sys.events);
  EXPECT_EQ(config.settings.sys.interval_ms, 3000);
  EXPECT_EQ(config.settings.sys.access, broker::SysAccess::kAll);
  EXPECT_EQ(config.sys_id, "b1");
  EXPECT_EQ(config.shutdown_grace_ms, 9000);
  ASSERT_EQ(config.listeners.size(), 2U);
  EXPECT_EQ(config.listeners[0].address, "tcp://127.0.0.1:1");
  EXPECT_EQ(config.listeners[0].allow_anonymous, std::nullopt);
  EXPECT_EQ(config.listeners[1].allow_anonymous, false);
}

TEST(Config, AnEmptyFileChangesNothing) {
  Config config;
  config.threads = 5;
  config.listeners.push_back({"tcp://127.0.0.1:7"});
  EXPECT_THAT(read_config("", "p.toml", config), IsEmpty());
  EXPECT_EQ(config.threads, 5U);
  EXPECT_EQ(config.listeners.size(), 1U);
}

TEST(Config, SuggestsTheNearestKey) {
  EXPECT_THAT(mistakes_of("[log]\nlevle = \"info\"\n"),
              ElementsAre("p.toml:2:1: unknown key \"log.levle\"; did you mean \"log.level\"?"));
  EXPECT_THAT(mistakes_of("receive_maximum = 3\n"),
              ElementsAre("p.toml:1:1: unknown key \"receive_maximum\"; did you mean \"limits.receive_maximum\"?"));
  EXPECT_THAT(mistakes_of("[limit]\n"), ElementsAre(HasSubstr("did you mean [limits]?")));
  EXPECT_THAT(mistakes_of("[[listener]]\naddres = \"tcp://127.0.0.1:1\"\n"),
              ElementsAre(HasSubstr("needs an address"), HasSubstr("did you mean \"address\" under [[listener]]?")));
  EXPECT_THAT(mistakes_of("zzzzzzzzzz = 1\n"), ElementsAre(HasSubstr("docs/configuration.md lists the keys")));
}

TEST(Config, CollectsAllMistakesInTheOrderOfTheFile) {
  EXPECT_THAT(
      mistakes_of("threads = \"two\"\nstore = 1\n[shutdown]\ngrace_s = -1\n[limits]\nreceive_maximum = 0\n"
                  "queue_policy = \"drop\"\ntopic_alias_maximum = 65536\nconnect_timeout_s = 1.5\n"),
      ElementsAre(
          "p.toml:1:11: \"threads\" must be an integer from 0 to 256, not a string",
          "p.toml:2:9: \"store\" must be a string, not an integer",
          "p.toml:4:11: \"shutdown.grace_s\" must be an integer from 0 to 3600, not -1",
          "p.toml:6:19: \"limits.receive_maximum\" must be an integer from 1 to 65535, not 0",
          "p.toml:7:16: \"limits.queue_policy\" must be \"drop-newest\" or \"drop-oldest\" or \"reject\", not \"drop\"",
          "p.toml:8:23: \"limits.topic_alias_maximum\" must be an integer from 0 to 65535, not 65536",
          "p.toml:9:21: \"limits.connect_timeout_s\" must be an integer from 1 to 86400, not a floating-point "
          "number"));
}

TEST(Config, ReportsSectionsOfTheWrongKind) {
  EXPECT_THAT(mistakes_of("log = 3\n"), ElementsAre(HasSubstr("write [log]")));
  EXPECT_THAT(mistakes_of("[listener]\naddress = \"x\"\n"), ElementsAre(HasSubstr("write [[listener]]")));
  EXPECT_THAT(mistakes_of("[[listener]]\naddress = 1\nallow_anonymous = 1\n"),
              ElementsAre("p.toml:2:11: \"listener.address\" must be a string, not 1",
                          "p.toml:3:19: \"listener.allow_anonymous\" must be true or false, not 1"));
}

TEST(Config, ReportsWhereTheSyntaxBreaks) {
  EXPECT_THAT(mistakes_of("threads = 1\nthreads = \n"), ElementsAre(testing::StartsWith("p.toml:2:")));
}

TEST(Config, AFileThatIsNotThereIsAMistake) {
  Config config;
  const auto mistakes = read_config_file("/nonexistent/petrel.toml", config);
  ASSERT_EQ(mistakes.size(), 1U);
  EXPECT_THAT(mistakes[0].to_string(), testing::StartsWith("/nonexistent/petrel.toml: cannot open: "));
}

TEST(Config, AnonymousAccessOffLoopbackIsExplicit) {
  EXPECT_EQ(check("tcp://127.0.0.1:1883", std::nullopt), "");
  EXPECT_EQ(check("tcp://[::1]:1883", std::nullopt), "");
  EXPECT_THAT(check("tcp://0.0.0.0:1883", std::nullopt),
              HasSubstr("write allow_anonymous = true under its [[listener]] or start with --allow-anonymous"));
  EXPECT_THAT(check("http://0.0.0.0:8080", std::nullopt),
              HasSubstr("if it is for pages alone, allow_anonymous = false"));
  EXPECT_EQ(check("http://0.0.0.0:8080", false), "");
  EXPECT_EQ(check("tcp://0.0.0.0:1883", true), "");
  EXPECT_EQ(check("tcp://0.0.0.0:1883", false), "");
}

TEST(Config, ReadsTheKeysOfListeners) {
  Config config;
  const auto mistakes = read_config(
      "[[listener]]\naddress = \"tls://127.0.0.1:1\"\ncertificate = \"a.pem\"\nkey = [\"a.key\"]\n"
      "client_certificates = \"required\"\nversions = [\"3.1.1\", \"5.0\"]\nmax_qos = 1\ntickets = false\n",
      "p.toml", config);
  EXPECT_THAT(mistakes, IsEmpty());
  ASSERT_EQ(config.listeners.size(), 1U);
  const ListenerConfig& listener = config.listeners[0];
  EXPECT_THAT(listener.certificates, ElementsAre("a.pem"));
  EXPECT_THAT(listener.keys, ElementsAre("a.key"));
  EXPECT_EQ(listener.client_certificates, "required");
  EXPECT_THAT(listener.versions, ElementsAre("3.1.1", "5.0"));
  EXPECT_EQ(listener.max_qos, 1);
  EXPECT_EQ(listener.tickets, false);
}

TEST(Config, SaysWhatAListenersKeyMayHold) {
  EXPECT_THAT(
      mistakes_of("[[listener]]\naddress = \"x\"\nversions = [\"4\"]\nmax_qos = 3\nclient_certificates = \"yes\"\n"
                  "key = 1\n"),
      ElementsAre("p.toml:3:12: \"listener.versions\" must be an array of \"3.1\" or \"3.1.1\" or \"5.0\", not \"4\"",
                  "p.toml:4:11: \"listener.max_qos\" must be an integer from 0 to 2, not 3",
                  "p.toml:5:23: \"listener.client_certificates\" must be \"none\" or \"optional\" or \"required\", not "
                  "\"yes\"",
                  "p.toml:6:7: \"listener.key\" must be a string or an array of strings, not 1"));
}

TEST(Config, AListenersLimitsAreItsOwn) {
  Config config;
  EXPECT_THAT(
      read_config("[[listener]]\naddress = \"tcp://127.0.0.1:1\"\nmax_connect_bytes = 256\nmax_packet_bytes = 1024\n"
                  "max_inflight_messages = 1\nreceive_maximum = 65535\ntopic_alias_maximum = 0\n"
                  "topic_alias_maximum_out = 2\nconnect_timeout_s = 3\nkeep_alive_max_s = 0\n"
                  "[[listener]]\naddress = \"unix:///tmp/petrel\"\n",
                  "p.toml", config),
      IsEmpty());
  const auto limits_of = [&](std::size_t i) {
    const ListenerConfig& listener = config.listeners.at(i);
    EXPECT_EQ(check(listener), "");
    return listener_policy(listener, *net::parse_endpoint(listener.address), broker::SysAccess::kNone).limits;
  };
  const broker::ListenerLimits own = limits_of(0), none = limits_of(1);
  EXPECT_EQ(own.max_connect_bytes, 256U);
  EXPECT_EQ(own.max_packet_bytes, 1024U);
  EXPECT_EQ(own.max_inflight_messages, 1);
  EXPECT_EQ(own.receive_maximum, 65535);
  EXPECT_EQ(own.topic_alias_maximum, 0);
  EXPECT_EQ(own.topic_alias_maximum_out, 2);
  EXPECT_EQ(own.connect_timeout_ms, 3000);
  EXPECT_EQ(own.keep_alive_max_s, 0);
  EXPECT_EQ(none.max_packet_bytes, std::nullopt);
  EXPECT_EQ(none.keep_alive_max_s, std::nullopt);
}

TEST(Config, AListenersLimitsHaveTheRangesOfTheBrokers) {
  int count = 0;
  for (const ListenerKey& key : listener_keys()) {
    if (key.limit == nullptr) continue;
    ++count;
    const auto global = std::ranges::find_if(
        config_keys(), [&](const ConfigKey& one) { return one.section == "limits" && one.name == key.name; });
    ASSERT_NE(global, config_keys().end()) << key.name;
    EXPECT_EQ(key.min, global->min) << key.name;
    EXPECT_EQ(key.max, global->max) << key.name;
    EXPECT_THAT(key.description, HasSubstr("Unset: " + global->full_name())) << key.name;
  }
  EXPECT_EQ(count, 8);
  EXPECT_THAT(
      mistakes_of("[[listener]]\naddress = \"x\"\nmax_packet_bytes = 1023\nkeep_alive_max_s = \"1m\"\n"),
      ElementsAre("p.toml:3:20: \"listener.max_packet_bytes\" must be an integer from 1024 to 268435460, not 1023",
                  "p.toml:4:20: \"listener.keep_alive_max_s\" must be an integer from 0 to 65535, not \"1m\""));
}

TEST(Config, KeysBelongToTheirDoors) {
  ListenerConfig listener{"tcp://127.0.0.1:1883"};
  listener.ca_file = "ca.pem";
  listener.origins = {"https://example.com"};
  EXPECT_THAT(check(listener), HasSubstr("ca_file has no meaning there; it is for tls, wss and https"));
  EXPECT_THAT(check(listener), HasSubstr("origins has no meaning there; it is for ws, wss, http and https"));
}

TEST(Config, NothingIsTakenThatWouldDoNothing) {
  ListenerConfig secure{"tls://127.0.0.1:8883"};
  secure.ca_file = "ca.pem";
  EXPECT_THAT(check(secure), HasSubstr("CAs and CRLs have no meaning; write client_certificates = \"required\""));
  secure.client_certificates = "optional";
  EXPECT_THAT(check(secure), Not(HasSubstr("have no meaning")));
  ListenerConfig web{"ws://127.0.0.1:8083"};
  web.origins = {"https://example.com", "null", "*"};
  EXPECT_EQ(check(web), "");
  web.origins = {"example.com"};
  EXPECT_THAT(check(web), HasSubstr("write \"https://example.com\""));
}

TEST(Config, ContextIsForThoseWhoCompress) {
  ListenerConfig listener{"ws://127.0.0.1:8083"};
  listener.compression_context = true;
  EXPECT_EQ(check(listener), "");
  const net::Endpoint endpoint = *net::parse_endpoint(listener.address);
  EXPECT_NE(websocket_settings(listener, endpoint).compression, nullptr);
  EXPECT_TRUE(websocket_settings(listener, endpoint).compression->keeps_context());
  listener.compression = false;
  EXPECT_EQ(websocket_settings(listener, endpoint).compression, nullptr);
  EXPECT_THAT(check(listener), HasSubstr("compression_context has no meaning without compression"));
}

TEST(Config, OnLoopbackForeignPagesStayOut) {
  const auto local_only = [](const ListenerConfig& listener) {
    return websocket_settings(listener, *net::parse_endpoint(listener.address)).local_pages_only;
  };
  ListenerConfig listener{"ws://127.0.0.1:8083"};
  EXPECT_TRUE(local_only(listener));
  EXPECT_TRUE(local_only({"http://[::1]:8083"}));
  EXPECT_FALSE(local_only({"wss://0.0.0.0:8083"}));
  listener.trusted = {"127.0.0.1"};
  EXPECT_FALSE(local_only(listener)) << "behind a proxy may be anybody";
}

TEST(Config, WhatIsSaidOfTcpMustBePossible) {
  Config config;
  EXPECT_THAT(read_config("[[listener]]\naddress = \"tcp://127.0.0.1:1\"\ndead_link_min_s = 5\ndead_link_max_s = 7\n"
                          "quick_resend = true\nmax_unsent_bytes = 16384\nfast_open = 64\n",
                          "p.toml", config),
              IsEmpty());
  const net::TcpSettings settings = tcp_settings(config.listeners.at(0));
  EXPECT_EQ(settings.dead_link_min_s, 5U);
  EXPECT_EQ(settings.dead_link_max_s, 7U);
  EXPECT_TRUE(settings.quick_resend);
  EXPECT_EQ(settings.max_unsent_bytes, 16'384U);
  EXPECT_EQ(settings.fast_open_queue, 64U);

  ListenerConfig listener{"tcp://127.0.0.1:1883"};
  listener.congestion_control = "pigeon";
  EXPECT_THAT(check(listener), HasSubstr("the system has no congestion control \"pigeon\"; it has "));
  listener.congestion_control = net::congestion_controls().at(0);
  EXPECT_EQ(check(listener), "");
  listener.dead_link_max_s = 10;
  EXPECT_THAT(check(listener), HasSubstr("dead_link_max_s is less than dead_link_min_s"));
  ListenerConfig unix_socket{"unix:///tmp/petrel"};
  unix_socket.fast_open = 1;
  EXPECT_THAT(check(unix_socket), HasSubstr("fast_open has no meaning there; it is for all but unix"));
}

TEST(Config, TlsNeedsCertificatesWithKeys) {
  ListenerConfig listener{"tls://127.0.0.1:8883"};
  EXPECT_THAT(check(listener), HasSubstr("TLS needs a certificate"));
  listener.certificates = {"/nonexistent/broker.pem"};
  EXPECT_THAT(check(listener), HasSubstr("each certificate needs a key"));
  listener.keys = {"/nonexistent/broker.key"};
  EXPECT_THAT(check(listener), HasSubstr("/nonexistent/broker.pem"));
}

TEST(Config, WhoProvesWhoTheyAreIsNotAnonymous) {
  ListenerConfig listener{"tls://0.0.0.0:8883"};
  EXPECT_THAT(check(listener), HasSubstr("write allow_anonymous = true"));
  listener.psk_file = "/nonexistent/keys";
  EXPECT_THAT(check(listener), testing::Not(HasSubstr("allow_anonymous")));
}

TEST(Config, AProxyIsNamedAndItsClientsAreNotOfThisMachine) {
  ListenerConfig listener{"tcp://127.0.0.1:1883"};
  listener.proxy_protocol = true;
  EXPECT_THAT(check(listener), HasSubstr("proxy_protocol needs trusted"));
  listener.trusted = {"127.0.0.1"};
  EXPECT_THAT(check(listener), HasSubstr("write allow_anonymous = true"));
  listener.client_certificates = "optional";
  EXPECT_EQ(check(listener), "");
  listener.identity = "san";
  EXPECT_THAT(check(listener), HasSubstr("a proxy tells the common name alone"));
  listener.identity = "cn";
  listener.trusted = {"127.0.0.1/40"};
  EXPECT_THAT(check(listener), HasSubstr("\"127.0.0.1/40\" is not a range of addresses"));
  listener.trusted = {"127.0.0.1"};
  listener.proxy_protocol = {};
  listener.client_certificates = "none";
  EXPECT_THAT(check(listener), HasSubstr("trusted has no meaning there without proxy_protocol"));
  listener.address = "ws://127.0.0.1:1883";
  listener.allow_anonymous = true;
  EXPECT_EQ(check(listener), "");
}

TEST(Config, AProxysWordForACertificateMayBeNeeded) {
  ListenerConfig listener{"tcp://127.0.0.1:1883"};
  listener.proxy_protocol = true;
  listener.trusted = {"127.0.0.1"};
  listener.allow_anonymous = true;
  listener.client_certificates = "optional";
  const net::Endpoint endpoint = *net::parse_endpoint(listener.address);
  EXPECT_TRUE(listener_policy(listener, endpoint, broker::SysAccess::kLoopback).allow_anonymous);
  EXPECT_FALSE(listener_policy(listener, endpoint, broker::SysAccess::kLoopback).may_read_sys);
  listener.client_certificates = "required";
  EXPECT_FALSE(listener_policy(listener, endpoint, broker::SysAccess::kLoopback).allow_anonymous);
}

TEST(Config, AMountPointIsWholeLevels) {
  ListenerConfig listener{"tcp://127.0.0.1:1883"};
  for (const char* wrong : {"tenant-a", "+/", "$SYS/"}) {
    listener.mount_point = wrong;
    EXPECT_THAT(check(listener), HasSubstr("mount_point is not the beginning of topic names")) << wrong;
  }
  listener.mount_point = "tenant-a/";
  EXPECT_EQ(check(listener), "");
}

TEST(Config, TheBrokersIdIsOneTopicLevel) {
  for (const char* id : {"", "a/b", "+", "#"}) {
    Config config;
    config.sys_id = id;
    ASSERT_EQ(check_config(config).size(), 1U) << id;
    EXPECT_THAT(check_config(config)[0].what, HasSubstr("sys.id"));
  }
}

TEST(Config, BooleansAreNotStrings) {
  EXPECT_THAT(mistakes_of("[sys]\nevents = \"yes\"\n"),
              ElementsAre("p.toml:2:10: \"sys.events\" must be true or false, not a string"));
}

TEST(Config, ChecksAddressesAndTheStore) {
  EXPECT_THAT(check("127.0.0.1:1883", true), HasSubstr("it does not begin with tcp://"));
  Config config;
  config.store = "disk";
  config.listeners = {{"tcp://127.0.0.1:1883"}, {"ws://127.0.0.1:1883"}};
  const auto mistakes = check_config(config);
  ASSERT_EQ(mistakes.size(), 2U);
  EXPECT_THAT(mistakes[0].what, HasSubstr("stands twice"));
  EXPECT_THAT(mistakes[1].what, HasSubstr("there is no store \"disk\"; write \"memory\""));
  EXPECT_THAT(check_config(Config{}), IsEmpty());
}

// What is wrong between keys, or with what they name, is told with the place of one that is concerned.
TEST(Config, TellsWhereWhatDoesNotFitStands) {
  const std::string head = "[[listener]]\naddress = \"tls://127.0.0.1:1\"\n",
                    web = "[[listener]]\naddress = \"http://127.0.0.1:1\"\n";
  const std::string tls = head + "certificate = \"/no/c\"\nkey = \"/no/k\"\n";
  const std::string psk = head + "psk_file = \"/dev/null\"\n";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"store = \"disk\"\n", "p.toml:1:9: there is no store"},
      {"[sys]\nid = \"a/b\"\n", "p.toml:2:6: sys.id"},
      {"[[listener]]\naddress = \"127.0.0.1:1\"\n", "p.toml:2:11: "},
      {"[[listener]]\naddress = \"tcp://127.0.0.1:1\"\n[[listener]]\naddress = \"tcp://127.0.0.1:1\"\n",
       "p.toml:4:11: "},
      {"[[listener]]\naddress = \"tcp://0.0.0.0:1\"\n", "p.toml:2:11: "},
      {"[[listener]]\naddress = \"tcp://127.0.0.1:1\"\nmax_qos = 1\npath = \"/x\"\n", "p.toml:4:8: "},
      {web + "compression = false\ncompression_context = true\n", "p.toml:4:23: "},
      {web + "trusted = \"here\"\nallow_anonymous = true\n", "p.toml:3:11: "},
      {web + "proxy_protocol = true\n", "p.toml:3:18: "},
      {web + "origins = [\"localhost\"]\n", "p.toml:3:11: "},
      {web + "mount_point = \"a\"\n", "p.toml:3:15: "},
      {web + "path = \"x\"\n", "p.toml:3:8: "},
      {web + "static = \"/nonexistent\"\n", "p.toml:3:10: "},
      {web + "congestion_control = \"none-such\"\n", "p.toml:3:22: "},
      {web + "dead_link_min_s = 400\n", "p.toml:3:19: "},
      {web + "dead_link_min_s = 400\ndead_link_max_s = 399\n", "p.toml:4:19: "},
      {head, "p.toml:2:11: listener tls://127.0.0.1:1: TLS needs a certificate"},
      {head + "certificate = \"/no/c\"\n", "p.toml:3:15: "},
      {tls, "p.toml:3:15: listener tls://127.0.0.1:1: certificate file \"/no/c\""},
      {tls + "ca_file = \"/no/ca\"\n", "p.toml:5:11: "},
      {tls + "client_certificates = \"required\"\n", "p.toml:5:23: "},
      {tls + "client_certificates = \"required\"\nca_file = \"/no/ca\"\n", "p.toml:6:11: "},
      {tls + "client_certificates = \"required\"\nca_folder = \"/no/ca\"\n", "p.toml:6:13: "},
      {tls + "psk_file = \"/no/psk\"\n", "p.toml:5:12: "},
      {psk + "min_tls = \"1.3\"\nmax_tls = \"1.2\"\n", "p.toml:4:11: "},
      {psk + "ciphers = \"NONE-SUCH\"\n", "p.toml:4:11: "},
      {psk + "cipher_suites = \"NONE-SUCH\"\n", "p.toml:4:17: "},
      {psk + "groups = \"NONE-SUCH\"\n", "p.toml:4:10: "},
      {psk + "psk_hint = \"" + std::string(300, 'x') + "\"\n", "p.toml:4:12: "},
      {psk + "alpn = \"\"\n", "p.toml:4:8: "}};
  for (const auto& [text, place] : cases) {
    Config config;
    ASSERT_THAT(read_config(text, "p.toml", config), IsEmpty()) << text;
    const auto mistakes = check_config(config);
    ASSERT_FALSE(mistakes.empty()) << text;
    EXPECT_THAT(mistakes[0].to_string(), testing::StartsWith(place)) << text;
  }
}

// Every key is set away from its default, so that none can be forgotten by either direction.
TEST(Config, TomlRoundTrips) {
  Config written;
  written.listeners = {{"tcp://127.0.0.1:1"}, {"odd \"\\\n\x7f"}};
  for (const ListenerKey& key : listener_keys()) {
    ListenerConfig& listener = written.listeners[0];
    if (key.name == "address") continue;
    if (key.flag != nullptr) listener.*key.flag = false;
    if (key.limit != nullptr) listener.*key.limit = key.max;
    if (key.integer != nullptr) listener.*key.integer = listener.*key.integer == key.max ? key.min : key.max;
    if (key.text != nullptr) listener.*key.text = key.choices.empty() ? "other" : key.choices.front();
    if (key.text != nullptr && key.is_default(listener)) listener.*key.text = key.choices.back();
    if (key.texts != nullptr) listener.*key.texts = {std::string(key.choices.empty() ? "a\"" : key.choices.front())};
    ASSERT_FALSE(key.is_default(listener)) << key.name;
  }
  for (const ConfigKey& key : config_keys()) {
    if (key.kind == KeyKind::kText) {
      written.*key.text = "other";
      continue;
    }
    const std::int64_t number = key.number(written);
    const std::int64_t max = key.kind == KeyKind::kChoice ? std::ssize(key.choices) - 1 : key.max;
    key.set_number(written, number == max ? number - 1 : number + 1);
    ASSERT_NE(key.number(written), number) << key.full_name();
  }
  Config read;
  const std::string text = to_toml(written);
  ASSERT_THAT(read_config(text, "p.toml", read), IsEmpty()) << text;
  for (const ConfigKey& key : config_keys()) EXPECT_EQ(key.value_text(read), key.value_text(written)) << key.name;
  EXPECT_EQ(to_toml(read), text);
  ASSERT_EQ(read.listeners.size(), 2U);
  EXPECT_EQ(read.listeners[1].address, written.listeners[1].address);
  for (const ListenerKey& key : listener_keys())
    EXPECT_EQ(key.value_text(read.listeners[0]), key.value_text(written.listeners[0])) << key.name;
}

TEST(Config, DefaultsAreWithinTheirRanges) {
  Config read;
  EXPECT_THAT(read_config(to_toml(Config{}), "p.toml", read), IsEmpty());
}

// Log lines, counters and docs/limits.md name limits by their keys.
TEST(Config, EveryLimitIsAKeyAndDocumented) {
  std::ostringstream page;
  page << std::ifstream(PETREL_DOCS "/limits.md").rdbuf();
  for (std::size_t i = 0; i < broker::kLimits; ++i) {
    const std::string_view name = broker::name(static_cast<broker::Limit>(i));
    EXPECT_TRUE(std::ranges::any_of(config_keys(), [&](const ConfigKey& key) {
      return key.section == "limits" && key.name == name;
    })) << name;
    EXPECT_THAT(page.str(), HasSubstr("`" + std::string(name) + "`"));
  }
}

// After a change of the table: PETREL_WRITE_DOCS=1 server_test --gtest_filter=Config.DocumentationIsCurrent
TEST(Config, DocumentationIsCurrent) {
  const auto path = std::filesystem::path(PETREL_DOCS "/configuration.md");
  if (std::getenv("PETREL_WRITE_DOCS") != nullptr) std::ofstream(path) << configuration_markdown();
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  EXPECT_EQ(text.str(), configuration_markdown()) << "rewrite it with PETREL_WRITE_DOCS=1";
}

}  // namespace
}  // namespace petrel::server
