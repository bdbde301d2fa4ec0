// `petrel store ...`: looks after a store on disk.
#pragma once

#include <CLI/App.hpp>
#include <functional>
#include <string>

namespace petrel::cli {

// The command and its own commands. run() is for after the parsing, when `app` was chosen: 0 when all is well, 1 and
// what is wrong otherwise.
class StoreCommand {
 public:
  explicit StoreCommand(CLI::App& parent);
  StoreCommand(const StoreCommand&) = delete;
  StoreCommand& operator=(const StoreCommand&) = delete;

  CLI::App* app = nullptr;
  int run() const;

 private:
  void add(const char* name, const char* what, const char* directory, int (StoreCommand::*action)() const,
           const char* other = nullptr);
  int info() const;
  int check() const;
  int back_up() const;
  int restore() const;
  int export_lines() const;
  int import_lines() const;

  std::string directory_, other_;
  std::function<int()> chosen_;
};

}  // namespace petrel::cli
