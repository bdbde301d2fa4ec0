// Processor time, user and system, of a process. Threads: any.
#pragma once

#include <sys/types.h>

#include <optional>

namespace petrel::load {

std::optional<double> process_time_s(pid_t process);
double own_time_s();

}  // namespace petrel::load
