#include "wire/message.h"

#include <cstdlib>
#include <new>

#include "base/memory_ledger.h"

namespace petrel::wire {

Message::Message(const Parts& parts)
    : payload_bytes_(static_cast<std::uint32_t>(parts.payload.size())),
      property_bytes_(static_cast<std::uint32_t>(parts.forwarded_properties.size())),
      topic_bytes_(static_cast<std::uint16_t>(parts.topic.size())),
      qos_(parts.qos),
      retain_(parts.retain),
      expires_at_(parts.expires_at),
      publisher_(parts.publisher) {
  put_bytes(put_bytes(put_bytes(reinterpret_cast<char*>(this + 1), parts.topic), parts.forwarded_properties),
            parts.payload);
}

Ref<const Message> Message::create(const Parts& parts) {
  const std::size_t bytes = block_bytes(parts);
  void* block = std::malloc(bytes);
  if (block == nullptr) throw std::bad_alloc();
  MemoryLedger::take(MemoryLedger::Use::kMessages, bytes);
  return Ref<const Message>(new (block) Message(parts));
}

void Message::destroy(const Message* message) noexcept {
  MemoryLedger::give(MemoryLedger::Use::kMessages, message->block_bytes());
  std::free(const_cast<Message*>(message));
}

std::uint32_t Message::remaining_expiry_s(TimeMs now) const {
  return now >= expires_at_ ? 0 : static_cast<std::uint32_t>((expires_at_ - now - 1) / 1000 + 1);
}

}  // namespace petrel::wire
