#include "server/store_tools.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "storage/rocksdb/tools.h"

namespace petrel::server {
namespace {

StoreReport report(storage::StoreCheck check) { return {check.sound, std::move(check.lines)}; }

StoreReport report(const Result<void, storage::StoreError>& done) {
  if (done.has_value()) return {true, {}};
  return {false, {done.error().what}};
}

}  // namespace

StoreReport check_store(const std::string& directory) {
  if (!std::filesystem::exists(directory + "/FORMAT"))
    return {false, {fmt::format("{} holds no store of petrel", directory)}};
  return report(storage::check_store(directory));
}

StoreReport describe_store(const std::string& directory) { return report(storage::describe_store(directory)); }

StoreReport back_up_store(const std::string& directory, const std::string& backup) {
  return report(storage::back_up_store(directory, backup));
}

StoreReport restore_store(const std::string& backup, const std::string& directory) {
  return report(storage::restore_store(backup, directory));
}

StoreReport export_store(const std::string& directory, std::FILE* to) {
  const auto write = [to](std::string_view line) {
    return std::fwrite(line.data(), 1, line.size(), to) == line.size() && std::fputc('\n', to) != EOF;
  };
  auto done = storage::export_store(directory, write);
  if (done.has_value() && std::fflush(to) != 0) done = storage::StoreError{"the export cannot be written"};
  return report(done);
}

StoreReport import_store(const std::string& directory, std::FILE* from) {
  char* text = nullptr;
  std::size_t room = 0;
  const auto next = [&](std::string& line) {
    const ssize_t size = ::getline(&text, &room, from);
    if (size < 0) return false;
    line.assign(text, static_cast<std::size_t>(size));
    return true;
  };
  const auto done = storage::import_store(directory, next);
  std::free(text);
  return report(done);
}

}  // namespace petrel::server
