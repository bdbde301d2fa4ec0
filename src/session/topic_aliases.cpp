#include "session/topic_aliases.h"

#include <functional>

namespace petrel::session {

OutgoingAliases::Alias OutgoingAliases::use(std::string_view topic) {
  if (topic.size() < kShortestTopicBytes || slots_.empty()) return {};
  const std::size_t index = std::hash<std::string_view>{}(topic) % slots_.size();
  Slot& slot = slots_[index];
  const auto alias = static_cast<std::uint16_t>(index + 1);
  if (slot.topic == topic) {
    if (slot.credit < kMaxCredit) ++slot.credit;
    return {alias, true};
  }
  if (slot.credit > 0) {
    --slot.credit;
    return {};
  }
  slot.topic.assign(topic);
  slot.credit = 1;
  return {alias, false};
}

}  // namespace petrel::session
