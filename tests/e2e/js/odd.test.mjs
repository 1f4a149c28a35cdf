// Clients beside browsers and Express: bytes that no browser sends, requests that are refused while their body is under way,
// HTTP/1.0 and HTTP/2, strings that were cut in two, Engine.IO by hand.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Member, URL as HOST, ask, next, pair } from './members.mjs';

const { hostname, port, host } = new URL(HOST);
/** Larger than what any route takes. */
const LARGE = Buffer.alloc(5 << 20, ' ');
/** Text as the bytes of UTF-8, in a string of bytes. */
const utf8 = (text) => Buffer.from(text).toString('latin1');

/** Sends all bytes, and only then waits for the response; `more` is sent on the same connection afterwards. */
async function exchange(bytes, more) {
  const socket = net.connect(Number(port), hostname);
  const failed = once(socket, 'error').then(([error]) => Promise.reject(error));
  failed.catch(() => {});
  await Promise.race([failed, once(socket, 'connect')]);
  let text = '';
  let look = () => {};
  const closed = once(socket, 'close');
  socket.setEncoding('latin1').on('data', (data) => {
    text += data;
    look();
  });
  const send = (some) => Promise.race([failed, new Promise((resolve) => socket.write(some, resolve))]);
  const response = () =>
    new Promise((resolve) => {
      look = () => {
        const end = text.indexOf('\r\n\r\n');
        const length = /content-length: (\d+)/i.exec(text)?.[1] ?? 0;
        if (end >= 0 && text.length >= end + 4 + Number(length)) {
          resolve({ status: Number(text.split(' ')[1]), head: text.slice(0, end), body: text.slice(end + 4) });
          text = '';
        }
      };
      look();
    });
  const broken = closed.then(() => Promise.reject(new Error(`the host closed the connection after ${JSON.stringify(text)}`)));
  broken.catch(() => {});
  await send(bytes);
  const answers = [await Promise.race([failed, broken, response()])];
  if (more) {
    await send(more);
    answers.push(await Promise.race([failed, broken, response()]));
  }
  socket.destroy();
  return answers;
}

/** The bytes of a request; `headers` is a string of bytes. */
function request(line, headers = '', body = Buffer.alloc(0)) {
  return Buffer.concat([Buffer.from(`${line}\r\nhost: ${host}\r\n${headers}\r\n`, 'latin1'), body]);
}

