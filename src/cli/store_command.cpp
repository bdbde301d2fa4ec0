#include "cli/store_command.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "server/store_tools.h"

namespace petrel::cli {
namespace {

constexpr int kMistake = 1;

int tell(const server::StoreReport& report, const std::string& all_well = {}) {
  for (const std::string& line : report.lines) fmt::print(report.sound ? stdout : stderr, "{}\n", line);
  if (report.sound && !all_well.empty()) fmt::print("{}\n", all_well);
  return report.sound ? 0 : kMistake;
}

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

// What to do about a file that cannot be used.
std::string_view advice(int error) {
  if (error == EACCES || error == EPERM) return "; let this user have it, or run this as another";
  if (error == ENOENT || error == ENOTDIR) return "; write the name of a file in a directory that is there";
  if (error == EISDIR) return "; write the name of a file";
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) return "; free some space";
  return error == EROFS ? "; write the name of a file elsewhere" : "";
}

int complain(std::string_view what, const std::string& path, int error) {
  fmt::print(stderr, "petrel: cannot {} {}: {}{}\n", what, path, std::strerror(error), advice(error));
  return kMistake;
}

int keep_open(std::FILE*) { return 0; }

// Whether a file of that name can be made anew; a terminal, a pipe or what a link leads to is only written to.
bool is_plain_file(const std::string& path) {
  struct stat about {};
  return ::lstat(path.c_str(), &about) != 0 || S_ISREG(about.st_mode);
}

}  // namespace

StoreCommand::StoreCommand(CLI::App& parent) {
  app = parent.add_subcommand("store", "Look after a store on disk");
  app->require_subcommand(1);
  constexpr const char* kStore = "Where the store is (serve --store rocksdb:DIRECTORY)";
  constexpr const char* kFresh = "Where the store is to be: empty, or not there yet";
  add("info", "What is in a store; a broker may be using it", kStore, &StoreCommand::info);
  add("check", "Read everything in a store that no broker uses", kStore, &StoreCommand::check);
  add("backup", "Copy a store, and check the copy; a broker may be using the store", kStore, &StoreCommand::back_up,
      "BACKUP");
  add("restore", "Make a store of a backup, and check it", kFresh, &StoreCommand::restore, "BACKUP");
  add("export", "Write a store as JSON lines; a broker may be using it", kStore, &StoreCommand::export_lines, "FILE");
  add("import", "Make a store of JSON lines", kFresh, &StoreCommand::import_lines, "FILE");
  app->footer(
      "Examples:\n"
      "  petrel store info /var/lib/petrel\n"
      "  petrel store backup /var/lib/petrel /srv/backup/monday\n"
      "  petrel store restore /var/lib/petrel /srv/backup/monday\n"
      "  petrel store export /var/lib/petrel - | gzip > store.gz\n"
      "Exit codes: 0 all is well, 1 it is not.");
}

void StoreCommand::add(const char* name, const char* what, const char* directory, int (StoreCommand::*action)() const,
                       const char* other) {
  CLI::App* command = app->add_subcommand(name, what);
  command->add_option("DIRECTORY", directory_, directory)->required();
  if (other != nullptr)
    command
        ->add_option(
            other, other_,
            other == std::string_view("FILE") ? "The file; - is standard input or output" : "Directory of the backup")
        ->required();
  command->callback([this, action] { chosen_ = [this, action] { return (this->*action)(); }; });
}

int StoreCommand::run() const { return chosen_(); }

int StoreCommand::info() const { return tell(server::describe_store(directory_)); }

int StoreCommand::check() const { return tell(server::check_store(directory_), directory_ + ": sound"); }

int StoreCommand::back_up() const {
  return tell(server::back_up_store(directory_, other_), other_ + ": a sound backup");
}

int StoreCommand::restore() const { return tell(server::restore_store(other_, directory_), directory_ + ": sound"); }

int StoreCommand::export_lines() const {
  // What stands under the name stays until the new one is whole.
  const bool in_parts = other_ != "-" && is_plain_file(other_);
  const std::string path = in_parts ? other_ + ".part" : other_;
  File file = other_ == "-" ? File(stdout, &keep_open) : File(std::fopen(path.c_str(), "wb"), &std::fclose);
  if (!file) return complain("write", path, errno);
  int result = tell(server::export_store(directory_, file.get()));
  if (!in_parts) return result;
  if (result == 0 && (std::fclose(file.release()) != 0 || std::rename(path.c_str(), other_.c_str()) != 0))
    result = complain("write", other_, errno);
  if (result != 0) std::remove(path.c_str());
  return result;
}

int StoreCommand::import_lines() const {
  const File file = other_ == "-" ? File(stdin, &keep_open) : File(std::fopen(other_.c_str(), "rb"), &std::fclose);
  if (!file) return complain("read", other_, errno);
  return tell(server::import_store(directory_, file.get()), directory_ + ": imported");
}

}  // namespace petrel::cli
