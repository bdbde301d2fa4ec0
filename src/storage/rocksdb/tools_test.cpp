// Backup, restore, export and import: what comes out is what was in.
#include "storage/rocksdb/tools.h"

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <random>
#include <set>
#include <thread>

#include "storage/contract.h"
#include "storage/rocksdb/rocksdb_store.h"
#include "storage/rocksdb/test_directory.h"

namespace petrel::storage {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

Ref<const wire::Message> message(std::string_view topic, std::string_view payload) {
  wire::Message::Parts parts;
  parts.topic = topic;
  parts.payload = payload;
  parts.forwarded_properties = std::string_view("\x03\x00\x01x", 4);
  parts.qos = wire::Qos::k2;
  parts.expires_at = 4'000'000'000'000;
  return wire::Message::create(parts);
}

std::unique_ptr<RocksStore> open(const std::string& directory) {
  RocksStoreOptions options;
  options.directory = directory;
  options.sync = Sync::kOs;
  auto opened = RocksStore::open(options);
  if (!opened.has_value()) {
    ADD_FAILURE() << opened.error().what;
    return nullptr;
  }
  return std::move(*opened);
}

std::vector<std::string> exported(const std::string& directory) {
  std::vector<std::string> lines;
  const auto done = export_store(directory, [&](std::string_view line) {
    lines.emplace_back(line);
    return true;
  });
  EXPECT_TRUE(done.has_value()) << done.error().what;
  return lines;
}

Result<void, StoreError> import_lines(const std::string& directory, const std::vector<std::string>& lines) {
  auto at = lines.begin();
  return import_store(directory, [&](std::string& line) {
    if (at == lines.end()) return false;
    line = *at++;
    return true;
  });
}

// One of everything, and a message that has been acknowledged.
void fill(ContractLane& lane) {
  const auto shared = message("a/b", std::string_view("\0\xff binary", 9));
  wire::SubscriptionOptions options{wire::Qos::k2, true, true, wire::RetainHandling::kSendIfNew};
  lane.commit({PutSession{{1, "one", 3600, false, 1'700'000'000'000}},
               PutSession{{2, "zwei \u00fc", 0xffffffff, true, 0}}, PutSubscription{1, {"a/#", options, 7}},
               PutSubscription{2, {"$share/g/a/b", {}, 0}},
               Enqueue{1, {356, shared, "\x0b\x07", wire::Qos::k2, true, ""}},
               Enqueue{2, {356, shared, "", wire::Qos::k1, false, "$share/g/a/b"}},
               Enqueue{2, {612, message("a/b", "acknowledged"), "", wire::Qos::k1, false, ""}},
               Enqueue{2, {868, message("a/b", ""), "", wire::Qos::k0, false, ""}}, PutOutgoing{1, {9, 356, false}},
               PutOutgoing{2, {10, 50, true}}, PutIncoming{2, 77}, PutRetained{message("kept", "r")},
               PutWill{2, {"will", "w\0w", std::string("\x01\x01", 2), wire::Qos::k1, true, 30, 60}}});
  lane.commit({Acknowledge{2, 612}});
}

TEST(StoreTools, ExportAndImportRoundTripWhileTheStoreIsInUse) {
  const TestDirectory place;
  const std::string from = place.path() + "/from", to = place.path() + "/to";
  const auto store = open(from);
  ContractLane lane(*store, 0);
  fill(lane);
  const std::vector<std::string> lines = exported(from);
  EXPECT_EQ(lines.size(), 1U + 2 + 2 + 3 + 2 + 2 + 1 + 1 + 1 + 1);
  EXPECT_THAT(lines.back(), HasSubstr(R"("type":"end")"));
  const auto imported = import_lines(to, lines);
  ASSERT_TRUE(imported.has_value()) << imported.error().what;
  EXPECT_EQ(exported(to), lines);
  EXPECT_TRUE(check_store(to).sound);
  const auto copy = open(to);
  const QueuePage page = ContractLane(*copy, 0).read(2);
  ASSERT_EQ(page.entries.size(), 2U);
  EXPECT_EQ(page.entries[0].message->payload(), std::string_view("\0\xff binary", 9));
  EXPECT_EQ(page.entries[0].shared_group, "$share/g/a/b");
  EXPECT_GE(copy->last_message_id(), 868U);
  for (const auto& entry : std::filesystem::directory_iterator(from))
    EXPECT_THAT(entry.path().filename().string(), testing::AnyOf("FORMAT", "LOCK", "db"));
}

TEST(StoreTools, MistakesInAnImportAreToldByLine) {
  const TestDirectory place;
  const std::string head = R"({"type":"store","layout":2,"format":1})";
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{}, "nothing to import"},
      {{"{}"}, "line 1"},
      {{"no JSON"}, "line 1"},
      {{R"({"type":"session"})"}, "line 1: the first line"},
      {{R"({"type":"store","layout":1})"}, "line 1: the export has layout 1, and this petrel reads 2; export"},
      {{head, "[1"}, "line 2: this is no object of JSON"},
      {{head, "[1]"}, "line 2: this is no object of JSON"},
      {{head, "{}"}, "line 2: \"type\" is missing"},
      {{head, R"({"type":1})"}, "line 2: \"type\" is not a text"},
      {{head, R"({"type":"incoming","session":-1,"packet_id":7})"}, "line 2: \"session\" is not a whole number"},
      {{head, R"({"type":"incoming","session":1,"packet_id":"7"})"}, "line 2: \"packet_id\" is not a whole number"},
      {{head, R"({"type":"end"})"}, "line 2: \"counts\" is missing"},
      {{head, R"({"type":"end","counts":{"will":"1"}})"}, "line 2: \"will\" is not a whole number"},
      {{head, R"({"type":"end","counts":{"will":1}})"}, "1 lines of type \"will\", and 0 have come; export"},
      {{head, R"({"type":"end","counts":{}})", head}, "line 3: there is something behind the end"},
      {{head, R"({"type":"other"})"}, "line 2: there is no type"},
      {{head, R"({"type":"incoming","session":1,"packet_id":70000})"}, "line 2: \"packet_id\" is out of range"},
      {{head, R"({"type":"incoming","session":0,"packet_id":1})"}, "line 2: \"session\" is out of range"},
      {{head, R"({"type":"incoming","session":18446744073709551615,"packet_id":1})"}, "\"session\" is out of range"},
      {{head, R"({"type":"incoming","session":1.5,"packet_id":1})"}, "line 2: \"session\" is not a whole number"},
      {{head, R"({"type":"queued","session":1,"message":4611686018427387905,"qos":1})"},
       "line 2: \"message\" is out of range"},
      {{head, R"({"type":"retained","topic":"t","payload":"?","qos":1,"retain":true})"}, "not base64"}};
  int number = 0;
  for (const auto& [lines, what] : cases) {
    const auto done = import_lines(place.path() + "/" + std::to_string(++number), lines);
    ASSERT_FALSE(done.has_value()) << what;
    EXPECT_THAT(done.error().what, HasSubstr(what));
    EXPECT_THAT(done.error().what, testing::Not(HasSubstr("exception")));
  }
  EXPECT_TRUE(std::filesystem::is_empty(place.path()));
  std::filesystem::create_directory(place.path() + "/0");
  EXPECT_THAT(import_lines(place.path(), {head}).error().what, HasSubstr("is not empty"));
}

