// Export and import of a store as JSON lines (tools.h).
#include <fmt/format.h>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "base/base64.h"
#include "storage/rocksdb/directory.h"
#include "storage/rocksdb/load.h"
#include "storage/rocksdb/new_store.h"
#include "storage/rocksdb/snapshot.h"
#include "storage/rocksdb/tools.h"

namespace petrel::storage {
namespace {

using nlohmann::json;
using rocks::Database;
using rocks::Kind;

constexpr std::uint64_t kLayout = 2;  // of the export
constexpr int kLinesInBatch = 1000;

// How many lines of each type.
using LineCounts = std::map<std::string, std::uint64_t>;

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
    counts_.erase("store");
    put("end", {{"counts", counts_}});
    if (!written_) return StoreError{"the export cannot be written"};
    return {};
  }

 private:
  void put(std::string_view type, json fields) {
    fields["type"] = type;
    ++counts_[std::string(type)];
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
  LineCounts counts_;
  bool written_ = true;
};

// --- import

// What a line says is taken out by these; a mistake is an exception that ends in import_store().
const json& field_of(const json& line, const char* field) {
  const auto found = line.find(field);
  if (found == line.end()) throw std::runtime_error(fmt::format("\"{}\" is missing", field));
  return *found;
}

template <class Value>
Value value_of(const json& line, const char* field, bool (json::*is)() const noexcept, std::string_view what) {
  const json& value = field_of(line, field);
  if (!(value.*is)()) throw std::runtime_error(fmt::format("\"{}\" is not {}", field, what));
  return value.get<Value>();
}

std::string text_of(const json& line, const char* field) {
  return value_of<std::string>(line, field, &json::is_string, "a text in quotation marks");
}
bool flag_of(const json& line, const char* field) {
  return value_of<bool>(line, field, &json::is_boolean, "true or false");
}
std::uint64_t whole_of(const json& line, const char* field) {
  return value_of<std::uint64_t>(line, field, &json::is_number_unsigned, "a whole number");
}
TimeMs time_of(const json& line, const char* field) {
  return value_of<TimeMs>(line, field, &json::is_number_integer, "a whole number");
}

std::string bytes_of(const json& line, const char* field) {
  if (!line.contains(field)) return {};
  auto bytes = decode_base64(text_of(line, field));
  if (!bytes) throw std::runtime_error(fmt::format("\"{}\" is not base64", field));
  return *std::move(bytes);
}

template <class Number>
Number number_of(const json& line, const char* field) {
  const auto value = whole_of(line, field);
  if (!std::in_range<Number>(value)) throw std::runtime_error(fmt::format("\"{}\" is out of range", field));
  return static_cast<Number>(value);
}

// Ids count up from the largest that is there: so many must be left.
std::uint64_t id_of(const json& line, const char* field) {
  const std::uint64_t id = whole_of(line, field);
  if (id > std::uint64_t{1} << 62) throw std::runtime_error(fmt::format("\"{}\" is out of range", field));
  return id;
}

// 0 is that of sessions that are not stored.
SessionId session_of(const json& line) {
  const SessionId id = id_of(line, "session");
  if (id == 0) throw std::runtime_error("\"session\" is out of range");
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
    const json line = json::parse(text, nullptr, false);
    if (!line.is_object())
      throw std::runtime_error("this is no object of JSON; the file is no export, or damaged, or cut short");
    const std::string type = text_of(line, "type");
    if (ended_) throw std::runtime_error("there is something behind the end; write one export into a file");
    if (first_ != (type == "store"))
      throw std::runtime_error("the first line, and no other, must be of type \"store\"");
    if (first_ && whole_of(line, "layout") != kLayout)
      throw std::runtime_error(fmt::format("the export has layout {}, and this petrel reads {}; export the store again",
                                           whole_of(line, "layout"), kLayout));
    if (std::exchange(first_, false)) return;
    if (type == "end") return take_end(line);
    value_.clear();
    take_record(type, line);
    ++counts_[type];
  }
  bool ended() const { return ended_; }
  // Nothing is there before this.
  Result<void, StoreError> write() { return database_.write(batch_, false).has_value() ? clear() : broken(); }

