// The live part, end to end: the official client, a real host, every transport.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Member, PASSWORD, URL, ask, connect, first, next, pair, settled, until } from './members.mjs';

const TRANSPORTS = { websocket: ['websocket'], polling: ['polling'], 'polling, then websocket': ['polling', 'websocket'] };

for (const [name, transports] of Object.entries(TRANSPORTS)) {
  describe(`over ${name}`, () => {
    let ada, bob;
    before(async () => ([ada, bob] = await pair()));
    after(() => [ada, bob].forEach((member) => member.close()));

    test('who shows no session is refused, in words', async () => {
      for (const auth of [{}, { token: 'forged' }, { token: 5 }, { token: null }, { token: ada.token + 'x' }]) {
        const socket = ada.open({ auth, transports });
        const { event, arguments: [error] } = await first(socket, ['connect', 'connect_error']);
        assert.equal(event, 'connect_error', JSON.stringify(auth));
        assert.equal(error.message, 'Please login');
      }
    });

    test('a session is shown as auth, as a cookie or as a bearer', async () => {
      await ada.socket({ transports });
      await ada.socket({ transports, auth: {}, extraHeaders: { cookie: `x=1; token=${ada.token}` } });
      await ada.socket({ transports, auth: {}, extraHeaders: { authorization: `Bearer ${ada.token}` } });
    });

    test('a page of another site gets no connection', async () => {
      const socket = ada.open({ transports, extraHeaders: { origin: 'https://evil.example' } });
      const { event } = await first(socket, ['connect', 'connect_error']);
      assert.equal(event, 'connect_error');
      const own = await ada.socket({ transports, extraHeaders: { origin: 'http://localhost:5173' } });
      assert.ok(own.connected);
    });

    test('messages go both ways, to every device of both, with acknowledgements', async () => {
      const [a1, a2, b1] = await Promise.all([ada, ada, bob].map((member) => member.socket({ transports })));
      for (const [from, to, socket, text] of [[ada, bob, a1, 'hello'], [bob, ada, b1, 'hi there']]) {
        const arriving = [a1, a2, b1].map((device) => next(device, 'private-message'));
        const ack = await ask(socket, 'private-message', { toUserId: to.id, message: ` ${text} `, fromUserId: to.id });
        assert.equal(ack.ok, true);
        assert.equal(typeof ack.ts, 'number');
        const expected = { message: text, fromUserId: from.id, toUserId: to.id, ts: ack.ts, _id: ack._id };
        for (const message of await Promise.all(arriving)) assert.deepEqual(message, expected);
      }
      const stored = await ada.history(bob);
      assert.deepEqual(stored.map((message) => message.text), ['hello', 'hi there']);
      assert.equal(new Date(stored[0].ts).toISOString(), stored[0].ts);
    });

    test('what is bad is refused and the connection goes on', async () => {
      const socket = await ada.socket({ transports });
      let messages = 0;
      socket.on('private-message', () => (messages += 1));
      const bad = [
        [], [null], [5], ['text'], [true], [[]], [{}], [{ toUserId: bob.id }], [{ message: 'x' }],
        [{ toUserId: bob.id, message: 'x'.repeat(5001) }], [{ toUserId: { $ne: null }, message: 'x' }],
        [{ toUserId: bob.id, message: { a: 1 } }], [{ toUserId: bob.id, message: '   ' }], [{ toUserId: 'nobody', message: 'x' }],
        [{ toUserId: bob.id, message: Buffer.from([1, 2, 3]) }],
      ];
      for (const payload of bad) {
        const ack = await ask(socket, 'private-message', ...payload);
        assert.equal(ack.ok, false, JSON.stringify(payload));
        assert.equal(typeof ack.message, 'string');
        const told = next(socket, 'error');
        socket.emit('private-message', ...payload);
        assert.equal((await told).event, 'private-message');
      }
      for (const event of ['register', 'message:read', 'message:delivered', 'typing', 'presence:query', 'no-such-event']) {
        for (const payload of [null, 5, 'x', {}, { _id: { $gt: '' }, toUserId: 5, userId: [] }]) {
          assert.equal((await ask(socket, event, payload)).ok, false, `${event} ${JSON.stringify(payload)}`);
        }
      }
      assert.equal((await ask(socket, 'private-message', { toUserId: bob.id, message: 'y'.repeat(5000) })).ok, true);
      assert.ok(socket.connected);
      await settled(socket, bob);
      assert.equal(messages, 1);
    });

    test('the same clientId twice is one message', async () => {
      const [a, b] = await Promise.all([ada.socket({ transports }), bob.socket({ transports })]);
      const seen = [];
      b.on('private-message', (message) => seen.push(message));
      const payload = { toUserId: bob.id, message: 'once', clientId: `c-${name}` };
      const acks = await Promise.all([1, 2, 3].map(() => ask(a, 'private-message', payload)));
      assert.equal(new Set(acks.map((ack) => `${ack.ok} ${ack._id} ${ack.ts}`)).size, 1);
      await until(b, () => seen.length > 0);
      await settled(b, ada);
      assert.deepEqual(seen.map((message) => message.clientId), [payload.clientId]);
    });

    test('a message is stamped once, and its sender is told', async () => {
      const [a, b] = await Promise.all([ada.socket({ transports }), bob.socket({ transports })]);
      const { _id } = await ask(a, 'private-message', { toUserId: bob.id, message: 'read me' });
      const seen = [];
      for (const event of ['message:delivered', 'message:read']) {
        a.on(event, (stamp) => seen.push([event, stamp._id, typeof stamp.at]));
        assert.equal((await ask(b, event, { _id })).ok, true);
        assert.equal((await ask(b, event, { _id })).ok, true);
        assert.equal((await ask(a, event, { _id })).ok, false, 'only who it went to');
      }
      await until(a, () => seen.length >= 2);
      await settled(a, bob);
      assert.deepEqual(seen, [['message:delivered', _id, 'number'], ['message:read', _id, 'number']]);
      const last = (await bob.history(ada)).at(-1);
      assert.ok(last.deliveredAt && last.readAt);
    });
  });
}