/** A request of Node's own client. */
function asked(method, path, headers, body) {
  return new Promise((resolve, reject) => {
    const sent = http.request(HOST + path, { method, headers }, async (response) => {
      let text = '';
      for await (const part of response.setEncoding('utf8')) text += part;
      resolve({ status: response.statusCode, headers: response.headers, text });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

test('other cookies may have any bytes, and the session may be in quotes', async () => {
  const ada = await Member.signUp('Ada');
  const { token } = ada;
  for (const cookie of [
    `name=${utf8('José')}; token=${token}`,
    `name=Jos\xe9; token=${token}`,
    `token=${token}; name=${utf8('李')}`,
    `token="${token}"`,
    `a="b; token=${token}; c"`,
    `token=; token=deleted; token=${token}`,
    `=x; ;; token=${token};`,
  ]) {
    for (const version of ['1.0', '1.1']) {
      const [answer] = await exchange(request(`GET /profile/view HTTP/${version}`, `cookie: ${cookie}\r\n`));
      assert.equal(answer.status, 200, `HTTP/${version}, ${cookie}: ${answer.body}`);
    }
    const handshake = `cookie: ${cookie}\r\n`;
    const [opened] = await exchange(request('GET /socket.io/?EIO=4&transport=polling HTTP/1.1', handshake));
    const { sid } = JSON.parse(opened.body.slice(1));
    const path = `/socket.io/?EIO=4&transport=polling&sid=${sid}`;
    await exchange(request(`POST ${path} HTTP/1.1`, `${handshake}content-length: 2\r\ncontent-type: text/plain\r\n`, Buffer.from('40')));
    const [connected] = await exchange(request(`GET ${path} HTTP/1.1`, handshake));
    // A ping may come before it.
    const packets = connected.body.split('\x1e').filter((packet) => packet !== '2');
    assert.ok(packets[0].startsWith('40{"sid"'), `${cookie}: ${connected.body}`);
  }
});

test('a bearer or a payload that is no token hides no cookie', async () => {
  const ada = await Member.signUp('Ada');
  const cookie = `token=${ada.token}`;
  for (const authorization of ['Bearer null', 'Bearer undefined', 'Bearer ', 'Bearer [object Object]', 'Basic YTpi']) {
    const answer = await asked('GET', '/profile/view', { cookie, authorization });
    assert.equal(answer.status, 200, authorization);
    assert.equal((await asked('GET', '/profile/view', { authorization })).status, 401, authorization);
  }
  for (const token of [null, 'null', 'undefined', '', 5, {}]) {
    const socket = await ada.socket({ auth: { token }, extraHeaders: { cookie } });
    assert.equal((await ask(socket, 'presence:query', { userId: ada.id })).ok ?? true, true);
  }
  ada.close();
});

test('whatever refuses a request, its client can send on and read why', async () => {
  const ada = await Member.signUp('Ada');
  const json = 'content-type: application/json\r\n';
  const refusals = [
    ['POST /login', json, 413],
    ['POST /nowhere', json, 404],
    ['DELETE /feed', json, 405],
    ['PATCH /profile/edit', json, 401],
    ['POST /login', `${json}origin: https://evil.example\r\n`, 403],
    ['POST /logout', json, 401],
    ['POST /socket.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA', '', 400],
  ];
  const healthy = request('GET /healthz HTTP/1.1');
  for (const [what, headers, status] of refusals) {
    const announced = request(`${what} HTTP/1.1`, `${headers}content-length: ${LARGE.length}\r\n`, LARGE);
    const [refused, after] = await exchange(announced, healthy);
    assert.equal(refused.status, status, `${what}: ${refused.body}`);
    assert.deepEqual([after.status, after.body], [200, 'ok'], `${what}: the connection goes on`);
    const chunks = Buffer.concat([Buffer.from(`${LARGE.length.toString(16)}\r\n`), LARGE, Buffer.from('\r\n0\r\n\r\n')]);
    const [chunked] = await exchange(request(`${what} HTTP/1.1`, `${headers}transfer-encoding: chunked\r\n`, chunks), healthy);
    assert.equal(chunked.status, status, `${what}, in chunks: ${chunked.body}`);
    const old = request(`${what} HTTP/1.0`, `${headers}content-length: ${LARGE.length}\r\n`, LARGE);
    assert.equal((await exchange(old))[0].status, status, `${what}, HTTP/1.0`);
  }
  const cookie = `token=${ada.token}`;
  const all = Array.from({ length: 40 }, () => asked('PATCH', '/profile/edit', { cookie, 'content-type': 'application/json' }, LARGE));
  for (const { status, text } of await Promise.all(all)) {
    assert.deepEqual([status, typeof JSON.parse(text).message], [413, 'string']);
  }
});

test('a client that waits for 100 Continue is refused before it sends', async () => {
  const head = `expect: 100-continue\r\ncontent-type: application/json\r\ncontent-length: ${LARGE.length}\r\n`;
  const [refused] = await exchange(request('POST /login HTTP/1.1', head));
  assert.equal(refused.status, 413);
});

test('HTTP/2 knows its authority, and refuses as HTTP/1 does', async () => {
  const ada = await Member.signUp('Ada');
  // What is refused early stays in the client's memory until it is sent, all of it at once.
  const session = http2.connect(HOST, { maxSessionMemory: 100 });
  const ask2 = async (method, path, headers, body) => {
    const stream = session.request({ ':method': method, ':path': path, cookie: `token=${ada.token}`, ...headers });
    stream.end(body);
    const [answer] = await once(stream, 'response');
    let text = '';
    for await (const part of stream.setEncoding('utf8')) text += part;
    return { status: answer[':status'], headers: answer, text };
  };
  const json = { 'content-type': 'application/json' };
  for (const origin of [HOST, HOST.toUpperCase()]) {
    const edited = await ask2('PATCH', '/profile/edit', { ...json, origin }, '{"about":"h2"}');
    assert.equal(edited.status, 200, `${origin}: ${edited.text}`);
    assert.equal(edited.headers['access-control-allow-origin'], origin);
  }
  assert.equal((await ask2('PATCH', '/profile/edit', { ...json, origin: 'http://evil.example' }, LARGE)).status, 403);
  assert.equal((await ask2('POST', '/login', json, LARGE)).status, 413);
  assert.equal((await ask2('POST', '/nowhere', json, LARGE)).status, 404);
  assert.equal((await ask2('GET', '/healthz/', {})).text, 'ok');
  session.close();
});

test('errors of Engine.IO are objects with a message, and their codes are numbers', async () => {
  const refused = {
    'GET /socket.io/?EIO=3&transport=polling': 5,
    'GET /socket.io/?EIO=4&transport=pigeon': 0,
    'POST /socket.io/?EIO=4&transport=polling': 2,
    'GET /socket.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA': 1,
  };
  for (const [what, code] of Object.entries(refused)) {
    const answer = await asked(...what.split(' '), {}, what.startsWith('POST') ? '40' : undefined);
    const error = JSON.parse(answer.text);
    assert.deepEqual([answer.status, error.code, typeof error.message], [400, code, 'string'], `${what}: ${answer.text}`);
  }
});

test('a string that was cut in two arrives, and what is missing is U+FFFD', async () => {
  const [ada, bob] = await pair();
  const edited = await ada.http('PATCH', '/profile/edit', { about: 'cut \ud83d', skills: ['\ude00 x'] });
  assert.deepEqual([edited.body.data.about, edited.body.data.skills], ['cut \ufffd', ['\ufffd x']]);
  for (const transports of [['websocket'], ['polling']]) {
    const [from, to] = await Promise.all([ada.socket({ transports }), bob.socket({ transports })]);
    const heard = next(to, 'private-message');
    const told = await ask(from, 'private-message', { toUserId: bob.id, message: `hi \ud83d ${transports}` });
    assert.equal(told.ok, true, JSON.stringify(told));
    assert.equal((await heard).message, `hi \ufffd ${transports}`);
  }
  const texts = (await bob.history(ada)).map(({ text }) => text);
  assert.deepEqual(texts, ['hi \ufffd websocket', 'hi \ufffd polling']);
  [ada, bob].forEach((member) => member.close());
});

test('a body may be compressed or in another encoding, and where none is expected it is not read', async () => {
  const ada = await Member.signUp('Ada');
  const cookie = `token=${ada.token}`;
  const edit = (headers, body) => asked('PATCH', '/profile/edit', { cookie, 'content-type': 'application/json', ...headers }, body);
  const body = JSON.stringify({ about: 'José' });
  for (const [headers, sent] of [
    [{ 'content-encoding': 'gzip' }, gzipSync(body)],
    [{ 'content-type': 'application/json; charset=utf-16le' }, Buffer.from(body, 'utf16le')],
    [{}, Buffer.from(`\ufeff${body}`)],
  ]) {
    const edited = await edit(headers, sent);
    assert.equal(edited.status, 200, edited.text);
    assert.equal(JSON.parse(edited.text).data.about, 'José');
  }
  for (const headers of [{ 'content-encoding': 'br' }, { 'content-type': 'application/json; charset=latin1' }, { 'content-type': 'text/plain' }]) {
    const refused = await edit(headers, body);
    assert.deepEqual([refused.status, typeof JSON.parse(refused.text).message], [415, 'string'], JSON.stringify(headers));
  }
  assert.equal((await edit({ 'content-encoding': 'gzip' }, gzipSync(LARGE))).status, 413);
  const form = { cookie, 'content-type': 'application/x-www-form-urlencoded' };
  // Node frames the body of a GET only when it is told its length.
  assert.equal((await asked('GET', '/feed/', { ...form, 'content-length': 3 }, 'a=b')).status, 200);
  assert.equal((await asked('POST', '/logout/', form, 'a=b')).status, 200);
});
