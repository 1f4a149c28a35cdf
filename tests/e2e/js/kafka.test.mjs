// The client that the earlier DevConnect reads Kafka with: it reads all that the host wrote.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Kafka, logLevel } from 'kafkajs';

const { KAFKA_BROKERS, KAFKA_TOPIC_PREFIX, KAFKA_EXPECTED } = process.env;
/** How many records of each topic and partition there are, by the topic's name. */
const expected = JSON.parse(KAFKA_EXPECTED);

describe('kafkajs', () => {
  const kafka = new Kafka({ clientId: 'neighbour', brokers: KAFKA_BROKERS.split(','), logLevel: logLevel.ERROR });
  const consumer = kafka.consumer({ groupId: `${KAFKA_TOPIC_PREFIX}neighbour` });
  const found = new Map();
  let crashed;

  before(async () => {
    consumer.on(consumer.events.CRASH, ({ payload }) => (crashed = payload.error));
    await consumer.connect();
    const topics = Object.keys(expected).map((topic) => KAFKA_TOPIC_PREFIX + topic);
    await consumer.subscribe({ topics, fromBeginning: true });
    await consumer.run({
      eachMessage: async ({ topic, message }) => {
        const name = topic.slice(KAFKA_TOPIC_PREFIX.length);
        found.set(name, [...(found.get(name) ?? []), message]);
      },
    });
  });
  after(() => consumer.disconnect());

  test('it reads every topic', { timeout: 60_000 }, async () => {
    const missing = () => Object.entries(expected).filter(([topic, count]) => (found.get(topic) ?? []).length < count);
    while (missing().length > 0 && !crashed) await new Promise((again) => setTimeout(again, 50));
    assert.equal(crashed, undefined);
    for (const [topic, count] of Object.entries(expected)) {
      const messages = found.get(topic) ?? [];
      assert.equal(messages.length, count, topic);
      for (const { key, value, headers, timestamp } of messages) {
        const event = JSON.parse(value.toString());
        assert.equal(event.eventType, headers['event-type'].toString());
        assert.ok(event.userId && event.data && !Number.isNaN(Date.parse(event.timestamp)), value.toString());
        assert.ok(key.toString() && headers['event-id'].toString() && Number(timestamp) > 0);
      }
    }
  });
});
