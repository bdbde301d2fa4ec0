"""What was sent, acknowledged and received, and what of it breaks a promise."""

import collections

KINDS = {
    "lost": "acknowledged messages lost",
    "duplicate": "QoS 2 duplicates",
    "order": "order violations",
    "session": "sessions lost or refused",
    "refused": "messages or subscriptions refused",
    "subscription": "subscriptions wrong",
    "retained": "retained messages wrong",
    "will": "wills lost",
}


class Violations:
    SHOWN = 5

    def __init__(self):
        self.counts = collections.Counter()
        self.round = 0
        self.shown = []

    def report(self, kind, what):
        self.counts[kind] += 1
        if self.counts[kind] <= self.SHOWN:
            self.shown.append(f"round {self.round}: {KINDS[kind]}: {what}")

    def any(self):
        return sum(self.counts.values()) > 0


Message = collections.namedtuple("Message", "stream number")


class Stream:
    """The messages of one publisher on one topic. Receivers: each set of names must have each message among them."""

    def __init__(self, number, topic, qos, groups):
        self.number, self.topic, self.qos = number, topic, qos
        self.groups = [frozenset(group) for group in groups]
        self.sent = 0
        self.sent_again = set()
        self.seen = {group: set() for group in self.groups}
        self.owed = {group: set() for group in self.groups}
        self.group_of = {name: group for group in self.groups for name in group}
        self.highest = collections.Counter()  # by receiver


class Ledger:
    def __init__(self, violations):
        self.violations = violations
        self.streams = []
        self.acknowledged_count = self.received_count = 0

    def stream(self, topic, qos, groups):
        made = Stream(len(self.streams), topic, qos, groups)
        self.streams.append(made)
        return made

    def next_message(self, stream):
        stream.sent += 1
        return Message(stream.number, stream.sent)

    @staticmethod
    def payload(message):
        return b"%d %d" % message

    def sent_again(self, message):
        if isinstance(message, Message):
            self.streams[message.stream].sent_again.add(message.number)

    def acknowledged(self, message):
        if not isinstance(message, Message):
            return message.acknowledged()
        self.acknowledged_count += 1
        stream = self.streams[message.stream]
        for group in stream.groups:
            if message.number not in stream.seen[group]:
                stream.owed[group].add(message.number)

    def received(self, client, payload):
        self.received_count += 1
        number, place = map(int, payload.split())
        stream = self.streams[number]
        group = stream.group_of.get(client.name)
        what = f"message {place} of {stream.topic} at {client.name}"
        if group is None:
            return self.violations.report("subscription", f"{what}, which has not subscribed to it")
        seen = stream.seen[group]
        again = place in seen
        if again and stream.qos == 2:
            self.violations.report("duplicate", what)
        # A member of a shared subscription may get what another got before the publisher had to send it again.
        judged = not again and (len(group) == 1 or place not in stream.sent_again)
        if judged and place < stream.highest[client.name]:
            self.violations.report("order", f"{what} behind {stream.highest[client.name]}")
        seen.add(place)
        stream.owed[group].discard(place)
        stream.highest[client.name] = max(stream.highest[client.name], place)

    def settled(self):
        return not any(owed for stream in self.streams for owed in stream.owed.values())

    def give_up(self):
        """What is still owed is lost."""
        for stream in self.streams:
            for group, owed in stream.owed.items():
                for place in sorted(owed):
                    self.violations.report("lost", f"message {place} of {stream.topic} for {'/'.join(sorted(group))}")
                owed.clear()
