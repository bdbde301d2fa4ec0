"""The configuration keys the tests rely on, in one place: settings(write_timeout_s=2) is the text of a TOML file."""

KEYS = {
    "connect_timeout_s": "limits.connect_timeout_s",  # from the accepted connection to its complete CONNECT
    "keep_alive_max_s": "limits.keep_alive_max_s",  # a longer wish of a v5 client is answered with Server Keep Alive
    "max_inflight_messages": "limits.max_inflight_messages",  # Receive Maximum that the broker keeps to towards clients
    "max_output_bytes": "limits.max_output_bytes",  # what may wait for a peer that does not read
    "max_packet_bytes": "limits.max_packet_bytes",  # Maximum Packet Size of the broker
    "max_queued_bytes": "limits.max_queued_bytes",  # what may wait in one session
    "receive_maximum": "limits.receive_maximum",  # Receive Maximum of the broker
    "write_timeout_s": "limits.write_timeout_s",  # how long output may wait without progress
    "log_format": "log.format",  # "human" or "json"
}


def settings(**values):
    rows = []
    for name, value in values.items():
        rows.append(f"{KEYS[name]} = {repr(value) if isinstance(value, str) else value}\n")
    return "".join(rows)
