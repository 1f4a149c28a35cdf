// Limits of sockets, on a host whose limits are small: see `live.rs` beside this folder.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Member, ask, first, next, pair } from './members.mjs';

/** As in the host's configuration. */
const PER_USER = 4;
const BURST = 200;

test('a user has so many sockets and no more, until one closes', async () => {
  const ada = await Member.signUp('Ada');
  const sockets = await Promise.all(Array.from({ length: PER_USER }, () => ada.socket()));
  const { event, arguments: [error] } = await first(ada.open(), ['connect', 'connect_error']);
  assert.deepEqual([event, error.message], ['connect_error', 'You have too many connections open']);
  sockets[0].disconnect();
  // The place is free when the host has heard of it.
  for (let connected = false; !connected; ) {
    const outcome = await first(ada.open(), ['connect', 'connect_error']);
    connected = outcome.event === 'connect';
  }
  ada.close();
});

test('who sends too fast is told so and stays connected', async () => {
  const [ada, bob] = await pair();
  const a = await ada.socket();
  const acks = await Promise.all(Array.from({ length: 2 * BURST }, () => ask(a, 'typing', { toUserId: bob.id })));
  const refused = acks.filter((ack) => !ack.ok);
  assert.ok(refused.length > 0 && refused.length <= BURST, `${refused.length} refused`);
  assert.equal(refused[0].message, 'Too many messages; slow down');
  assert.ok(a.connected);
  [ada, bob].forEach((member) => member.close());
});

test('a message that is too large closes its socket, and the next one works', async () => {
  const [ada, bob] = await pair();
  for (const transports of [['websocket'], ['polling']]) {
    const a = await ada.socket({ transports });
    const closed = next(a, 'disconnect');
    a.emit('private-message', { toUserId: bob.id, message: 'x'.repeat(200_000) });
    await closed;
    const again = await ada.socket({ transports });
    assert.equal((await ask(again, 'private-message', { toUserId: bob.id, message: 'small' })).ok, true);
  }
  [ada, bob].forEach((member) => member.close());
});

test('who does not read is cut off, comes back and has lost nothing', { timeout: 120_000 }, async () => {
  const [ada, bob] = await pair();
  const [a, b] = await Promise.all([
    ada.socket({ transports: ['websocket'] }),
    bob.socket({ transports: ['websocket'], reconnection: true }),
  ]);
  const cut = next(b, 'disconnect');
  const wire = b.io.engine.transport.ws._socket;
  wire.pause();
  const text = 'z'.repeat(5000);
  let sent = 0;
  let over = false;
  cut.then(() => (over = true));
  // More than the system's buffers and the host's: then the line is cut.
  for (; sent < 4_000; sent += 1) {
    const ack = await ask(a, 'private-message', { toUserId: bob.id, message: `${sent} ${text}`.slice(0, 5000) });
    if (!ack.ok) {
      assert.equal(ack.message, 'Too many messages; slow down');
      sent -= 1;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  wire.resume();
  const reason = await cut;
  assert.match(reason, /transport (close|error)/);
  if (!b.connected) await next(b, 'connect');
  const stored = [];
  for (let query = '?limit=200'; ; query = `?limit=200&before=${stored[0]._id}`) {
    const page = await bob.history(ada, query);
    if (page.length === 0) break;
    stored.unshift(...page);
  }
  assert.deepEqual(stored.map((message) => parseInt(message.text, 10)), Array.from({ length: sent }, (_, n) => n));
  const live = next(b, 'private-message');
  while (!(await ask(a, 'private-message', { toUserId: bob.id, message: 'live again' })).ok);
  assert.equal((await live).message, 'live again');
  [ada, bob].forEach((member) => member.close());
});
