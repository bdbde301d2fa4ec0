// Export and import of a store as JSON lines (tools.h).
#include <fmt/format.h>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/base64.h"
#include "storage/rocksdb/directory.h"
#include "storage/rocksdb/load.h"
#include "storage/rocksdb/snapshot.h"
#include "storage/rocksdb/tools.h"

namespace petrel::storage {
namespace {

using nlohmann::json;
using rocks::Database;
using rocks::Kind;

constexpr std::uint64_t kLayout = 1;  // of the export
constexpr int kLinesInBatch = 1000;

std::string_view view(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

json message_json(const wire::Message& message) {
  json out{{"topic", message.topic()},
           {"payload", encode_base64(message.payload())},
           {"qos", static_cast<int>(message.qos())},
           {"retain", message.retain()}};
  if (!message.forwarded_properties().empty()) out["properties"] = encode_base64(message.forwarded_properties());
  if (message.expires_at() != kNever) out["expires_at"] = message.expires_at();
  return out;
}

// --- export

class Exporter final : public Recovery {
 public:
  Exporter(Database& database, const std::function<bool(std::string_view)>& write)
      : database_(database), write_(write) {}

  Result<void, StoreError> run() {
    put("store", {{"layout", kLayout}, {"format", rocks::kFormat}});
    if (auto done = rocks::report(database_, *this); !done.has_value()) return done;
    if (auto done = put_queues(); !done.has_value()) return done;
    if (auto done = put_messages(); !done.has_value()) return done;
    if (!written_) return StoreError{"the export cannot be written"};
    return {};
  }

 private:
  void put(std::string_view type, json fields) {
    fields["type"] = type;
    if (written_) written_ = write_(fields.dump(-1, ' ', false, json::error_handler_t::replace));
  }
  void on_session(const SessionRecord& record) override {
    put("session", {{"session", record.id},
                    {"client_id", record.client_id},
                    {"expiry_interval_s", record.session_expiry_interval_s},
                    {"connected", record.connected},
                    {"disconnected_at", record.disconnected_at}});
  }
  void on_subscription(SessionId session, const SubscriptionRecord& record) override {
    put("subscription", {{"session", session},
                         {"filter", record.filter},
                         {"qos", static_cast<int>(record.options.maximum_qos)},
                         {"no_local", record.options.no_local},
                         {"retain_as_published", record.options.retain_as_published},
                         {"retain_handling", static_cast<int>(record.options.retain_handling)},
                         {"identifier", record.identifier}});
  }
  void on_queue(SessionId, std::uint64_t, std::uint64_t) override {}
  void on_outgoing(SessionId session, const OutgoingRecord& record, const QueueEntry*) override {
    put("outgoing", {{"session", session},
                     {"packet_id", record.packet_id},
                     {"message", record.message},
                     {"released", record.released}});
  }
  void on_incoming(SessionId session, wire::PacketId packet_id) override {
    put("incoming", {{"session", session}, {"packet_id", packet_id}});
  }
  void on_retained(Ref<const wire::Message> message) override { put("retained", message_json(*message)); }
  void on_will(SessionId session, const WillRecord& will) override {
    json out{{"session", session},
             {"topic", will.topic},
             {"payload", encode_base64(will.payload)},
             {"properties", encode_base64(will.forwarded_properties)},
             {"qos", static_cast<int>(will.qos)},
             {"retain", will.retain},
             {"delay_interval_s", will.delay_interval_s}};
    if (will.message_expiry_interval_s) out["message_expiry_interval_s"] = *will.message_expiry_interval_s;
    put("will", std::move(out));
  }

  Result<void, StoreError> put_queues() {
    const auto& sessions = database_.table().sessions;
    const auto iterator = database_.iterate(Database::kQueue);
    for (iterator->SeekToFirst(); iterator->Valid() && written_; iterator->Next()) {
      const auto key = rocks::decode_queue_key(view(iterator->key()));
      QueueEntry entry;
      if (!key || !rocks::decode_entry(view(iterator->value()), entry))
        return StoreError{"a queue entry cannot be read: run \"petrel store check\""};
      const auto session = sessions.find(key->session);
      if (session == sessions.end() || session->second.queue.is_acknowledged(key->message)) continue;
      wanted_.insert(key->message);
      json out{{"session", key->session}, {"message", key->message}, {"qos", static_cast<int>(entry.qos)}};
      if (entry.retain) out["retain"] = true;
      if (!entry.identifiers.empty()) out["identifiers"] = encode_base64(entry.identifiers);
      if (!entry.shared_group.empty()) out["shared_group"] = entry.shared_group;
      put("queued", std::move(out));
    }
    if (!iterator->status().ok()) return database_.error(iterator->status());
    return {};
  }

  // Those that are in a queue, and few others.
  Result<void, StoreError> put_messages() {
    const auto iterator = database_.iterate(Database::kBodies);
    for (iterator->SeekToFirst(); iterator->Valid() && written_; iterator->Next()) {
      const auto id = rocks::decode_body_key(view(iterator->key()));
      const auto message = rocks::decode_message(view(iterator->value()));
      if (!id || !message) return StoreError{"a message cannot be read: run \"petrel store check\""};
      if (!wanted_.may_hold(*id)) continue;
      json out = message_json(*message);
      out["message"] = *id;
      put("message", std::move(out));
    }
    if (!iterator->status().ok()) return database_.error(iterator->status());
    return {};
  }

  Database& database_;
  const std::function<bool(std::string_view)>& write_;
  rocks::LiveSet wanted_;
  bool written_ = true;
};

// --- import

// What a line says is taken out by these; a mistake is an exception that ends in import_store().
std::string bytes_of(const json& line, const char* field) {
  if (!line.contains(field)) return {};
  auto bytes = decode_base64(line.at(field).get<std::string>());
  if (!bytes) throw std::runtime_error(fmt::format("\"{}\" is not base64", field));
  return *std::move(bytes);
}

template <class Number>
Number number_of(const json& line, const char* field) {
  const auto value = line.at(field).get<std::int64_t>();
  if (value < 0 || !std::in_range<Number>(value))
    throw std::runtime_error(fmt::format("\"{}\" is out of range", field));
  return static_cast<Number>(value);
}

// Ids count up from the largest that is there: so many must be left. 0 means nothing stored, and is no session's.
std::uint64_t id_of(const json& line, const char* field) {
  constexpr std::uint64_t kLargest = std::uint64_t{1} << 62;
  const json& value = line.at(field);
  const auto id = value.is_number_unsigned() ? value.get<std::uint64_t>() : kLargest + 1;
  if (id > kLargest || (id == 0 && field == std::string_view("session")))
    throw std::runtime_error(fmt::format("\"{}\" is out of range", field));
  return id;
}

wire::Qos qos_of(const json& line) {
  const auto qos = number_of<unsigned>(line, "qos");
  if (qos > 2) throw std::runtime_error("\"qos\" is out of range");
  return static_cast<wire::Qos>(qos);
}

class Importer {
 public:
  explicit Importer(Database& database) : database_(database) {}

  void take(const std::string& text) {
    const json line = json::parse(text);
    const auto type = line.at("type").get<std::string>();
    if (first_ != (type == "store"))
      throw std::runtime_error("the first line, and no other, must be of type \"store\"");
    if (first_ && id_of(line, "layout") != kLayout)
      throw std::runtime_error(fmt::format("this petrel knows layout {} only", kLayout));
    value_.clear();
    if (!std::exchange(first_, false)) take_record(type, line);
  }
  // Nothing is there before this.
  Result<void, StoreError> write() { return database_.write(batch_, false).has_value() ? clear() : broken(); }

 private:
  void take_record(const std::string& type, const json& line) {
    if (type == "session") return take_session(line);
    if (type == "subscription") return take_subscription(line);
    if (type == "outgoing") return take_outgoing(line);
    if (type == "will") return take_will(line);
    if (type == "queued") return take_queued(line);
    if (type == "incoming")
      return put(Database::kState, rocks::packet_key(id_of(line, "session"), Kind::kIncoming,
                                                     number_of<wire::PacketId>(line, "packet_id")));
    if (type != "message" && type != "retained") throw std::runtime_error(fmt::format("there is no type \"{}\"", type));
    const auto message = message_of(line);
    rocks::append_message(value_, *message);
    if (type == "message") return put(Database::kBodies, rocks::body_key(id_of(line, "message")));
    put(Database::kRetained, std::string(message->topic()));
  }
  void take_session(const json& line) {
    SessionRecord record;
    record.id = id_of(line, "session");
    record.client_id = line.at("client_id").get<std::string>();
    record.session_expiry_interval_s = number_of<std::uint32_t>(line, "expiry_interval_s");
    record.connected = line.at("connected").get<bool>();
    record.disconnected_at = line.at("disconnected_at").get<TimeMs>();
    rocks::append_session(value_, record);
    put(Database::kState, rocks::state_key(record.id, Kind::kSession));
  }
  void take_subscription(const json& line) {
    SubscriptionRecord record;
    record.options.maximum_qos = qos_of(line);
    record.options.no_local = line.at("no_local").get<bool>();
    record.options.retain_as_published = line.at("retain_as_published").get<bool>();
    const auto handling = number_of<unsigned>(line, "retain_handling");
    if (handling > 2) throw std::runtime_error("\"retain_handling\" is out of range");
    record.options.retain_handling = static_cast<wire::RetainHandling>(handling);
    record.identifier = number_of<std::uint32_t>(line, "identifier");
    rocks::append_subscription(value_, record);
    put(Database::kState,
        rocks::state_key(id_of(line, "session"), Kind::kSubscription, line.at("filter").get<std::string>()));
  }
  void take_outgoing(const json& line) {
    OutgoingRecord record;
    record.packet_id = number_of<wire::PacketId>(line, "packet_id");
    record.message = id_of(line, "message");
    record.released = line.at("released").get<bool>();
    rocks::append_outgoing(value_, record);
    put(Database::kState, rocks::packet_key(id_of(line, "session"), Kind::kOutgoing, record.packet_id));
  }
  void take_will(const json& line) {
    WillRecord will;
    will.topic = line.at("topic").get<std::string>();
    will.payload = bytes_of(line, "payload");
    will.forwarded_properties = bytes_of(line, "properties");
    will.qos = qos_of(line);
    will.retain = line.at("retain").get<bool>();
    will.delay_interval_s = number_of<std::uint32_t>(line, "delay_interval_s");
    if (line.contains("message_expiry_interval_s"))
      will.message_expiry_interval_s = number_of<std::uint32_t>(line, "message_expiry_interval_s");
    rocks::append_will(value_, will);
    put(Database::kState, rocks::state_key(id_of(line, "session"), Kind::kWill));
  }
  void take_queued(const json& line) {
    QueueEntry entry;
    entry.id = id_of(line, "message");
    entry.qos = qos_of(line);
    entry.retain = line.value("retain", false);
    entry.identifiers = bytes_of(line, "identifiers");
    entry.shared_group = line.value("shared_group", std::string());
    rocks::append_entry(value_, entry);
    put(Database::kQueue, rocks::queue_key(id_of(line, "session"), entry.id));
  }
  static Ref<const wire::Message> message_of(const json& line) {
    const auto topic = line.at("topic").get<std::string>();
    const std::string payload = bytes_of(line, "payload"), properties = bytes_of(line, "properties");
    wire::Message::Parts parts;
    parts.topic = topic;
    parts.payload = payload;
    parts.forwarded_properties = properties;
    parts.qos = qos_of(line);
    parts.retain = line.at("retain").get<bool>();
    if (line.contains("expires_at")) parts.expires_at = line.at("expires_at").get<TimeMs>();
    return wire::Message::create(parts);
  }

  void put(Database::Column column, const std::string& key) { batch_.Put(database_.column(column), key, value_); }
  Result<void, StoreError> clear() {
    batch_.Clear();
    return {};
  }
  Result<void, StoreError> broken() { return StoreError{"the store cannot be written: is there room on its disk?"}; }

  Database& database_;
  rocksdb::WriteBatch batch_;
  std::string value_;
  bool first_ = true;
};

}  // namespace

Result<void, StoreError> export_store(const std::string& directory,
                                      const std::function<bool(std::string_view line)>& write) {
  const auto snapshot = rocks::Snapshot::take(directory);
  if (!snapshot.has_value()) return snapshot.error();
  rocks::SessionTable table;
  Database database(snapshot->path() + "/db", table);
  if (auto opened = database.open(); !opened.has_value()) return opened;
  if (auto loaded = rocks::load_table(database, rocks::LoadWhen::kAtStart); !loaded.has_value()) return loaded.error();
  return Exporter(database, write).run();
}

Result<void, StoreError> import_store(const std::string& directory,
                                      const std::function<bool(std::string& line)>& next) {
  std::error_code ignored;
  if (std::filesystem::exists(directory) && !std::filesystem::is_empty(directory, ignored))
    return StoreError{fmt::format("{} is not empty: name a directory that is not there yet", directory)};
  auto held = rocks::Directory::open(directory);
  if (!held.has_value()) return held.error();
  rocks::SessionTable table;
  Database database(held->database_path(), table);
  if (auto opened = database.open(); !opened.has_value()) return opened;
  Importer importer(database);
  std::string line;
  std::uint64_t number = 0;
  while (next(line)) {
    ++number;
    try {
      importer.take(line);
    } catch (const std::exception& mistake) {
      return StoreError{
          fmt::format("line {}: {}; {} holds a part of the import, remove it", number, mistake.what(), directory)};
    }
    if (number % kLinesInBatch == 0)
      if (auto written = importer.write(); !written.has_value()) return written;
  }
  if (number == 0) return StoreError{"there is nothing to import"};
  if (auto written = importer.write(); !written.has_value()) return written;
  database.flush();
  return database.sync();
}

}  // namespace petrel::storage
