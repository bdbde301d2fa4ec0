#include "server/machine_memory.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>

namespace petrel::server {
namespace {

TEST(MachineMemory, IsKnown) { EXPECT_GT(machine_memory_bytes(), std::size_t{16} << 20); }

TEST(MachineMemory, TheTightestControlGroupHolds) {
  std::string root = (std::filesystem::temp_directory_path() / "petrel-groups-XXXXXX").string();
  ASSERT_NE(mkdtemp(root.data()), nullptr);
  std::filesystem::create_directories(root + "/system/petrel");
  EXPECT_EQ(control_group_limit(root, "/system/petrel"), SIZE_MAX);
  std::ofstream(root + "/system/petrel/memory.max") << "max\n";
  EXPECT_EQ(control_group_limit(root, "/system/petrel"), SIZE_MAX);
  std::ofstream(root + "/system/memory.max") << "4096\n";
  EXPECT_EQ(control_group_limit(root, "/system/petrel"), 4096U);
  std::ofstream(root + "/system/petrel/memory.max") << "8192\n";
  EXPECT_EQ(control_group_limit(root, "/system/petrel"), 4096U);
  std::ofstream(root + "/memory.max") << "1024\n";
  EXPECT_EQ(control_group_limit(root, "/system/petrel"), 1024U);
  EXPECT_EQ(control_group_limit(root, ""), 1024U);
  std::filesystem::remove_all(root);
}

}  // namespace
}  // namespace petrel::server
