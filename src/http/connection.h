// One HTTP connection: requests in, one after the other, answers out. Part of Server. Threads: the server's.
#pragma once

#include <string>

#include "http/server.h"

namespace petrel::http {

class Server::Connection final : public net::EventHandler {
 public:
  Connection(Server& server, std::size_t s, Host::Entered entered)
      : site(s), server_(server), link_(std::move(entered)) {}

  void on_events(std::uint32_t events) override;
  // Reads, answers and writes as far as it goes.
  void proceed();
  enum class Progress : std::uint8_t { kMore, kWait, kGone };
  Progress end(std::string_view why);
  int fd() const { return link_.transport->fd(); }
  std::string take_received() { return std::move(received_); }
  Host::Entered take_link() { return std::move(link_); }
  bool is_answering() const { return response_.has_value() || link_.transport->wants_write(); }

  const std::size_t site;
  std::size_t index = 0;  // in the server's list
  TimeMs deadline = 0;
  bool gone = false;

 private:
  Progress read();
  Progress take_request();
  void note_client(const Request& request);
  void log_foreign(const Request& request);
  void answer(Response response, const Request& request, bool keep_alive);
  Progress write();
  bool fill();
  void update_interest();

  Server& server_;
  Host::Entered link_;
  std::string received_;  // of the next request
  std::string client_;    // whom a proxy has named with the last request; empty: nobody
  std::string output_;    // to be sent before more of the body
  std::size_t sent_ = 0;  // of output_
  std::optional<Response> response_;
  std::uint64_t body_sent_ = 0, body_bytes_ = 0;
  std::uint32_t interest_ = EPOLLIN;
  bool close_after_ = false;
  bool ended_ = false;  // all is said; only the peer's end is waited for
};

}  // namespace petrel::http
