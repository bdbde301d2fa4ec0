#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "cli/message_format.h"
#include "wire/property.h"

namespace petrel::cli {

namespace {

// Keeps the order in which members are named here.
using Json = nlohmann::ordered_json;

std::string iso_time(Arrival arrival) {
  std::tm parts{};
  localtime_r(&arrival.seconds, &parts);
  char date[32];
  char zone[8];
  const std::size_t date_size = std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
  const std::size_t zone_size = std::strftime(zone, sizeof zone, "%z", &parts);
  return fmt::format("{}.{:06}{}", std::string_view(date, date_size), arrival.nanoseconds / 1000,
                     std::string_view(zone, zone_size));
}

Json properties_of(const wire::Publish& publish) {
  const wire::MessageProperties& p = publish.properties;
  Json json = Json::object();
  if (p.payload_format_indicator) json["payload-format-indicator"] = *p.payload_format_indicator;
  if (p.message_expiry_interval_s) json["message-expiry-interval"] = *p.message_expiry_interval_s;
  if (p.content_type) json["content-type"] = *p.content_type;
  if (p.response_topic) json["response-topic"] = *p.response_topic;
  if (p.correlation_data) json["correlation-data"] = *p.correlation_data;
  if (publish.topic_alias) json["topic-alias"] = *publish.topic_alias;
  BytesView identifiers = publish.subscription_identifiers;
  while (const auto identifier = wire::next_subscription_identifier(identifiers))
    json["subscription-identifier"].push_back(*identifier);
  wire::for_each_user_property(
      p.user_properties,
      [](void* context, std::string_view name, std::string_view value) {
        static_cast<Json*>(context)->push_back(Json{{name, value}});
      },
      p.user_properties.empty() ? nullptr : &json["user-properties"]);
  return json;
}

}  // namespace

Result<std::string, FormatError> message_as_json(const wire::Publish& publish, Arrival arrival, bool payload_is_json) {
  Json json;
  json["tst"] = iso_time(arrival);
  json["topic"] = publish.topic;
  json["qos"] = static_cast<int>(publish.qos);
  json["retain"] = publish.retain ? 1 : 0;
  json["payloadlen"] = publish.payload.size();
  if (static_cast<int>(publish.qos) != 0) json["mid"] = publish.packet_id;
  if (Json properties = properties_of(publish); !properties.empty()) json["properties"] = std::move(properties);
  if (!payload_is_json) {
    json["payload"] = publish.payload;
  } else if (publish.payload.empty()) {
    json["payload"] = nullptr;
  } else {
    Json payload = Json::parse(publish.payload, nullptr, false);
    if (payload.is_discarded()) return FormatError::kPayloadIsNotJson;
    json["payload"] = std::move(payload);
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace petrel::cli
