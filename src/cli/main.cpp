// petrel: one program, many commands. This file says which there are and what their flags are called; each command has
// a file of its own.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "cli/bench_command.h"
#include "cli/pub_sub.h"
#include "cli/serve_command.h"
#include "cli/store_command.h"
#include "cli/version.h"

namespace {

using petrel::cli::ServeOptions;

CLI::App* add_serve(CLI::App& app, ServeOptions& options) {
  CLI::App* serve = app.add_subcommand("serve", "Run the broker");
  serve
      ->add_option("-c,--config", options.config_file,
                   "Configuration file (TOML); petrel check-config tells its mistakes")
      ->type_name("FILE");
  serve
      ->add_option(
          "--listen", options.listen,
          "Address to listen on, may be given more than once (default tcp://127.0.0.1:1883); schemes: tcp, tls, "
          "ws, wss, http, https, and unix:///PATH")
      ->type_name("SCHEME://HOST:PORT");
  serve->add_option("--certificate", options.certificate, "Certificate (PEM) of the tls, wss and https addresses")
      ->type_name("FILE");
  serve->add_option("--key", options.key, "Its private key (PEM)")->type_name("FILE");
  serve->add_flag("--allow-anonymous", options.allow_anonymous,
                  "Let clients in without credentials on addresses that are not loopback");
  serve
      ->add_option("--store", options.store,
                   "Where sessions and messages are kept: rocksdb:DIRECTORY, rocksdb (the default: in /var/lib/petrel "
                   "or ~/.local/state/petrel) or memory")
      ->type_name("STORE");
  serve
      ->add_option("--threads", options.threads,
                   "Number of shards, each on a thread of its own; 0, the default: one per core")
      ->check(CLI::Range(0, 256));
  serve->add_option("--log-level", options.log_level, "error, warning, info or debug")->type_name("LEVEL");
  serve->add_option("--log-format", options.log_format, "human or json (one object a line)")->type_name("FORMAT");
  serve->add_flag("--print-config", options.print_config, "Print the whole configuration in force as TOML, and exit");
  serve->footer(
      "Examples:\n"
      "  petrel serve\n"
      "  petrel serve --store rocksdb:/srv/mqtt\n"
      "  petrel serve --listen tcp://127.0.0.1:1884 --log-level debug\n"
      "  petrel serve --listen tcp://0.0.0.0:1883 --allow-anonymous\n"
      "  petrel serve --listen wss://127.0.0.1:8084 --certificate broker.pem --key broker.key\n"
      "Signals: SIGINT and SIGTERM shut down gracefully, a second one at once; SIGHUP reads certificates, keys and\n"
      "pre-shared keys again, as happens by itself when their files change.\n"
      "Exit codes: 0 shut down, 1 a mistake in flags or configuration, 2 cannot start.");
  return serve;
}

int run(int argc, char** argv) {
  CLI::App app("petrel: real-time messaging that keeps working on a weak internet", "petrel");
  app.set_version_flag("--version", petrel::cli::version_text());
  app.require_subcommand(1);

  // The clients have flags of their own; here they are only named, for the list of commands.
  app.add_subcommand("pub", "Publish messages (petrel pub --help)");
  app.add_subcommand("sub", "Subscribe to topics and print the messages (petrel sub --help)");
  app.add_subcommand("bench", "Load a broker, and check what comes of it (petrel bench --help)");
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (!arguments.empty() && arguments[0] == "pub") return petrel::cli::pub({arguments.begin() + 1, arguments.end()});
  if (!arguments.empty() && arguments[0] == "bench")
    return petrel::cli::bench({arguments.begin() + 1, arguments.end()});
  if (!arguments.empty() && arguments[0] == "sub") return petrel::cli::sub({arguments.begin() + 1, arguments.end()});

  ServeOptions serve_options;
  CLI::App* serve = add_serve(app, serve_options);
  std::string config_path;
  CLI::App* check = app.add_subcommand("check-config", "Check a configuration file and tell all its mistakes");
  check->add_option("-c,--config,FILE", config_path, "Configuration file (TOML), with or without -c")
      ->required()
      ->type_name("FILE");

  const petrel::cli::StoreCommand store(app);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 1;
  }
  if (serve->parsed()) return petrel::cli::serve(serve_options);
  if (store.app->parsed()) return store.run();
  return petrel::cli::check_config_file(config_path);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "petrel: %s\n", error.what());
    return 2;
  }
}
