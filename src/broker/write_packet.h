// Shard::write for every packet type: encodes straight into the connection's output.
#pragma once

#include "broker/shard.h"
#include "wire/encode.h"

namespace petrel::broker {

template <class Packet>
void Shard::write(Connection& connection, const Packet& packet) {
  const std::size_t size = wire::encoded_size(connection.version, packet);
  char* const at = connection.output.prepare(pool_, size);
  wire::encode(connection.version, packet, at);
  counters_.packets_sent.add(static_cast<wire::PacketType>(static_cast<unsigned char>(*at) >> 4));
  connection.output.commit(size);
  request_flush(connection);
}

}  // namespace petrel::broker
