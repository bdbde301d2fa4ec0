#!/usr/bin/env python3
"""Proves that the simulation sees: breaks one rule of the broker at a time and demands that the simulation notices.

Each mutation is an edit of one source file. The file is compiled beside the others of build/release and linked with
them; the sources stay as they are. Exits 1 if a mutation survives, or if its text is no longer found (then renew it)."""
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / 'build' / 'release'
SEEDS = 20_000

# Rule that is broken, file, text, what stands there instead.
MUTATIONS = [
    ('acknowledges before the store has it', 'broker/commit.cpp',
     'waiting_.push_back({batch_.number, std::move(held_), std::exchange(turn_published_bytes_, 0)});',
     'waiting_.push_back({batch_.number, {}, std::exchange(turn_published_bytes_, 0)}); release_held(held_);'),
    ('sends again without DUP', 'broker/routing.cpp', '.dup = true,', '.dup = false,'),
    ('forgets PUBREL', 'broker/acknowledge.cpp',
     'if (done->send_pubrel) {\n    hold_ack(session, PacketType::kPubrel, ack.packet_id);\n  } else {',
     'if (!done->send_pubrel) {'),
    ('does not send PUBREL again', 'broker/routing.cpp',
     'hold_ack(session, wire::PacketType::kPubrel, again->packet_id);', ''),
    ('does not store the packet identifier of a QoS 2 PUBLISH', 'broker/publish.cpp',
     'change(storage::PutIncoming{session.stored, publish.packet_id});', ''),
    ('delivers a QoS 2 PUBLISH each time it comes', 'broker/publish.cpp',
     'if (taken == Taken::kDuplicate) {', 'if (taken == Taken::kDuplicate && connection.keep_alive_s == 7) {'),
    ('does not store what is queued', 'broker/routing.cpp',
     'change(storage::Enqueue{stored, std::move(queued)});\n  }\n  if (away != nullptr) {', '}\n  if (away != nullptr) {'),
    ('sends a QoS 2 PUBLISH before its packet identifier is stored', 'broker/routing.cpp',
     'const bool on_record = qos == Qos::k2 && session.stored != 0;', 'const bool on_record = false;'),
    ('keeps a message queued after PUBREC', 'broker/acknowledge.cpp',
     'change(storage::Acknowledge{session.stored, done->finished->id});\n    if (done->send_pubrel)',
     'if (done->send_pubrel)'),
    ('publishes the will after a polite DISCONNECT', 'broker/disconnect.cpp',
     'leave(connection, decoded->reason != Reason::kSuccess);', 'leave(connection, true);'),
    ('publishes no will', 'broker/timers.cpp', 'publish_will(session);', 'session.will.reset();'),
    ('does not store that a will was published', 'broker/disconnect.cpp',
     'if (session.stored != 0) change(storage::EraseWill{session.stored});\n  const storage::WillRecord& record',
     'const storage::WillRecord& record'),
    ('does not store retained messages', 'broker/publish.cpp', 'change_retained(storage::PutRetained{publish.message()});', ''),
    ('sends the newest of a queue first', 'broker/routing.cpp',
     'session::Delivery delivery = out.pop();',
     'std::swap(out.queue.front(), out.queue.back()); session::Delivery delivery = out.pop();'),
    ('takes a message both from the stored queue and from mail', 'broker/routing.cpp',
     'if (delivery.id != 0 && out.position.passed(delivery.id)) return;', ''),
    ('ignores the Receive Maximum', 'broker/connect.cpp',
     'session.receive_maximum = std::min(connect.receive_maximum.value_or(65535),',
     'session.receive_maximum = std::max<std::uint16_t>(1,'),
    ('denies that the session is there', 'broker/connect.cpp', 'present = session != nullptr;', 'present = false;'),
    ('hands nothing on when a member of a group leaves', 'broker/routing.cpp',
     'if (!delivery.group || delivery.message.get() == nullptr || delivery.message->expired(now_)) return;', 'return;'),
    ('never frees a packet identifier', 'session/outgoing.cpp', 'entry.state = State::kDone;\n  --unacknowledged_;',
     'entry.state = State::kDone;'),
    ('forgets the store when a subscription is removed', 'broker/subscribe.cpp',
     'if (session.stored != 0) change(storage::EraseSubscription{session.stored, std::string(filter)});', ''),
    ('keeps the session after a clean start', 'broker/connect.cpp', 'if (session != nullptr && connect.clean_start) {',
     'if (false) {'),
    ('acknowledges in reverse', 'broker/commit.cpp', 'for (Held& one : held) release_one(one);',
     'for (std::size_t i = held.size(); i > 0; --i) release_one(held[i - 1]);'),
    ('acknowledges before the store has synced what it has written', 'broker/commit.cpp',
     'while (!waiting_.empty() && waiting_.front().number <= number) {',
     'while (!waiting_.empty() && waiting_.front().number <= number + 1) {'),
    ('queues beyond max_queued_messages', 'broker/backlog.cpp',
     'if (out.queue.size() + out.backlog_messages >= settings_.max_queued_messages) return Limit::kQueuedMessages;', ''),
    ('queues one message too few', 'broker/backlog.cpp',
     'if (out.queue.size() + out.backlog_messages >= settings_.max_queued_messages) return Limit::kQueuedMessages;',
     'if (out.queue.size() + out.backlog_messages + 1 >= settings_.max_queued_messages) return Limit::kQueuedMessages;'),
    ('queues beyond max_backlog_messages_total', 'broker/backlog.cpp',
     'if (most_messages != 0 && messages + more > most_messages) return Limit::kBacklogMessagesTotal;', ''),
    ('drops one too many at max_backlog_messages_total', 'broker/backlog.cpp',
     'if (most_messages != 0 && messages + more > most_messages) return Limit::kBacklogMessagesTotal;',
     'if (most_messages != 0 && messages + 1 > most_messages) return Limit::kBacklogMessagesTotal;'),
    ('drops the newest where the oldest is to go', 'broker/backlog.cpp',
     'if (settings_.queue_policy != QueuePolicy::kDropOldest) return false;\n  for', 'return false;\n  for'),
    ('drops the oldest where the newest is to go', 'broker/backlog.cpp',
     'if (settings_.queue_policy != QueuePolicy::kDropOldest) return false;\n  for', 'for'),
    ('refuses nothing', 'broker/backlog.cpp', 'if (settings_.queue_policy != QueuePolicy::kReject) return std::nullopt;',
     'return std::nullopt;'),
    ('refuses though there is room', 'broker/backlog.cpp',
     'if (out != nullptr && out->queue.size() + out->backlog_messages >= settings_.max_queued_messages)',
     'if (out != nullptr && out->queue.size() + out->backlog_messages >= settings_.max_queued_messages / 2)'),
    ('delivers what it refuses', 'broker/publish.cpp', '  if (!refused) {\n    std::string collected;',
     '  {\n    std::string collected;'),
    ('does not queue QoS 0 for who is away', 'broker/backlog.cpp', 'return settings_.queue_qos0 && !trouble_', 'return false && !trouble_'),
    ('queues QoS 0 though nobody asked for it', 'broker/backlog.cpp', 'return settings_.queue_qos0 && !trouble_', 'return !trouble_'),
    ('delivers what has expired', 'broker/routing.cpp', 'if (delivery.message->expired(now_)) {\n      drop', 'if (false) {\n      drop'),
    ('delivers what has waited too long', 'broker/backlog.cpp', 'if (ttl == 0) return false;', 'return false;'),
    ('drops what has waited a twentieth of its time', 'broker/backlog.cpp',
     'return now_ - std::max(time_of(id), session.absence->left_at) >= ttl;',
     'return now_ - std::max(time_of(id), session.absence->left_at) >= ttl / 20;'),
    ('keeps the subscriptions of who stays away', 'broker/timers.cpp',
     'if (now_ >= absence.subscriptions_end_at) end_outstayed_subscriptions(absence, kSubscriptionsAtATime);', ''),
    ('ends subscriptions before their time', 'broker/disconnect.cpp',
     'left_at + settings_.subscription_ttl_ms;', 'left_at + settings_.subscription_ttl_ms / 20;'),
    ('ends no session', 'broker/timers.cpp', 'if (now_ >= absence.expires_at) {', 'if (false) {'),
    ('ends a session before its time', 'broker/disconnect.cpp', 'left_at + TimeMs{session.expiry_interval_s} * 1000;',
     'left_at + TimeMs{session.expiry_interval_s} * 100;'),
]