// However it was cut short, nothing of it becomes a store.
TEST(StoreTools, ImportWantsTheWholeExport) {
  const TestDirectory place;
  const std::string from = place.path() + "/from", to = place.path() + "/to";
  {
    const auto store = open(from);
    ContractLane lane(*store, 0);
    fill(lane);
  }
  const std::vector<std::string> lines = exported(from);
  for (std::size_t size = 1; size < lines.size(); ++size) {
    const auto done = import_lines(to, {lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(size)});
    ASSERT_FALSE(done.has_value()) << size;
    EXPECT_THAT(done.error().what, HasSubstr("it was cut short"));
    EXPECT_FALSE(std::filesystem::exists(to));
  }
  for (std::size_t left_out = 1; left_out + 1 < lines.size(); ++left_out) {
    std::vector<std::string> fewer = lines;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(left_out));
    const auto done = import_lines(to, fewer);
    ASSERT_FALSE(done.has_value()) << left_out;
    EXPECT_THAT(done.error().what, HasSubstr("have come"));
    EXPECT_FALSE(std::filesystem::exists(to));
  }
  // A directory that was there stays, and is as it was.
  std::filesystem::create_directory(to);
  EXPECT_FALSE(import_lines(to, {lines.front()}).has_value());
  EXPECT_TRUE(std::filesystem::is_empty(to));
  EXPECT_TRUE(import_lines(to, lines).has_value());
  EXPECT_TRUE(check_store(to).sound);
}

// Whatever ends the import: power, kill -9.
TEST(StoreTools, AnUnfinishedImportIsNoStore) {
  const TestDirectory place;
  const std::string to = place.path() + "/to";
  auto lines = std::vector<std::string>{R"({"type":"store","layout":2,"format":1})", R"({"type":"end","counts":{}})"};
  std::size_t at = 0;
  const auto done = import_store(to, [&](std::string& line) {
    if (at == lines.size()) return false;
    line = lines[at++];
    EXPECT_THAT(check_store(to).lines.front(), HasSubstr("holds no store"));
    std::filesystem::copy(to, place.path() + "/cut" + std::to_string(at), std::filesystem::copy_options::recursive);
    return true;
  });
  ASSERT_TRUE(done.has_value()) << done.error().what;
  EXPECT_TRUE(check_store(to).sound);
  RocksStoreOptions options;
  for (const char* cut : {"/cut1", "/cut2"}) {
    options.directory = place.path() + cut;
    const auto opened = RocksStore::open(options);
    ASSERT_FALSE(opened.has_value());
    EXPECT_THAT(opened.error().what, HasSubstr("no FORMAT file"));
  }
}

