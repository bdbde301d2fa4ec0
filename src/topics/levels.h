// Walking a topic or filter level by level, for the files of this folder.
// Threads: pure, any. Views point into the argument.
#pragma once

#include <cstddef>
#include <string_view>

namespace petrel::topics {

inline std::string_view first_level(std::string_view text) { return text.substr(0, text.find('/')); }

// The levels of a text in order. "a//b" has three, the second empty; "" has one.
class Levels {
 public:
  explicit Levels(std::string_view text) : text_(text) {}

  bool done() const { return begin_ > text_.size(); }
  std::size_t begin() const { return begin_; }
  // From the present level on. Precondition: not done.
  std::string_view rest() const { return text_.substr(begin_); }
  std::string_view level() const { return first_level(rest()); }
  void next() { begin_ += level().size() + 1; }

 private:
  std::string_view text_;
  std::size_t begin_ = 0;
};

// matches() of topic.h without the rule for `$`: for the inner levels of a topic.
bool matches_levels(std::string_view filter, std::string_view name);

}  // namespace petrel::topics
