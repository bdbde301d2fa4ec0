#include "server/store_tools.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "storage/rocksdb/tools.h"

namespace petrel::server {
namespace {

StoreReport report(storage::StoreCheck check) { return {check.sound, std::move(check.lines)}; }

StoreReport report(const Result<void, storage::StoreError>& done) {
  if (done.has_value()) return {true, {}};
  return {false, {done.error().what}};
}

}  // namespace

StoreReport check_store(const std::string& directory) { return report(storage::check_store(directory)); }

StoreReport describe_store(const std::string& directory) { return report(storage::describe_store(directory)); }

StoreReport back_up_store(const std::string& directory, const std::string& backup) {
  return report(storage::back_up_store(directory, backup));
}

StoreReport restore_store(const std::string& backup, const std::string& directory) {
  return report(storage::restore_store(backup, directory));
}

StoreReport export_store(const std::string& directory, std::FILE* to) {
  int error = 0;
  const auto write = [&](std::string_view line) {
    errno = 0;
    if (std::fwrite(line.data(), 1, line.size(), to) == line.size() && std::fputc('\n', to) != EOF) return true;
    error = errno;
    return false;
  };
  auto done = storage::export_store(directory, write);
  if (done.has_value() && std::fflush(to) != 0) error = errno;
  if (error != 0)
    done = storage::StoreError{
        fmt::format("the export cannot be written: {}; what there is of it is no export", std::strerror(error))};
  return report(done);
}

StoreReport import_store(const std::string& directory, std::FILE* from) {
  char* text = nullptr;
  std::size_t room = 0;
  int error = 0;
  const auto next = [&](std::string& line) {
    errno = 0;
    const ssize_t size = ::getline(&text, &room, from);
    if (size < 0) {
      error = std::ferror(from) != 0 ? errno : 0;
      return false;
    }
    line.assign(text, static_cast<std::size_t>(size));
    return true;
  };
  auto done = storage::import_store(directory, next);
  std::free(text);
  if (error != 0)
    done =
        storage::StoreError{fmt::format("the export cannot be read: {}. Nothing was imported", std::strerror(error))};
  return report(done);
}

}  // namespace petrel::server
