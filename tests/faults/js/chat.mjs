// Members who write to each other, each message acknowledged before the next, whatever happens to the host's stores.
//
// Reads one line of JSON, {pace, talks: [{url, id, token, toUserId, retries}, …]}. Says `ready` when all are connected, then a
// line of JSON for every answer: {talk, n, tries, took, ok, id}, or {talk, n, dropped} when a socket is closed. One that retries
// sends a message that was refused again, under the same clientId, until it is taken. Ends after the line `stop`.

import { createInterface } from 'node:readline';
import { Member } from '../../e2e/js/members.mjs';

const ANSWER = 20_000;
const say = (line) => console.log(JSON.stringify(line));
const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { pace, talks } = JSON.parse((await lines.next()).value);
let stopped = false;

async function talk({ url, id, token, toUserId, retries }, at) {
  const member = Object.assign(new Member('', url), { id, token });
  const socket = await member.socket({ transports: ['websocket'], reconnection: true, reconnectionDelay: 100 });
  let n = 0;
  socket.on('disconnect', (reason) => stopped || say({ talk: at, n, dropped: reason }));
  return async () => {
    for (; !stopped; n += 1) {
      for (let tries = 1; ; tries += 1) {
        const begun = performance.now();
        let answer;
        try {
          answer = await socket.timeout(ANSWER).emitWithAck('private-message', { toUserId, message: `${n}`, clientId: `${n}` });
        } catch (error) {
          answer = { none: String(error) };
        }
        say({ talk: at, n, tries, took: performance.now() - begun, ok: answer.ok ?? null, id: answer._id, message: answer.message ?? answer.none });
        await pause(pace);
        if (answer.ok || !retries || stopped) break;
      }
    }
    socket.disconnect();
  };
}

const talking = await Promise.all(talks.map(talk));
say('ready');
const written = Promise.all(talking.map((write) => write()));
let line;
do line = await lines.next();
while (!line.done && line.value !== 'stop');
// Whoever asked is gone without a word.
if (line.done) process.exit(1);
stopped = true;
await written;
process.exit(0);
