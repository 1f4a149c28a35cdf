// Notifications, end to end: what happens to members reaches their sockets and their list, through the log of events.

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { Member, ask, connect, next, pair } from './members.mjs';

describe('notifications', () => {
  const all = [];
  const member = async (name) => (all.push(await Member.signUp(name)), all.at(-1));
  const list = async (who) => (await who.http('GET', '/notifications')).body.data;
  /** Asks until there are so many. */
  const until = async (who, count) => {
    let found;
    do found = await list(who);
    while (found.length < count);
    return found;
  };
  after(() => all.forEach((one) => one.close()));

  test('a request reaches who is there, and an answer who asked', async () => {
    const [ada, bea] = [await member('Ada'), await member('Bea')];
    const [a, b] = [await ada.socket(), await bea.socket()];
    await Promise.all([ask(a, 'register', ada.id), ask(b, 'register', bea.id)]);
    const [asked, answered] = [next(b, 'notification'), next(a, 'notification')];
    await connect(ada, bea);
    const request = await asked;
    assert.equal(request.message, 'Ada sent you a connection request');
    assert.deepEqual([request.type, request.fromUserId, request.count], ['CONNECTION_REQUEST', ada.id, 1]);
    assert.equal((await answered).message, 'Bea accepted your connection request');
    // As it is stored, but for what is stored only to know that it was sent.
    assert.deepEqual(await list(bea), [request]);
    await bea.http('POST', `/notifications/${request._id}/read`);
    assert.ok((await list(bea))[0].readAt);
  });

  test('who was away gets one for all messages of a conversation', async () => {
    const [ada, bob] = await pair();
    all.push(ada, bob);
    const a = await ada.socket();
    for (const message of ['one', 'two', 'three']) await ask(a, 'private-message', { toUserId: bob.id, message });
    let found;
    do found = (await list(bob)).find((one) => one.type === 'MESSAGE_SENT');
    while (found?.count !== 3);
    assert.equal(found.message, 'Ada sent you 3 messages');
    const b = bob.open();
    const missed = [];
    b.on('notification', (one) => missed.push(one._id));
    b.on('connect', () => b.emit('register', bob.id));
    while (missed.length < 2) await next(b, 'notification');
    assert.deepEqual(missed.sort(), (await until(bob, 2)).map((one) => one._id).sort());
  });

  test('the summary counts what one did', async () => {
    const ada = await member('Ada');
    const bea = await member('Bea');
    await connect(ada, bea);
    let data;
    do ({ data } = (await ada.http('GET', '/analytics/summary')).body);
    while (data.requestsSent !== 1);
    assert.equal(data.activeDays, 1);
  });
});