describe('presence', () => {
  test('connections learn of the first device and of the last one, and nobody else does', async () => {
    const [ada, bob] = await pair();
    const eve = await Member.signUp('Eve');
    const [watching, stranger] = await Promise.all([bob.socket(), eve.socket()]);
    const seen = [];
    watching.on('presence', (state) => seen.push([state.userId, state.online]));
    stranger.on('presence', () => assert.fail('a stranger is told nothing'));
    assert.equal((await ask(watching, 'register', bob.id)).ok, true);

    const phone = await ada.socket();
    await settled(watching, ada);
    assert.deepEqual(seen, [], 'a socket counts once it is registered');
    assert.equal((await ask(phone, 'register', ada.id)).ok, true);
    await until(watching, () => seen.length === 1);
    const laptop = await ada.socket();
    assert.equal((await ask(laptop, 'register', ada.id)).ok, true);
    assert.equal((await ask(laptop, 'register', ada.id)).ok, true);

    const answers = [[watching, true], [phone, true], [stranger, false]];
    for (const [socket, online] of answers) {
      const state = next(socket, 'presence:state');
      socket.emit('presence:query', { userId: ada.id });
      assert.deepEqual(await state, { userId: ada.id, online });
    }
    phone.disconnect();
    laptop.disconnect();
    await until(watching, () => seen.length >= 2);
    await settled(watching, ada);
    await settled(stranger, ada);
    assert.deepEqual(seen, [[ada.id, true], [ada.id, false]]);
    [ada, bob, eve].forEach((member) => member.close());
  });

  test('nobody registers as somebody else', async () => {
    const [ada, bob] = await pair();
    const [a, b] = await Promise.all([ada.socket(), bob.socket()]);
    b.on('presence', () => assert.fail('nobody came'));
    const error = next(a, 'error');
    a.emit('register', bob.id);
    assert.equal((await error).event, 'register');
    assert.equal((await ask(a, 'register', bob.id)).ok, false);
    assert.equal((await ask(b, 'presence:query', { userId: ada.id })).online, false);
    assert.ok(a.connected);
    [ada, bob].forEach((member) => member.close());
  });

  test('typing is shown to connections only', async () => {
    const [ada, bob] = await pair();
    const eve = await Member.signUp('Eve');
    const [a, b, e] = await Promise.all([ada, bob, eve].map((member) => member.socket()));
    const shown = next(b, 'typing');
    a.emit('typing', { toUserId: bob.id });
    assert.deepEqual(await shown, { fromUserId: ada.id });
    b.on('typing', () => assert.fail('a stranger types to nobody'));
    assert.equal((await ask(e, 'typing', { toUserId: bob.id })).ok, false);
    await settled(b, ada);
    [ada, bob, eve].forEach((member) => member.close());
  });
});

