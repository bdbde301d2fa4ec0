// Shard::write for every packet type: encodes straight into the connection's output.
#pragma once

#include "broker/shard.h"
#include "wire/encode.h"

namespace petrel::broker {

template <class Packet>
void Shard::write(Connection& connection, const Packet& packet) {
  const std::size_t size = wire::encoded_size(connection.version, packet);
  wire::encode(connection.version, packet, connection.output.prepare(pool_, size));
  connection.output.commit(size);
  request_flush(connection);
}

}  // namespace petrel::broker
