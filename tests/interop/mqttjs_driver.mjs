// MQTT.js under remote control: one JSON command per line on stdin, one JSON answer per line on stdout.
// Commands: {op, client, ...}. Answers: {ok: value} or {error: text}. Payloads travel as text, large ones as a size.
import { createInterface } from "node:readline";
import mqtt from "mqtt";

const clients = new Map();
const kDeadlineMs = 15000;

function deadline(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${kDeadlineMs} ms: ${what}`)), kDeadlineMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function describe(topic, payload, packet) {
  const properties = { ...packet.properties };
  if (properties.correlationData) properties.correlationData = properties.correlationData.toString();
  return {
    topic,
    payload: payload.length > 4096 ? payload.length : payload.toString(),
    qos: packet.qos,
    retain: packet.retain,
    dup: packet.dup,
    properties,
  };
}

class Peer {
  constructor() {
    this.messages = [];
    this.waiting = null;
    this.disconnectReason = null;
  }

  connect({ host, port, options }) {
    if (options.will) options.will.payload = Buffer.from(options.will.payload);
    this.client = mqtt.connect({ host, port, reconnectPeriod: 0, connectTimeout: kDeadlineMs, ...options });
    this.closed = new Promise((resolve) => this.client.on("close", () => setImmediate(resolve)));
    this.client.on("message", (topic, payload, packet) => {
      this.messages.push(describe(topic, payload, packet));
      if (this.waiting) this.waiting();
    });
    this.client.on("disconnect", (packet) => (this.disconnectReason = packet.reasonCode));
    return new Promise((resolve, reject) => {
      this.client.on("connect", (packet) => {
        // MQTT.js leaves it on with TLS: each packet behind another would wait for the system's late acknowledgement.
        this.client.stream.setNoDelay?.(true);
        resolve({ sessionPresent: packet.sessionPresent, properties: packet.properties ?? {} });
      });
      this.client.on("error", reject);
      this.client.on("close", () => reject(new Error("closed")));
    });
  }

  async subscribe({ filter, options }) {
    const granted = await this.client.subscribeAsync(filter, options ?? { qos: 0 });
    return granted.map((entry) => entry.qos);
  }

  async unsubscribe({ filter }) {
    await this.client.unsubscribeAsync(filter);
  }

  async publish({ topic, payload, size, options }) {
    const body = size === undefined ? payload : Buffer.alloc(size, 0x61);
    const properties = options?.properties;
    if (properties?.correlationData) properties.correlationData = Buffer.from(properties.correlationData);
    await this.client.publishAsync(topic, body, options ?? {});
  }

  async publishMany({ topic, count, options }) {
    // Ten at a time: MQTT.js does not hold back at the broker's receive maximum.
    for (let first = 0; first < count; first += 10) {
      const sent = [];
      for (let index = first; index < Math.min(first + 10, count); ++index) {
        sent.push(this.client.publishAsync(topic, String(index), options ?? {}));
      }
      await Promise.all(sent);
    }
  }

  async take({ count }) {
    while (this.messages.length < count) {
      await new Promise((resolve) => (this.waiting = resolve));
    }
    return this.messages.splice(0, count);
  }

  async leave() {
    await this.client.endAsync();
  }

  // Ends the connection without a DISCONNECT, as a lost network does.
  async drop() {
    this.client.stream.destroy();
    await this.closed;
  }

  async waitClosed() {
    await this.closed;
    return this.disconnectReason;
  }
}

const kOperations = new Set([
  "connect", "subscribe", "unsubscribe", "publish", "publishMany", "take", "leave", "drop", "waitClosed",
]);

// Ends the connections of all clients whose names begin so.
function forget(prefix) {
  for (const [name, peer] of clients) {
    if (!name.startsWith(prefix)) continue;
    peer.client?.end(true);
    clients.delete(name);
  }
}

async function run(command) {
  if (command.op === "forget") return forget(command.client) ?? null;
  if (!kOperations.has(command.op)) throw new Error(`unknown operation ${command.op}`);
  if (command.op === "connect") clients.set(command.client, new Peer());
  const peer = clients.get(command.client);
  return (await deadline(peer[command.op](command), `${command.op} of ${command.client}`)) ?? null;
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = { ok: await run(JSON.parse(line)) };
  } catch (error) {
    answer = { error: String(error.message ?? error), code: error.code ?? null };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
process.exit(0);
