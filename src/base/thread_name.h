// Names a thread of the broker, for an operator who looks with top -H, ps -L, perf or a debugger.
//
// Threads: names the calling one.
#pragma once

#include <pthread.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace petrel {

// "petrel-" and `role`; the system keeps 15 bytes of it (pthread_setname_np(3)). Does not fail: a name that the system
// does not take is no reason to stop.
inline void name_thread(std::string_view role) {
  std::string name = "petrel-";
  name.append(role);
  name.resize(std::min<std::size_t>(name.size(), 15));
  pthread_setname_np(pthread_self(), name.c_str());
}

}  // namespace petrel