 private:
  void take_end(const json& line) {
    LineCounts told;
    const json& counts = field_of(line, "counts");
    for (const auto& [type, count] : counts.items()) told[type] = whole_of(counts, type.c_str());
    for (const LineCounts& one : {told, counts_})
      for (const auto& [type, ignored] : one)
        if (told[type] != counts_[type])
          throw std::runtime_error(
              fmt::format("the export had {} lines of type \"{}\", and {} have come; export the store again",
                          told[type], type, counts_[type]));
    ended_ = true;
  }
  void take_record(const std::string& type, const json& line) {
    if (type == "session") return take_session(line);
    if (type == "subscription") return take_subscription(line);
    if (type == "outgoing") return take_outgoing(line);
    if (type == "will") return take_will(line);
    if (type == "queued") return take_queued(line);
    if (type == "incoming")
      return put(Database::kState,
                 rocks::packet_key(session_of(line), Kind::kIncoming, number_of<wire::PacketId>(line, "packet_id")));
    if (type != "message" && type != "retained") throw std::runtime_error(fmt::format("there is no type \"{}\"", type));
    const auto message = message_of(line);
    rocks::append_message(value_, *message);
    if (type == "message") return put(Database::kBodies, rocks::body_key(id_of(line, "message")));
    put(Database::kRetained, std::string(message->topic()));
  }
  void take_session(const json& line) {
    SessionRecord record;
    record.id = session_of(line);
    record.client_id = text_of(line, "client_id");
    record.session_expiry_interval_s = number_of<std::uint32_t>(line, "expiry_interval_s");
    record.connected = flag_of(line, "connected");
    record.disconnected_at = time_of(line, "disconnected_at");
    rocks::append_session(value_, record);
    put(Database::kState, rocks::state_key(record.id, Kind::kSession));
  }
  void take_subscription(const json& line) {
    SubscriptionRecord record;
    record.options.maximum_qos = qos_of(line);
    record.options.no_local = flag_of(line, "no_local");
    record.options.retain_as_published = flag_of(line, "retain_as_published");
    const auto handling = number_of<unsigned>(line, "retain_handling");
    if (handling > 2) throw std::runtime_error("\"retain_handling\" is out of range");
    record.options.retain_handling = static_cast<wire::RetainHandling>(handling);
    record.identifier = number_of<std::uint32_t>(line, "identifier");
    rocks::append_subscription(value_, record);
    put(Database::kState, rocks::state_key(session_of(line), Kind::kSubscription, text_of(line, "filter")));
  }
  void take_outgoing(const json& line) {
    OutgoingRecord record;
    record.packet_id = number_of<wire::PacketId>(line, "packet_id");
    record.message = id_of(line, "message");
    record.released = flag_of(line, "released");
    rocks::append_outgoing(value_, record);
    put(Database::kState, rocks::packet_key(session_of(line), Kind::kOutgoing, record.packet_id));
  }
  void take_will(const json& line) {
    WillRecord will;
    will.topic = text_of(line, "topic");
    will.payload = bytes_of(line, "payload");
    will.forwarded_properties = bytes_of(line, "properties");
    will.qos = qos_of(line);
    will.retain = flag_of(line, "retain");
    will.delay_interval_s = number_of<std::uint32_t>(line, "delay_interval_s");
    if (line.contains("message_expiry_interval_s"))
      will.message_expiry_interval_s = number_of<std::uint32_t>(line, "message_expiry_interval_s");
    rocks::append_will(value_, will);
    put(Database::kState, rocks::state_key(session_of(line), Kind::kWill));
  }
  void take_queued(const json& line) {
    QueueEntry entry;
    entry.id = id_of(line, "message");
    entry.qos = qos_of(line);
    entry.retain = line.contains("retain") && flag_of(line, "retain");
    entry.identifiers = bytes_of(line, "identifiers");
    if (line.contains("shared_group")) entry.shared_group = text_of(line, "shared_group");
    rocks::append_entry(value_, entry);
    put(Database::kQueue, rocks::queue_key(session_of(line), entry.id));
  }
  static Ref<const wire::Message> message_of(const json& line) {
    const auto topic = text_of(line, "topic");
    const std::string payload = bytes_of(line, "payload"), properties = bytes_of(line, "properties");
    wire::Message::Parts parts;
    parts.topic = topic;
    parts.payload = payload;
    parts.forwarded_properties = properties;
    parts.qos = qos_of(line);
    parts.retain = flag_of(line, "retain");
    if (line.contains("expires_at")) parts.expires_at = time_of(line, "expires_at");
    return wire::Message::create(parts);
  }

  void put(Database::Column column, const std::string& key) { batch_.Put(database_.column(column), key, value_); }
  Result<void, StoreError> clear() {
    batch_.Clear();
    return {};
  }
  Result<void, StoreError> broken() {
    return StoreError{"the store cannot be written: free some space on its disk. Nothing was imported"};
  }

  Database& database_;
  rocksdb::WriteBatch batch_;
  std::string value_;
  LineCounts counts_;
  bool first_ = true, ended_ = false;
};

Result<void, StoreError> import_lines(const std::string& path, const std::function<bool(std::string& line)>& next) {
  rocks::SessionTable table;
  Database database(path, table);
  if (auto opened = database.open(); !opened.has_value()) return opened;
  Importer importer(database);
  std::string line;
  std::uint64_t number = 0;
  while (next(line)) {
    ++number;
    try {
      importer.take(line);
    } catch (const std::exception& mistake) {
      return StoreError{fmt::format("line {}: {}. Nothing was imported", number, mistake.what())};
    }
    if (number % kLinesInBatch == 0)
      if (auto written = importer.write(); !written.has_value()) return written;
  }
  if (number == 0) return StoreError{"there is nothing to import"};
  if (!importer.ended())
    return StoreError{fmt::format(
        "the export stops at line {}, before its end: it was cut short, on its way or when it was made. Nothing was "
        "imported; take the whole file, or export the store again",
        number)};
  if (auto written = importer.write(); !written.has_value()) return written;
  database.flush();
  return database.sync();
}

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
  auto made = rocks::NewStore::begin(directory);
  if (!made.has_value()) return made.error();
  auto held = rocks::Directory::open(made->path().string());
  if (!held.has_value()) return held.error();
  std::error_code error;
  std::filesystem::rename(made->path() / "FORMAT", made->unfinished_format(), error);
  if (error) return rocks::file_error("write in", made->path(), error);
  if (auto done = import_lines(held->database_path(), next); !done.has_value()) return done;
  return made->finish();
}

}  // namespace petrel::storage
