// The connection: what is done on each one, and what happens when the host refuses.

import type { Socket } from 'socket.io-client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Live, type Listener } from '../src/state/live';

/** A socket whose other end the test is. */
class Line {
  connected = false;
  active = true;
  id: string | undefined;
  readonly asked: [event: string, payload: unknown][] = [];
  answer: (event: string, payload: unknown) => unknown = () => ({ ok: true });
  readonly connect = vi.fn();
  private readonly handlers = new Map<string, (...all: unknown[]) => void>();

  on(event: string, handler: (...all: unknown[]) => void) {
    this.handlers.set(event, handler);
  }

  timeout() {
    return {
      emitWithAck: async (event: string, payload: unknown) => {
        this.asked.push([event, payload]);
        return this.answer(event, payload);
      },
    };
  }

  comes(event: string, ...all: unknown[]) {
    this.handlers.get(event)?.(...all);
  }

  async connects(id: string) {
    Object.assign(this, { connected: true, id });
    this.comes('connect');
    await vi.advanceTimersByTimeAsync(0);
  }

  async breaks(reason = 'transport close') {
    Object.assign(this, { connected: false, id: undefined });
    this.comes('disconnect', reason);
    await vi.advanceTimersByTimeAsync(0);
  }

  count(event: string) {
    return this.asked.filter(([asked]) => asked === event).length;
  }
}

function begin(listener: Partial<Listener> = {}) {
  const line = new Line();
  const all: Listener = {
    connected: vi.fn(),
    lost: vi.fn(),
    message: vi.fn(),
    stamped: vi.fn(),
    typing: vi.fn(),
    notification: vi.fn(),
    hasSession: vi.fn(async () => true),
    ...listener,
  };
  return { line, listener: all, live: new Live('ada', all, line as unknown as Socket) };
}

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test('on each connection the member registers, and presence is asked anew', async () => {
  const { line, live, listener } = begin();
  live.watch(['bob', 'cy']);
  await line.connects('1');
  expect([line.count('register'), line.count('presence:query')]).toEqual([1, 2]);
  live.watch(['bob', 'cy', 'dan']);
  live.watch(['dan']);
  expect(line.count('presence:query'), 'only of who was not asked about').toBe(3);
  await line.breaks();
  expect(live.state.peek()).toBe('lost');
  await line.connects('2');
  expect([line.count('register'), line.count('presence:query')]).toEqual([2, 6]);
  expect(listener.connected).toHaveBeenCalledTimes(2);
  expect(listener.lost).toHaveBeenCalledTimes(1);
});

test('a registration that is refused or not answered is tried again, for this connection only', async () => {
  const { line } = begin();
  const answers = [{ ok: false, message: 'busy' }, Promise.reject(new Error('no answer')), { ok: true }];
  answers.forEach((answer) => answer instanceof Promise && answer.catch(() => undefined));
  line.answer = (event) => (event === 'register' ? answers.shift() : { ok: true });
  await line.connects('1');
  expect(line.count('register')).toBe(1);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(line.count('register')).toBe(3);
  line.answer = () => ({ ok: false, message: 'busy' });
  await line.breaks();
  await line.connects('2');
  await line.breaks();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(line.count('register'), 'nothing is asked of a connection that is gone').toBe(4);
});

test('who is there', async () => {
  const { line, live } = begin();
  line.answer = (event, payload) =>
    event === 'presence:query' ? { ok: true, ...(payload as object), online: true } : { ok: true };
  live.watch(['bob']);
  await line.connects('1');
  expect([...live.online.peek()]).toEqual(['bob']);
  line.comes('presence', { userId: 'cy', online: true });
  line.comes('presence', { userId: 'bob', online: false });
  expect([...live.online.peek()]).toEqual(['cy']);
  await line.breaks();
  expect(live.online.peek().size, 'nobody is known to be there').toBe(0);
});

test('a connection that the host ends or refuses comes back while there is a session', async () => {
  const { line, listener } = begin();
  await line.connects('1');
  await line.breaks('io server disconnect');
  await vi.advanceTimersByTimeAsync(2_000);
  expect([vi.mocked(listener.hasSession).mock.calls.length, line.connect.mock.calls.length]).toEqual([1, 1]);
  line.active = false;
  line.comes('connect_error', new Error('Please login'));
  vi.mocked(listener.hasSession).mockResolvedValue(false);
  await vi.advanceTimersByTimeAsync(5_000);
  expect([vi.mocked(listener.hasSession).mock.calls.length, line.connect.mock.calls.length]).toEqual([2, 1]);
});

test("a line that breaks is the client's own business", async () => {
  const { line, listener } = begin();
  await line.connects('1');
  await line.breaks();
  line.comes('connect_error', new Error('no network'));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(listener.hasSession).not.toHaveBeenCalled();
});

test('nothing is asked, or kept for later, without a connection', async () => {
  const { line, live } = begin();
  await expect(live.ask('typing', {})).rejects.toThrow('no connection');
  expect(line.asked).toEqual([]);
});
