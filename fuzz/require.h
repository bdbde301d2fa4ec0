// What must hold in a fuzz target, in every build: ends the process, which libFuzzer takes for a finding.
#pragma once

#include <cstdio>
#include <cstdlib>

#define PETREL_REQUIRE(condition)                                                         \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                       \
    }                                                                                     \
  } while (false)
