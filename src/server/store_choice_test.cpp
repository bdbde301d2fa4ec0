#include "server/store_choice.h"

#include <cstdlib>
#include <filesystem>

#include "server/store_tools.h"

namespace petrel::server {
namespace {

using testing::HasSubstr;

TEST(StoreChoice, ReadsItsNames) {
  EXPECT_EQ(parse_store("memory")->kind, StoreChoice::Kind::kMemory);
  const auto named = parse_store("rocksdb:/srv/petrel data");
  ASSERT_TRUE(named.has_value());
  EXPECT_EQ(named->kind, StoreChoice::Kind::kRocksdb);
  EXPECT_EQ(named->directory, "/srv/petrel data");
  ::setenv("STATE_DIRECTORY", "/var/lib/one:/var/lib/two", 1);
  EXPECT_EQ(parse_store("rocksdb")->directory, "/var/lib/one");
  ::unsetenv("STATE_DIRECTORY");
  EXPECT_FALSE(parse_store("rocksdb")->directory.empty());
  Config config;
  config.store = "memory";
  EXPECT_EQ(store_text(config), "memory");
  config.store = "rocksdb:/srv";
  EXPECT_EQ(store_text(config), "rocksdb:/srv");
  config.store = "rocksdb";
  EXPECT_EQ(store_text(config), "rocksdb:" + usual_directory());
  for (const char* wrong : {"", "disk", "rocksdb:", "rocksdbx", "memory:"})
    EXPECT_THAT(parse_store(wrong).error().what, HasSubstr("write \"memory\", \"rocksdb\"")) << wrong;
}

TEST(StoreChoice, OpensWhatItNames) {
  Log log(stderr, LogLevel::kError);
  Config config;
  EXPECT_EQ(config.store, "rocksdb");
  config.store = "memory";
  EXPECT_EQ((*open_store(config, log))->name(), "memory");
  std::string directory = (std::filesystem::temp_directory_path() / "petrel-store-choice-XXXXXX").string();
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  config.store = "rocksdb:" + directory;
  {
    const auto opened = open_store(config, log);
    ASSERT_TRUE(opened.has_value()) << opened.error().what;
    EXPECT_EQ((*opened)->name(), "rocksdb");
    EXPECT_THAT(open_store(config, log).error().what, HasSubstr("is in use by another process"));
    EXPECT_FALSE(check_store(directory).sound);
  }
  EXPECT_TRUE(check_store(directory).sound);
  EXPECT_FALSE(check_store(directory + "/nowhere").sound);
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace petrel::server
