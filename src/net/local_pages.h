// Which pages of browsers a listener on loopback is for. Any page that a browser on this machine shows can reach such a
// listener: by its address, and then the browser names the page as the Origin; or by a name of its own that has been
// made to lead here (DNS rebinding), and then the request names that as the Host. Programs other than browsers name
// themselves as they like and are not held back by this.
//
// Threads: pure, any.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace petrel::net {

// Whether a page's origin ("http://localhost:3000") names this machine. Names that only lead here do not count: whose
// they are, and where they lead a moment later, is up to others.
bool is_origin_of_this_machine(std::string_view origin);

// The host of "HOST:PORT" or "[::1]:80", without the port and brackets.
std::string_view host_of(std::string_view authority);

class LocalPages {
 public:
  // Everything is admitted.
  LocalPages() = default;
  // `names`: what this machine is called, beside localhost. `origins`: pages that are admitted, too, by the host that
  // they name ("https://chat.example.com"); "*" admits all.
  LocalPages(std::vector<std::string> names, std::vector<std::string> origins);

  // Of a Host header. An address is nobody's name, and leads nowhere else.
  bool admits_host(std::string_view host) const;
  bool admits_origin(std::string_view origin) const;

 private:
  bool admits_all_ = true;
  std::vector<std::string> names_, origins_;
};

}  // namespace petrel::net
