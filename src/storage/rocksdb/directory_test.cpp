#include "storage/rocksdb/directory.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "storage/rocksdb/test_directory.h"

namespace petrel::storage::rocks {
namespace {

using testing::HasSubstr;

std::string format_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path + "/FORMAT").rdbuf();
  return text.str();
}

void write_format(const std::string& path, std::string_view text) { std::ofstream(path + "/FORMAT") << text; }

std::string refusal(const std::string& path, std::uint32_t format = kFormat,
                    const std::vector<FormatStep>& steps = {}) {
  const auto opened = Directory::open(path, format, steps);
  return opened.has_value() ? "" : opened.error().what;
}

TEST(Directory, IsMadeWithItsFormat) {
  const TestDirectory parent;
  const std::string path = parent.path() + "/a/b";
  const auto opened = Directory::open(path);
  ASSERT_TRUE(opened.has_value()) << opened.error().what;
  EXPECT_EQ(format_of(path), "petrel store, format 1\n");
  EXPECT_EQ(opened->database_path(), path + "/db");
}

TEST(Directory, IsLockedAsLongAsItIsOpen) {
  const TestDirectory place;
  {
    const auto first = Directory::open(place.path());
    ASSERT_TRUE(first.has_value());
    EXPECT_THAT(refusal(place.path()), HasSubstr("is in use by another process"));
  }
  EXPECT_EQ(refusal(place.path()), "");
}

TEST(Directory, RefusesANewerFormat) {
  const TestDirectory place;
  write_format(place.path(), "petrel store, format 2\n");
  EXPECT_THAT(refusal(place.path()),
              HasSubstr("has format 2, written by a newer petrel; this one knows formats up to 1"));
  EXPECT_EQ(format_of(place.path()), "petrel store, format 2\n");
}

TEST(Directory, RefusesADamagedFormatAndForeignData) {
  const TestDirectory place;
  for (const char* text :
       {"nonsense", "petrel store, format 1", "petrel store, format 0\n", "petrel store, format 1x\n"}) {
    write_format(place.path(), text);
    EXPECT_THAT(refusal(place.path()), HasSubstr("FORMAT is damaged")) << text;
  }
  const TestDirectory foreign;
  std::ofstream(foreign.path() + "/CURRENT") << "MANIFEST-000001\n";
  EXPECT_THAT(refusal(foreign.path()), HasSubstr("holds a database, but no FORMAT file of petrel"));
}

TEST(Directory, UpgradesStepByStep) {
  const TestDirectory place;
  EXPECT_EQ(refusal(place.path(), 1), "");
  std::vector<std::uint32_t> done;
  bool fails = true;
  const std::vector<FormatStep> steps{{1,
                                       [&](const std::string&) -> Result<void, StoreError> {
                                         done.push_back(1);
                                         return {};
                                       }},
                                      {2, [&](const std::string&) -> Result<void, StoreError> {
                                         done.push_back(2);
                                         if (fails) return StoreError{"no"};
                                         return {};
                                       }}};
  EXPECT_EQ(refusal(place.path(), 3, steps), "no");
  EXPECT_EQ(format_of(place.path()), "petrel store, format 2\n");
  fails = false;
  EXPECT_EQ(refusal(place.path(), 3, steps), "");
  EXPECT_EQ(format_of(place.path()), "petrel store, format 3\n");
  EXPECT_THAT(done, testing::ElementsAre(1, 2, 2));
  EXPECT_THAT(refusal(place.path(), 4, steps), HasSubstr("no way is known from format 3"));
}

TEST(Directory, SaysWhyItCannotBeUsed) {
  const TestDirectory place;
  std::ofstream(place.path() + "/file") << "x";
  EXPECT_THAT(refusal(place.path() + "/file"), HasSubstr("cannot create the store's directory"));
  EXPECT_THAT(refusal("/proc/petrel-store"), HasSubstr("cannot create the store's directory"));
}

}  // namespace
}  // namespace petrel::storage::rocks
