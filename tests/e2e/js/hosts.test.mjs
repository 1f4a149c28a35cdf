// Two hosts of one network: what is done at one of them holds at the other.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { OTHER_URL, PASSWORD, ask, first, next, pair, settled, until } from './members.mjs';

describe('two hosts', () => {
  // Ada at the first host and the second, Bob likewise.
  let ada, adaThere, bob, bobThere;
  before(async () => {
    [ada, bob] = await pair();
    [adaThere, bobThere] = [ada, bob].map((member) => member.at(OTHER_URL));
  });
  after(() => [ada, adaThere, bob, bobThere].forEach((member) => member.close()));

  /** Asks until the answer is as it should be; answers how many milliseconds it took. */
  async function untilThere(member, path, holds) {
    const begun = performance.now();
    for (;;) {
      const response = await fetch(OTHER_URL + path, { headers: { cookie: `token=${member.token}` } });
      if (holds(response.status, await response.text())) return performance.now() - begun;
      assert.ok(performance.now() - begun < 5_000, `${path} does not change at the other host`);
    }
  }

  test('a session of one is a session of the other, and dies at both at once', async (t) => {
    const session = await ada.logIn();
    const there = session.at(OTHER_URL);
    for (let reads = 0; reads < 20; reads += 1) assert.equal((await there.http('GET', '/profile/view')).body._id, ada.id);
    const socket = await there.socket();
    const closed = first(socket, ['disconnect']);
    await session.http('POST', '/logout');
    const took = await untilThere(session, '/profile/view', (status, text) => status === 401 && text === 'Please login');
    t.diagnostic(`refused by the other host ${took.toFixed(1)} ms after the answer`);
    await closed;
  });

  test('an edit at one is seen at the other at once', async (t) => {
    let longest = 0;
    for (let edit = 0; edit < 20; edit += 1) {
      for (let reads = 0; reads < 5; reads += 1) await adaThere.http('GET', '/profile/view');
      await ada.http('PATCH', '/profile/edit', { about: `edit ${edit}` });
      longest = Math.max(longest, await untilThere(ada, '/profile/view', (_, text) => JSON.parse(text).about === `edit ${edit}`));
    }
    t.diagnostic(`seen at most ${longest.toFixed(1)} ms after the answer`);
  });

  test('wrong passwords count together', async () => {
    const answers = [];
    for (let attempt = 0; attempt < 30; attempt += 1) {
      const url = attempt % 2 ? OTHER_URL : bob.url;
      const body = JSON.stringify({ emailId: bob.emailId, password: `${PASSWORD}wrong` });
      const response = await fetch(`${url}/login`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
      answers.push(response.status);
    }
    const refused = answers.indexOf(429);
    assert.ok(refused > 0 && answers.slice(refused).every((status) => status === 429), answers.join());
  });

  test('messages cross, once and in order, to every device of both', async () => {
    const [a1, a2, b1, b2] = await Promise.all([ada, adaThere, bob, bobThere].map((member) => member.socket()));
    const heard = [a1, a2, b1, b2].map((socket) => {
      const texts = [];
      socket.on('private-message', (message) => texts.push(message.message));
      return texts;
    });
    const sent = [];
    for (let number = 0; number < 200; number += 1) {
      sent.push(`message ${number}`);
      const [socket, to] = number % 2 ? [a1, bob] : [b2, ada];
      assert.equal((await ask(socket, 'private-message', { toUserId: to.id, message: `message ${number}` })).ok, true);
    }
    for (const [socket, texts] of [[a1, heard[0]], [a2, heard[1]], [b1, heard[2]], [b2, heard[3]]]) {
      await until(socket, () => texts.length === sent.length);
      // What two senders say in turns may cross on the way between hosts; what one says may not.
      for (const half of [0, 1]) {
        const of = (all) => all.filter((text) => Number(text.split(' ')[1]) % 2 === half);
        assert.deepEqual(of(texts), of(sent));
      }
    }
    assert.deepEqual((await adaThere.history(bob, '?limit=200')).map((message) => message.text), sent);
    for (const socket of [a1, a2, b1, b2]) socket.disconnect();
  });

  test('who is there is there for all, and is told of once', async () => {
    const watching = await bobThere.socket();
    const seen = [];
    watching.on('presence', (state) => seen.push([state.userId, state.online]));
    const [a1, a2] = await Promise.all([ada.socket(), adaThere.socket()]);
    a1.emit('register', ada.id);
    await until(watching, () => seen.length === 1);
    assert.equal((await ask(watching, 'presence:query', { userId: ada.id })).online, true);
    a2.emit('register', ada.id);
    await settled(a2, ada);
    a1.disconnect();
    const state = async () => (await ask(watching, 'presence:query', { userId: ada.id })).online;
    assert.equal(await state(), true);
    a2.disconnect();
    await until(watching, () => seen.length === 2);
    assert.deepEqual(seen, [[ada.id, true], [ada.id, false]]);
    assert.equal(await state(), false);
  });
});
