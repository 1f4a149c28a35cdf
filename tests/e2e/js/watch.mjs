// Watches who is there while hosts die. Reads one line of JSON, {urls, watched, watchers}: each watched member has a socket at
// the first host, each watcher one at another and is connected to all watched. Says `ready`, then every change it hears of as
// a line of JSON, and ends with its input.

import { createInterface } from 'node:readline';
import { Member, connect, settled } from './members.mjs';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { urls, watched, watchers } = JSON.parse((await lines.next()).value);

async function members(name, count) {
  const all = [];
  for (let number = 0; number < count; number += 1) all.push(await Member.signUp(name));
  return all;
}

const [seen, seeing] = [await members('Ada', watched), await members('Bob', watchers)];
for (const a of seen) for (const b of seeing) await connect(a, b);

for (const [number, member] of seeing.entries()) {
  const there = member.at(urls[1 + (number % (urls.length - 1))]);
  const socket = await there.socket();
  socket.on('presence', (state) => console.log(JSON.stringify({ watcher: number, ...state })));
  socket.emit('register', member.id);
  await settled(socket, member);
}
const sockets = [];
for (const member of seen) {
  const socket = await member.at(urls[0]).socket({ reconnection: false });
  socket.emit('register', member.id);
  await settled(socket, member);
  sockets.push(socket);
}
console.log(JSON.stringify({ ready: true, watched: seen.map((member) => member.id), watchers: seeing.map((member) => member.id) }));
await lines.next();
process.exit(0);