def compile_command(name):
    for entry in json.loads((BUILD / 'compile_commands.json').read_text()):
        if entry['file'] == str(ROOT / 'src' / name):
            return entry['command']
    sys.exit(f'{name} is not part of build/release: run ./check release first')


def link_command():
    listing = subprocess.run(['ninja', '-C', str(BUILD), '-t', 'commands', 'petrel_sim'], capture_output=True, text=True, check=True)
    return listing.stdout.strip().splitlines()[-1]


def survives(mutation, directory, number):
    rule, name, text, instead = mutation
    source = (ROOT / 'src' / name).read_text()
    if source.count(text) != 1:
        return f'"{rule}": its text is {source.count(text)} times in {name}'
    # A directory of that name, so that a second run finds the object in the compiler's cache.
    place = pathlib.Path(directory) / str(number)
    place.mkdir(parents=True, exist_ok=True)
    (place / 'mutant.cpp').write_text(source.replace(text, instead))
    command = compile_command(name).replace(str(ROOT / 'src' / name), str(place / 'mutant.cpp'))
    words = command.split()
    words[words.index('-o') + 1] = str(place / 'mutant.o')
    words = [w for w in words if w != '-Werror'] + ['-w']
    subprocess.run(words, cwd=BUILD, check=True)
    link = link_command().replace('-o petrel_sim', f'{place}/mutant.o -o {place}/mutant')
    subprocess.run(link, shell=True, cwd=BUILD, check=True)
    try:
        run = subprocess.run([place / 'mutant', '--seeds', str(SEEDS), '--threads', '1', '--violations', '1'],
                             capture_output=True, text=True, timeout=300, check=False)
    except subprocess.TimeoutExpired:
        return f'"{rule}": no end within five minutes'
    if run.returncode == 0:
        return f'"{rule}" survives {SEEDS} seeds'
    what = run.stdout.strip().splitlines()
    print(f'caught: {rule}: {what[0] if what else "the process ended with " + str(run.returncode)}', flush=True)
    return None


def main():
    with tempfile.TemporaryDirectory() as directory, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = [f for f in pool.map(lambda p: survives(p[1], directory, p[0]), enumerate(MUTATIONS)) if f]
    for line in found:
        print(line)
    print(f'{len(MUTATIONS) - len(found)} of {len(MUTATIONS)} mutations are caught')
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
