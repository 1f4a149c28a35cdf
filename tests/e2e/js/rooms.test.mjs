// Rooms and acknowledgements, through the fixture `rooms`.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Member, URL, ask, next } from './members.mjs';

test('a room hears what is said in it, each socket once, until it leaves', async () => {
  const [ada, bob, cem] = await Promise.all(['Ada', 'Bob', 'Cem'].map((name) => Member.signUp(name)));
  const [a, b, c] = await Promise.all([ada, bob, cem].map((member) => member.socket()));
  const heard = [a, b, c].map((socket) => {
    const texts = [];
    socket.on('shouted', ({ text }) => texts.push(text));
    return texts;
  });
  for (const socket of [a, b]) assert.equal((await ask(socket, 'join', { room: 'one' })).ok, true);
  assert.equal((await ask(a, 'shout', { room: 'one', text: 'first' })).ok, true);
  assert.equal((await ask(b, 'leave', { room: 'one' })).ok, true);
  assert.equal((await ask(a, 'shout', { room: 'one', text: 'second' })).ok, true);
  const answer = await fetch(`${URL}/rooms/one`, { method: 'POST' });
  assert.deepEqual(await answer.json(), { joined: false }, 'a request is in no room');
  // An acknowledgement comes behind everything that was sent before it.
  for (const socket of [a, b, c]) await ask(socket, 'join', { room: 'end' });
  assert.deepEqual(heard, [['first', 'second', 'announced'], ['first'], []]);
  [ada, bob, cem].forEach((member) => member.close());
});

test('a component asks a client and waits for its answer, or for so long', async () => {
  const ada = await Member.signUp('Ada');
  const socket = await ada.socket();
  socket.on('dictated', (payload, answer) => answer({ echo: payload }));
  assert.deepEqual(await ask(socket, 'dictate', { text: [1, 'é', null] }), { echo: { text: [1, 'é', null] } });
  assert.deepEqual(await ask(socket, 'dictate', [1, 2]), { echo: [1, 2] }, 'a list is one argument');
  const silent = await ada.socket();
  assert.equal(await ask(silent, 'dictate', {}), null);
  ada.close();
});

test('what was not granted is refused with the line that would grant it', async () => {
  const ada = await Member.signUp('Ada');
  const told = await ask(await ada.socket(), 'trespass');
  const expected = ['emit = [\\"presence\\"]', 'rooms = [\\"secret\\"]', 'presence = true', 'at most 65536 bytes', 'at most 1000 targets'];
  for (const [at, text] of expected.entries()) assert.ok(told[at].includes(text), `${told[at]} has no ${text}`);
  ada.close();
});

test('a closed socket is in no room', async () => {
  const [ada, bob] = await Promise.all(['Ada', 'Bob'].map((name) => Member.signUp(name)));
  const [a, b] = await Promise.all([ada, bob].map((member) => member.socket()));
  for (const socket of [a, b]) await ask(socket, 'join', { room: 'two' });
  const closed = next(b, 'disconnect');
  b.disconnect();
  await closed;
  const heard = next(a, 'shouted');
  assert.equal((await ask(a, 'shout', { room: 'two', text: 'alone' })).ok, true);
  assert.deepEqual(await heard, { text: 'alone' });
  [ada, bob].forEach((member) => member.close());
});
