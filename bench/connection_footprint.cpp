// What an idle connection is made of in user space: each object with its size and what the allocator takes for it.
// bench/idle-connections measures the whole and prints this beside it.
#include <fmt/format.h>
#include <malloc.h>

#include <cstdlib>

#include "broker/session.h"
#include "net/transport.h"
#include "server/socket.h"

namespace {

// An object in a block of its own: the allocator rounds up and keeps a word beside it.
void print_object(const char* name, std::size_t bytes) {
  void* block = std::malloc(bytes);
  fmt::print("  {:<52} {:4} {:6}\n", name, bytes, malloc_usable_size(block) + sizeof(std::size_t));
  std::free(block);
}

// An element of a table that doubles: it takes between its size and twice its size.
void print_element(const char* name, std::size_t bytes) {
  fmt::print("  {:<52} {:4} {:2}..{:2}\n", name, bytes, bytes, 2 * bytes);
}

}  // namespace

int main() {
  using namespace petrel;
  fmt::print("  {:<52} {:>4} {:>6}\n", "made of", "size", "taken");
  print_object("Socket (connection, limits, timer, output, partial)", sizeof(server::Socket));
  print_object("TcpTransport", sizeof(net::TcpTransport));
  print_object("Session (client id, QoS 2 ids, subscriptions, will)", sizeof(broker::Session));
  print_element("place in the list of sockets", sizeof(void*));
  print_element("place in the table of sessions", sizeof(void*) + sizeof(std::uint64_t));
  print_element("place in the map of client identifiers", sizeof(std::string_view) + sizeof(void*) + 1);
  fmt::print("  with a subscription:\n");
  print_object("SessionSubscription", sizeof(broker::SessionSubscription));
  fmt::print("  and its filter in the index (docs/performance.md: bytes per subscription)\n");
}
