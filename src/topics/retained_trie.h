// Retained messages by topic name. A wildcard subscriber finds its matches without scanning the rest; reading goes in
// pages, so that a filter with a million matches is delivered at its receiver's pace.
//
// The trie is not made of nodes: it is a B+tree of the values in the order in which a walk of the trie by level would
// meet them, and jumps over branches that cannot match. That costs 8 to 18 bytes per topic, keeps no level text of its
// own, and makes every position in it expressible as a string, which is what resuming needs.
//
// V is what is kept per topic, a Ref or another small value type, copied out under the lock.
// Threads: all members from any thread (one reader-writer lock; retained traffic only).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ref.h"

namespace petrel::topics {

// The kept object: any RefCounted type, held by an untyped pair of functions so that the trie is compiled once.
class RetainedTrie {
 public:
  // Counted pointer with its own release function (see RetainedTopics below for the typed face).
  using Value = const void*;
  struct Ops {
    void (*add_ref)(Value);
    void (*release)(Value);
    std::string_view (*topic)(Value);  // the topic name stored in the value, so that the trie need not keep it twice
    std::size_t (*bytes)(Value);
  };
  explicit RetainedTrie(const Ops& ops);
  ~RetainedTrie();
  RetainedTrie(const RetainedTrie&) = delete;
  RetainedTrie& operator=(const RetainedTrie&) = delete;

  // Takes a count of `value`, whose topic is `topic`; replaces what the topic had. True if the topic is new.
  bool set(std::string_view topic, Value value);
  // True if there was something.
  bool erase(std::string_view topic);
  // Erases only while `value` is still what the topic holds (expiry of an old message must not remove its successor).
  bool erase_if(std::string_view topic, Value value);
  // With a count for the caller, or null.
  Value get(std::string_view topic) const;

  // Up to `limit` (at least 1) values whose topics match `filter` (not shared), in the trie's order, from the position
  // `resume` ("" from the start), each with a count for the caller. `more` tells whether there may be further ones:
  // continue with the page's `resume`, or with the topic of
  // one of its values, to get that value (as it is then) again and what follows. A page may be short, even empty, and
  // have `more`: a call visits a bounded number of topics. Topics that change meanwhile are seen or not; unchanged ones
  // are seen once.
  struct Page {
    std::vector<Value> values;
    bool more = false;
    std::string resume;  // empty without `more`
  };
  Page match(std::string_view filter, std::string_view resume, std::size_t limit) const;

  std::size_t count() const;
  std::size_t bytes() const;  // sum of Ops::bytes

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The typed face. T has `std::string_view topic() const` and `std::size_t block_bytes() const`.
template <class T>
class RetainedTopics {
 public:
  RetainedTopics() : trie_(kOps) {}
  bool set(Ref<const T> value) { return trie_.set(value->topic(), value.get()); }
  bool erase(std::string_view topic) { return trie_.erase(topic); }
  bool erase_if(const T* value) { return trie_.erase_if(value->topic(), value); }
  Ref<const T> get(std::string_view topic) const { return adopt(trie_.get(topic)); }
  struct Page {
    std::vector<Ref<const T>> values;
    bool more = false;
    std::string resume;
  };
  Page match(std::string_view filter, std::string_view resume, std::size_t limit) const {
    RetainedTrie::Page raw = trie_.match(filter, resume, limit);
    Page page{{}, raw.more, std::move(raw.resume)};
    page.values.reserve(raw.values.size());
    for (RetainedTrie::Value value : raw.values) page.values.push_back(adopt(value));
    return page;
  }
  std::size_t count() const { return trie_.count(); }
  std::size_t bytes() const { return trie_.bytes(); }

 private:
  static const T* typed(RetainedTrie::Value value) { return static_cast<const T*>(value); }
  static Ref<const T> adopt(RetainedTrie::Value value) {
    Ref<const T> ref(typed(value));
    if (value != nullptr) typed(value)->release();
    return ref;
  }
  static constexpr RetainedTrie::Ops kOps{[](RetainedTrie::Value v) { typed(v)->add_ref(); },
                                          [](RetainedTrie::Value v) { typed(v)->release(); },
                                          [](RetainedTrie::Value v) { return typed(v)->topic(); },
                                          [](RetainedTrie::Value v) { return typed(v)->block_bytes(); }};
  RetainedTrie trie_;
};

}  // namespace petrel::topics