describe('sessions', () => {
  test('logging out closes the sockets of that session and of no other', async () => {
    const ada = await Member.signUp('Ada');
    const elsewhere = await ada.logIn();
    const [here, there] = await Promise.all([ada.socket(), elsewhere.socket()]);
    const closed = next(here, 'disconnect');
    await ada.http('POST', '/logout');
    assert.equal(await closed, 'io server disconnect');
    await settled(there, elsewhere);
    assert.ok(there.connected);
    const again = ada.open();
    const { event, arguments: [error] } = await first(again, ['connect', 'connect_error']);
    assert.deepEqual([event, error.message], ['connect_error', 'Please login']);
    [ada, elsewhere].forEach((member) => member.close());
  });
});

describe('order', () => {
  // Fewer where the stores share the machine with the test.
  const EACH = Number(process.env.DEVCONNECT_MESSAGES ?? 500);
  const PAIRS = Number(process.env.DEVCONNECT_PAIRS ?? 20);
  test(`${PAIRS} pairs × ${EACH} messages each way arrive in exact order on both sides`, { timeout: 240_000 }, async () => {
    const pairs = await Promise.all(Array.from({ length: PAIRS }, () => pair()));
    await Promise.all(
      pairs.map(async ([ada, bob], at) => {
        const transports = at % 4 === 0 ? ['polling'] : ['websocket'];
        const sides = await Promise.all([ada, bob].map((member) => member.socket({ transports })));
        const seen = sides.map((socket) => {
          const heard = { [ada.id]: [], [bob.id]: [] };
          socket.on('private-message', (message) => heard[message.fromUserId].push(message));
          return heard;
        });
        const acks = sides.map((socket, side) => {
          const toUserId = [bob, ada][side].id;
          return Promise.all(
            Array.from({ length: EACH }, (_, n) => ask(socket, 'private-message', { toUserId, message: `${n}` })),
          );
        });
        for (const ack of (await Promise.all(acks)).flat()) assert.equal(ack.ok, true, JSON.stringify(ack));
        const expected = Array.from({ length: EACH }, (_, n) => `${n}`);
        for (const [side, heard] of seen.entries()) {
          await until(sides[side], () => heard[ada.id].length + heard[bob.id].length === 2 * EACH);
          for (const member of [ada, bob]) {
            assert.deepEqual(heard[member.id].map((message) => message.message), expected);
            const times = heard[member.id].map((message) => message.ts);
            assert.deepEqual(times, times.toSorted((a, b) => a - b), 'time never goes back');
          }
        }
        // The history has all of them, and each side's in order.
        const stored = [];
        for (let query = '?limit=200'; ; query = `?limit=200&before=${stored[0]._id}`) {
          const page = await ada.history(bob, query);
          if (page.length === 0) break;
          stored.unshift(...page);
        }
        for (const member of [ada, bob]) {
          const own = stored.filter((message) => message.fromUserId === member.id).map((message) => message.text);
          assert.deepEqual(own, expected);
        }
        [ada, bob].forEach((member) => member.close());
      }),
    );
  });

  test('who was away reads what was missed', async () => {
    const [ada, bob] = await pair();
    const a = await ada.socket();
    const b = await bob.socket({ reconnection: true });
    const { _id } = await ask(a, 'private-message', { toUserId: bob.id, message: 'before' });
    // The line breaks, as in a tunnel.
    const back = next(b.io, 'reconnect');
    b.io.engine.close();
    for (const n of [1, 2, 3]) await ask(a, 'private-message', { toUserId: bob.id, message: `missed ${n}` });
    await back;
    if (!b.connected) await next(b, 'connect');
    const history = await bob.history(ada);
    const missed = history.slice(history.findIndex((message) => message._id === _id) + 1);
    assert.deepEqual(missed.map((message) => message.text), ['missed 1', 'missed 2', 'missed 3']);
    const live = next(b, 'private-message');
    await ask(a, 'private-message', { toUserId: bob.id, message: 'live again' });
    assert.equal((await live).message, 'live again');
    [ada, bob].forEach((member) => member.close());
  });
});
