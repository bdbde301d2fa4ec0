// A B+tree of values ordered by their topics (topic_order.h). It holds pointers only: keys are read from the values,
// and each branch remembers the first value below each of its children.
//
// Threads: those of its owner. A Cursor is valid until the next change.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "topics/retained_trie.h"

namespace petrel::topics {

class ValueTree {
 public:
  using Value = RetainedTrie::Value;
  using TopicOf = std::string_view (*)(Value);

  explicit ValueTree(TopicOf topic_of);
  ~ValueTree();
  ValueTree(const ValueTree&) = delete;
  ValueTree& operator=(const ValueTree&) = delete;

  // The value that `value` took the place of, or null.
  Value put(std::string_view topic, Value value);
  // The value that was there, or null.
  Value remove(std::string_view topic);
  Value find(std::string_view topic) const;

  struct Leaf;
  class Cursor {
   public:
    explicit operator bool() const { return leaf_ != nullptr; }
    Value operator*() const;
    void next();

   private:
    friend class ValueTree;
    const Leaf* leaf_ = nullptr;
    std::size_t index_ = 0;
  };
  // The first value not before `topic`, or nothing.
  Cursor lower_bound(std::string_view topic) const;

 private:
  struct Page;
  struct Branch;
  struct Path;

  std::size_t lower_index(const Page& page, std::string_view topic) const;
  std::size_t child_index(const Page& branch, std::string_view topic) const;
  Leaf* descend(std::string_view topic, Path& path) const;
  void split_upwards(Leaf* leaf, Path& path);
  void repair_upwards(const Path& path);
  static void merge_neighbours(Branch& branch, std::size_t left);
  static void drop_child(Branch& branch, std::size_t index);
  static void destroy(Page* page);

  const TopicOf topic_of_;
  Page* root_;
};

}  // namespace petrel::topics
