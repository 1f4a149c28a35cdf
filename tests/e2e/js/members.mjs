// Members of the network as a front end acts for them: HTTP for what is stored, a socket for what is live.

import { once } from 'node:events';
import { io } from 'socket.io-client';

/** Where the host is. */
export const URL = process.env.DEVCONNECT_URL;
/** Where a second host of the same network is, if there is one. */
export const OTHER_URL = process.env.DEVCONNECT_URL_2;
/** A password that every rule accepts. */
export const PASSWORD = 'Str0ng!Pass';
/** Nothing of these tests takes longer. */
export const PATIENCE = 90_000;

let members = 0;

/** A member and one session. */
export class Member {
  static async signUp(firstName) {
    members += 1;
    const emailId = `${firstName}.${process.pid}.${members}@example.com`.toLowerCase();
    const body = { firstName, lastName: 'Tester', emailId, password: PASSWORD };
    return new Member(emailId).enter('/signup', body);
  }

  constructor(emailId, url = URL) {
    this.emailId = emailId;
    this.url = url;
    this.sockets = [];
  }

  /** The same member and session at another host. */
  at(url) {
    return Object.assign(new Member(this.emailId, url), { id: this.id, token: this.token });
  }

  /** Another session of the same member. */
  async logIn() {
    return new Member(this.emailId, this.url).enter('/login', { emailId: this.emailId, password: PASSWORD });
  }

  async enter(path, body) {
    const answer = await this.http('POST', path, body);
    const user = answer.body.data ?? answer.body;
    this.id = user._id;
    this.token = /token=([^;]+)/.exec(answer.headers.get('set-cookie'))[1];
    return this;
  }

  /** A request that has to succeed. */
  async http(method, path, body) {
    const headers = { ...(this.token && { cookie: `token=${this.token}` }), ...(body && { 'content-type': 'application/json' }) };
    const response = await fetch(this.url + path, { method, headers, body: body && JSON.stringify(body) });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return { headers: response.headers, body: text.startsWith('{') ? JSON.parse(text) : text };
  }

  async history(other, query = '') {
    return (await this.http('GET', `/chat/${other.id}/history${query}`)).body.data;
  }

  /** A socket that is not connected yet; closed when the test ends. */
  open(options = {}) {
    const socket = io(this.url, { auth: { token: this.token }, forceNew: true, reconnection: false, ...options });
    this.sockets.push(socket);
    return socket;
  }

  /** A connected socket. */
  async socket(options = {}) {
    const socket = this.open(options);
    const outcome = await first(socket, ['connect', 'connect_error']);
    if (outcome.event !== 'connect') throw outcome.arguments[0];
    return socket;
  }

  close() {
    this.sockets.forEach((socket) => socket.disconnect());
  }
}

/** A and B are connected. */
export async function connect(a, b) {
  const request = await a.http('POST', `/request/send/interested/${b.id}`);
  await b.http('POST', `/request/review/accepted/${request.body.data._id}`);
}

/** Two who are connected. */
export async function pair() {
  const [ada, bob] = await Promise.all([Member.signUp('Ada'), Member.signUp('Bob')]);
  await connect(ada, bob);
  return [ada, bob];
}

/** The first of several events of a socket. */
export async function first(socket, events) {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(new Error(`none of ${events} came`)), PATIENCE);
  try {
    return await Promise.race(
      events.map(async (event) => ({ event, arguments: await once(socket, event, { signal: abort.signal }) })),
    );
  } finally {
    clearTimeout(timer);
    abort.abort();
  }
}

/** The payload of the next event of this name. */
export async function next(socket, event) {
  return (await first(socket, [event])).arguments[0];
}

/** Sends and waits for the acknowledgement. */
export function ask(socket, event, ...payload) {
  return socket.timeout(PATIENCE).emitWithAck(event, ...payload);
}

/**
 * Everything that was sent to a socket before now has arrived when this is over: an acknowledged message goes through the
 * same buffer. So a test can say that something did not come without waiting for a while.
 */
export async function settled(socket, member) {
  await ask(socket, 'presence:query', { userId: member.id });
}

/** Waits until something holds, looking at it whenever the socket receives anything. */
export async function until(socket, holds) {
  if (holds()) return;
  await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`it never held: ${holds}`)), PATIENCE);
    const look = () => {
      if (!holds()) return;
      clearTimeout(timer);
      socket.offAny(look);
      resolve();
    };
    // After the handlers of the event itself.
    socket.onAny(() => queueMicrotask(look));
  });
}
