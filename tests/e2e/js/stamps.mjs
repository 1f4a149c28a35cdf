// Sockets that ask the fixture `stamped` for its stamp, one question after the other, and count what went wrong.
//
// Reads one JSON line from standard input: {url, members: [{token}, …]}; says `ready` when all are connected and have had
// an answer; ends after the line `stop` with one JSON line.

import { createInterface } from 'node:readline';
import { io } from 'socket.io-client';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { url, members } = JSON.parse((await lines.next()).value);
const count = { answers: 0, failed: 0, dropped: 0, older: 0 };
let stopped = false;

const connecting = members.map(({ token }) => {
  const socket = io(url, { auth: { token }, transports: ['websocket'], forceNew: true, reconnection: false });
  return new Promise((resolve, reject) => socket.on('connect', () => resolve(socket)).on('connect_error', reject));
});
const sockets = await Promise.all(connecting);
sockets.forEach((socket) => socket.on('disconnect', () => stopped || (count.dropped += 1)));

async function ask(socket, last) {
  const ack = await socket.timeout(30_000).emitWithAck('stamp', {}).catch(() => ({}));
  if (!/^STAMP-\d{10}$/.test(ack.stamp)) {
    count.failed += 1;
    return last;
  }
  count.answers += 1;
  // A socket never meets an older version again.
  if (ack.stamp < last) count.older += 1;
  return ack.stamp;
}

const first = await Promise.all(sockets.map((socket) => ask(socket, '')));
console.log('ready');

const asking = sockets.map(async (socket, at) => {
  let last = first[at];
  while (!stopped) {
    last = await ask(socket, last);
    // Between two questions of a member is a moment: they are not a benchmark.
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return last;
});
while ((await lines.next()).value !== 'stop');
stopped = true;
const last = await Promise.all(asking);
const open = sockets.filter((socket) => socket.connected).length;
console.log(JSON.stringify({ ...count, open, last }));
process.exit(0);