// Files may grow to so many bytes while it lives, as if the disk were full.
class FileLimit {
 public:
  explicit FileLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileLimit(const FileLimit&) = delete;
  FileLimit& operator=(const FileLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST(StoreTools, OfACopyThatFailsNothingIsLeft) {
  const TestDirectory place;
  const std::string live = place.path() + "/live", copy = place.path() + "/copy";
  {
    const auto store = open(live);
    ContractLane lane(*store, 0);
    std::mt19937 random(1);
    std::string payload(100'000, '\0');  // which nothing compresses
    for (char& byte : payload) byte = static_cast<char>(random());
    lane.commit({PutRetained{message("large", payload)}});
    store->flush();
  }
  {
    const FileLimit limit(20'000);
    const StoreCheck failed = restore_store(live, copy);
    EXPECT_FALSE(failed.sound);
    EXPECT_THAT(failed.lines.front(), testing::AllOf(HasSubstr("cannot copy"), HasSubstr("free some space")));
    EXPECT_FALSE(std::filesystem::exists(copy));
    std::filesystem::create_directory(copy);
    EXPECT_FALSE(back_up_store(live, copy).sound);
    EXPECT_TRUE(std::filesystem::is_empty(copy));
  }
  EXPECT_TRUE(back_up_store(live, copy).sound);
}

// Messages are stored as fast as they can be, files are written and merged all the while: each backup holds all that
// was committed before it began, and no message without those before it.
TEST(StoreTools, ABackupHoldsWhatWasCommittedBeforeIt) {
  const TestDirectory place;
  const std::string live = place.path() + "/live";
  const auto store = open(live);
  std::atomic<std::uint64_t> committed{0};
  std::atomic<bool> end{false};
  std::thread writer([&] {
    ContractLane lane(*store, 0);
    lane.commit({PutSession{{1, "reader", 3600, false, 0}}});
    const std::string payload(2000, 'x');
    for (std::uint64_t n = 1; !end; ++n) {
      std::vector<Change> changes;
      for (std::uint64_t i = 0; i < 20; ++i)
        changes.emplace_back(
            Enqueue{1, {make_message_id(n * 20 + i, 0), message("t", payload), "", wire::Qos::k1, false, ""}});
      if (n % 5 != 0) changes.emplace_back(Acknowledge{1, make_message_id(n * 20, 0)});
      lane.commit(std::move(changes));
      committed = n;
      if (n % 50 == 0) store->flush();
    }
  });
  for (int round = 0; round < 4; ++round) {
    for (const std::uint64_t from = committed; committed < from + 60;) std::this_thread::yield();
    const std::uint64_t before = committed;
    const std::string backup = place.path() + "/backup" + std::to_string(round);
    const std::string restored = place.path() + "/restored" + std::to_string(round);
    const StoreCheck backed_up = back_up_store(live, backup);
    ASSERT_TRUE(backed_up.sound) << backed_up.lines.front();
    ASSERT_TRUE(restore_store(backup, restored).sound);
    const auto copy = open(restored);
    ASSERT_NE(copy, nullptr);
    std::set<MessageId> found;
    for (const QueueEntry& entry : ContractLane(*copy, 0).read(1, {}, 10'000'000, std::size_t{1} << 33).entries)
      found.insert(entry.id);
    ASSERT_FALSE(found.empty());
    const std::uint64_t last = *found.rbegin() >> kLaneBits;
    EXPECT_GE(last / 20, before);
    EXPECT_EQ(last % 20, 19U) << "a batch is whole or not there";
    std::uint64_t missing = 0;
    for (std::uint64_t n = 20; n <= last; ++n) {
      const bool acknowledged = n % 20 == 0 && n / 20 % 5 != 0;
      missing += found.contains(make_message_id(n, 0)) == acknowledged ? 1 : 0;
    }
    EXPECT_EQ(missing, 0U) << "round " << round;
  }
  end = true;
  writer.join();
}

TEST(StoreTools, WhatIsNotThereIsSaid) {
  const TestDirectory place;
  EXPECT_THAT(describe_store(place.path()).lines.front(), HasSubstr("holds no store"));
  EXPECT_THAT(check_store(place.path()).lines.front(), HasSubstr("holds no store"));
  EXPECT_THAT(back_up_store(place.path(), place.path() + "/b").lines.front(), HasSubstr("holds no store"));
  EXPECT_THAT(restore_store(place.path(), place.path() + "/b").lines.front(), HasSubstr("holds no store"));
  const std::string live = place.path() + "/live";
  const auto store = open(live);
  EXPECT_THAT(back_up_store(live, place.path()).lines.front(), HasSubstr("is not empty"));
  EXPECT_THAT(restore_store(live, place.path() + "/b").lines.front(), HasSubstr("is in use"));
  const StoreCheck told = describe_store(live);
  EXPECT_TRUE(told.sound);
  EXPECT_THAT(told.lines.front(), HasSubstr("(in use)"));
}

}  // namespace
}  // namespace petrel::storage
