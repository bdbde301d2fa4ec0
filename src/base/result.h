// Errors are values. Result<T, E> holds either a T or an E; E is the layer's own error type (wire::Error carries the
// MQTT reason code). std::expected is not in C++20, so Boost's result stands in for it.
#pragma once

#include <boost/system/result.hpp>

namespace petrel {

template <class T, class E>
using Result = boost::system::result<T, E>;

}  // namespace petrel
