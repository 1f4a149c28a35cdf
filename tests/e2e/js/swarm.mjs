// Many members at once: pairs that write to each other until they are told to stop, and count what went wrong.
//
// Reads one JSON line from standard input: {url, transports, pairs: [[{id, token}, {id, token}], …]}; says `ready` when
// all are connected, `going` once the first messages are through; ends after the line `stop` with one JSON line.

import { createInterface } from 'node:readline';
import { io } from 'socket.io-client';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { url, transports, pairs } = JSON.parse((await lines.next()).value);

/** Connects, a few at a time: a thousand handshakes at once only wait for each other. */
async function connected(members) {
  const sockets = [];
  for (let at = 0; at < members.length; at += 100) {
    const some = members.slice(at, at + 100).map(({ token }) => {
      const socket = io(url, { auth: { token }, transports, forceNew: true, reconnection: false });
      return new Promise((resolve, reject) => socket.on('connect', () => resolve(socket)).on('connect_error', reject));
    });
    sockets.push(...(await Promise.all(some)));
  }
  return sockets;
}

const senders = await connected(pairs.map(([from]) => from));
const receivers = await connected(pairs.map(([, to]) => to));

let [going, stopped] = [false, false];
const count = { sent: 0, acknowledged: 0, refused: 0, dropped: 0, received: 0, disordered: 0 };
const disconnected = () => stopped || (count.dropped += 1);
const firstRound = new Set();
senders.forEach((socket) => socket.on('disconnect', disconnected));
const arrivals = receivers.map((socket, at) => {
  let expected = 0;
  socket.on('disconnect', disconnected);
  socket.on('private-message', ({ message }) => {
    count.received += 1;
    if (Number(message) !== expected) count.disordered += 1;
    expected = Number(message) + 1;
    firstRound.add(at);
    if (!going && firstRound.size === receivers.length) {
      going = true;
      console.log('going');
    }
  });
  return () => expected;
});
console.log('ready');

async function write(socket, at) {
  const toUserId = pairs[at][1].id;
  for (let n = 0; !stopped; n += 1) {
    count.sent += 1;
    const ack = await socket.timeout(30_000).emitWithAck('private-message', { toUserId, message: `${n}` });
    if (ack.ok) count.acknowledged += 1;
    else count.refused += 1;
  }
  return count;
}

const writing = senders.map(write);
while ((await lines.next()).value !== 'stop');
stopped = true;
await Promise.all(writing);
// What was acknowledged is on its way: it is waited for, with a bound.
const deadline = Date.now() + 20_000;
while (count.received < count.acknowledged && Date.now() < deadline) await new Promise((resolve) => setImmediate(resolve));
console.log(JSON.stringify({ ...count, open: [...senders, ...receivers].filter((socket) => socket.connected).length }));
process.exit(0);
