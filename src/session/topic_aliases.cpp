#include "session/topic_aliases.h"

#include <functional>

namespace petrel::session {

std::uint32_t OutgoingAliases::hash(std::string_view topic) {
  return static_cast<std::uint32_t>(std::hash<std::string_view>{}(topic));
}

OutgoingAliases::Alias OutgoingAliases::use(std::string_view topic, std::uint32_t hash) {
  if (topic.size() < kShortestTopicBytes || slots_.empty()) return {};
  const std::size_t index = hash % slots_.size();
  Slot& slot = slots_[index];
  const auto alias = static_cast<std::uint16_t>(index + 1);
  if (slot.hash == hash && slot.topic == topic) {
    if (slot.credit < kMaxCredit) ++slot.credit;
    return {alias, true};
  }
  if (slot.credit > 0) {
    --slot.credit;
    return {};
  }
  const std::size_t before = slot.topic.capacity();
  slot.topic.assign(topic);
  if (slot.topic.capacity() != before) share_.set(bytes_ += slot.topic.capacity() - before);
  slot.hash = hash;
  slot.credit = 1;
  return {alias, false};
}

}  // namespace petrel::session
