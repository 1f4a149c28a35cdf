// The account over real sockets: whatever ends sessions closes what they have open, on every transport, and nothing else.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Member, PASSWORD, ask, first, next, pair, settled } from './members.mjs';

const TRANSPORTS = [['websocket'], ['polling']];

/** Another session of a member for each transport, with a socket on it. */
async function elsewhere(member) {
  return Promise.all(
    TRANSPORTS.map(async (transports) => {
      const session = await member.logIn();
      return { session, socket: await session.socket({ transports }) };
    }),
  );
}

const closed = (sockets) => Promise.all(sockets.map((socket) => next(socket, 'disconnect')));

describe('the account', () => {
  test('a new password closes the sockets of all other sessions and leaves the own one open', async () => {
    const ada = await Member.signUp('Ada');
    const own = await ada.socket();
    const others = await elsewhere(ada);
    const ends = closed(others.map(({ socket }) => socket));
    await ada.http('POST', '/profile/password', { currentPassword: PASSWORD, newPassword: `${PASSWORD}2` });
    assert.deepEqual(await ends, ['io server disconnect', 'io server disconnect']);
    await settled(own, ada);
    for (const { session } of others) await assert.rejects(session.http('GET', '/profile/view'), /401 Please login/);
    await assert.rejects(ada.logIn(), /400 .*Invalid credentials/);
    ada.close();
  });

  test('a session that is ended from another one closes its sockets', async () => {
    const ada = await Member.signUp('Ada');
    const [one, other] = await elsewhere(ada);
    const sessions = (await one.session.http('GET', '/sessions')).body.data;
    assert.equal(sessions.length, 3);
    const { id } = sessions.find(({ current }) => current);
    const end = next(one.socket, 'disconnect');
    await ada.http('DELETE', `/sessions/${id}`);
    assert.equal(await end, 'io server disconnect');
    await settled(other.socket, other.session);
    other.session.close();
  });

  test('deleting the account closes the sockets of all sessions, and the e-mail is free again', async () => {
    const [ada, bob] = await pair();
    const [own, friend] = [await ada.socket(), await bob.socket()];
    await ask(own, 'register', ada.id);
    const others = await elsewhere(ada);
    assert.equal((await ask(own, 'private-message', { toUserId: bob.id, message: 'bye' })).ok, true);
    const ends = closed([own, ...others.map(({ socket }) => socket)]);
    await ada.http('DELETE', '/account', { password: PASSWORD });
    assert.deepEqual(new Set(await ends), new Set(['io server disconnect']));
    const again = ada.open();
    const { event, arguments: [error] } = await first(again, ['connect', 'connect_error']);
    assert.deepEqual([event, error.message], ['connect_error', 'Please login']);
    await assert.rejects(ada.logIn(), /400 .*Invalid credentials/);
    assert.deepEqual((await bob.http('GET', '/user/connections')).body.data, [], 'nobody finds the member');
    await settled(friend, bob);
    const anew = await new Member(ada.emailId).enter('/signup', {
      firstName: 'Ada', lastName: 'Anew', emailId: ada.emailId, password: PASSWORD,
    });
    assert.notEqual(anew.id, ada.id);
    assert.deepEqual((await anew.http('GET', '/account/export')).body.messagesSent, [], 'it is another member');
    [ada, bob, anew].forEach((member) => member.close());
  });
});
