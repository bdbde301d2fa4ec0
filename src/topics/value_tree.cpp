#include "topics/value_tree.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include "topics/topic_order.h"

namespace petrel::topics {

namespace {

constexpr std::size_t kFanout = 64;
constexpr std::size_t kMergeBelow = kFanout * 5 / 8;  // two neighbours that fit into this become one
constexpr std::size_t kMaxHeight = 24;

}  // namespace

struct ValueTree::Page {
  explicit Page(bool leaf) : is_leaf(leaf) {}
  std::uint16_t count = 0;
  const bool is_leaf;
  std::array<Value, kFanout + 1>
      firsts;  // a leaf's values, or the first value below each child; one to spare for splits
};

struct ValueTree::Leaf : Page {
  Leaf() : Page(true) {}
  Leaf* previous = nullptr;
  Leaf* next = nullptr;
};

struct ValueTree::Branch : Page {
  Branch() : Page(false) {}
  std::array<Page*, kFanout + 1> children;
};

// The branches from the root down to a leaf, and which child was taken in each.
struct ValueTree::Path {
  struct Step {
    Branch* branch;
    std::size_t index;
  };
  std::array<Step, kMaxHeight> steps;
  std::size_t height = 0;
};

namespace {

template <class Array, class T>
void insert_at(Array& array, std::size_t count, std::size_t index, T value) {
  std::move_backward(array.begin() + index, array.begin() + count, array.begin() + count + 1);
  array[index] = value;
}

template <class Array>
void erase_at(Array& array, std::size_t count, std::size_t index) {
  std::move(array.begin() + index + 1, array.begin() + count, array.begin() + index);
}

// Moves what stands from `from` on to the end of the other array.
template <class Array>
void move_tail(Array& array, std::size_t count, std::size_t from, Array& to, std::size_t to_count) {
  std::move(array.begin() + from, array.begin() + count, to.begin() + to_count);
}

}  // namespace

ValueTree::ValueTree(TopicOf topic_of) : topic_of_(topic_of), root_(new Leaf) {}
ValueTree::~ValueTree() { destroy(root_); }

void ValueTree::destroy(Page* page) {
  if (page->is_leaf) {
    delete static_cast<Leaf*>(page);
    return;
  }
  auto* branch = static_cast<Branch*>(page);
  for (std::size_t i = 0; i < branch->count; ++i) destroy(branch->children[i]);
  delete branch;
}

std::size_t ValueTree::lower_index(const Page& page, std::string_view topic) const {
  const auto* begin = page.firsts.data();
  const auto* found = std::lower_bound(begin, begin + page.count, topic, [this](Value value, std::string_view wanted) {
    return comes_before(topic_of_(value), wanted);
  });
  return static_cast<std::size_t>(found - begin);
}

std::size_t ValueTree::child_index(const Page& branch, std::string_view topic) const {
  const auto* begin = branch.firsts.data();
  const auto* found =
      std::upper_bound(begin + 1, begin + branch.count, topic,
                       [this](std::string_view wanted, Value value) { return comes_before(wanted, topic_of_(value)); });
  return static_cast<std::size_t>(found - begin) - 1;
}

ValueTree::Leaf* ValueTree::descend(std::string_view topic, Path& path) const {
  Page* page = root_;
  while (!page->is_leaf) {
    auto* branch = static_cast<Branch*>(page);
    const std::size_t index = child_index(*branch, topic);
    path.steps[path.height++] = {branch, index};
    page = branch->children[index];
  }
  return static_cast<Leaf*>(page);
}

ValueTree::Value ValueTree::find(std::string_view topic) const {
  const Cursor cursor = lower_bound(topic);
  return cursor && topic_of_(*cursor) == topic ? *cursor : nullptr;
}

ValueTree::Value ValueTree::put(std::string_view topic, Value value) {
  Path path;
  Leaf* leaf = descend(topic, path);
  const std::size_t index = lower_index(*leaf, topic);
  Value replaced = nullptr;
  if (index < leaf->count && topic_of_(leaf->firsts[index]) == topic) {
    replaced = std::exchange(leaf->firsts[index], value);
  } else {
    insert_at(leaf->firsts, leaf->count++, index, value);
  }
  for (std::size_t i = path.height; index == 0 && i-- > 0;) {
    path.steps[i].branch->firsts[path.steps[i].index] = value;
    if (path.steps[i].index != 0) break;
  }
  if (leaf->count > kFanout) split_upwards(leaf, path);
  return replaced;
}

// Topics that come in order fill their pages: the last page of all gives only its last entry away.
void ValueTree::split_upwards(Leaf* leaf, Path& path) {
  const bool at_end = leaf->next == nullptr;
  const std::size_t kept = at_end ? kFanout : kFanout / 2;
  auto* right_leaf = new Leaf;
  move_tail(leaf->firsts, leaf->count, kept, right_leaf->firsts, 0);
  right_leaf->count = static_cast<std::uint16_t>(leaf->count - kept);
  leaf->count = static_cast<std::uint16_t>(kept);
  right_leaf->previous = leaf;
  right_leaf->next = leaf->next;
  if (leaf->next != nullptr) leaf->next->previous = right_leaf;
  leaf->next = right_leaf;

  Page* left = leaf;
  Page* right = right_leaf;
  while (path.height > 0) {
    const auto [branch, index] = path.steps[--path.height];
    insert_at(branch->firsts, branch->count, index + 1, right->firsts[0]);
    insert_at(branch->children, branch->count, index + 1, right);
    if (++branch->count <= kFanout) return;
    auto* right_branch = new Branch;
    move_tail(branch->firsts, branch->count, kept, right_branch->firsts, 0);
    move_tail(branch->children, branch->count, kept, right_branch->children, 0);
    right_branch->count = static_cast<std::uint16_t>(branch->count - kept);
    branch->count = static_cast<std::uint16_t>(kept);
    left = branch;
    right = right_branch;
  }
  auto* root = new Branch;
  root->count = 2;
  root->firsts[0] = left->firsts[0];
  root->firsts[1] = right->firsts[0];
  root->children[0] = left;
  root->children[1] = right;
  root_ = root;
}

ValueTree::Value ValueTree::remove(std::string_view topic) {
  Path path;
  Leaf* leaf = descend(topic, path);
  const std::size_t index = lower_index(*leaf, topic);
  if (index >= leaf->count || topic_of_(leaf->firsts[index]) != topic) return nullptr;
  const Value removed = leaf->firsts[index];
  erase_at(leaf->firsts, leaf->count--, index);
  repair_upwards(path);
  return removed;
}

void ValueTree::repair_upwards(const Path& path) {
  for (std::size_t i = path.height; i-- > 0;) {
    const auto [branch, index] = path.steps[i];
    const Page* child = branch->children[index];
    if (child->count == 0) {
      drop_child(*branch, index);
      continue;
    }
    branch->firsts[index] = child->firsts[0];
    if (index + 1 < branch->count) merge_neighbours(*branch, index);
    if (index > 0) merge_neighbours(*branch, index - 1);
  }
  while (!root_->is_leaf && root_->count == 1) {
    auto* branch = static_cast<Branch*>(root_);
    root_ = branch->children[0];
    delete branch;
  }
}

void ValueTree::merge_neighbours(Branch& branch, std::size_t left) {
  Page* into = branch.children[left];
  Page* from = branch.children[left + 1];
  if (into->count + from->count > static_cast<int>(kMergeBelow)) return;
  move_tail(from->firsts, from->count, 0, into->firsts, into->count);
  if (!into->is_leaf) {
    move_tail(static_cast<Branch*>(from)->children, from->count, 0, static_cast<Branch*>(into)->children, into->count);
  }
  into->count = static_cast<std::uint16_t>(into->count + from->count);
  drop_child(branch, left + 1);
}

void ValueTree::drop_child(Branch& branch, std::size_t index) {
  Page* child = branch.children[index];
  if (child->is_leaf) {
    auto* leaf = static_cast<Leaf*>(child);
    if (leaf->previous != nullptr) leaf->previous->next = leaf->next;
    if (leaf->next != nullptr) leaf->next->previous = leaf->previous;
    delete leaf;
  } else {
    delete static_cast<Branch*>(child);
  }
  erase_at(branch.firsts, branch.count, index);
  erase_at(branch.children, branch.count, index);
  --branch.count;
}

ValueTree::Cursor ValueTree::lower_bound(std::string_view topic) const {
  Path path;
  Cursor cursor;
  const Leaf* leaf = descend(topic, path);
  cursor.index_ = lower_index(*leaf, topic);
  cursor.leaf_ = leaf;
  if (cursor.index_ == leaf->count) {
    cursor.leaf_ = leaf->next;
    cursor.index_ = 0;
  }
  return cursor;
}

ValueTree::Value ValueTree::Cursor::operator*() const { return leaf_->firsts[index_]; }

void ValueTree::Cursor::next() {
  if (++index_ < leaf_->count) return;
  leaf_ = leaf_->next;
  index_ = 0;
}

}  // namespace petrel::topics
