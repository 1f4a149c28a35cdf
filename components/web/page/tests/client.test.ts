// What the page makes of the host's answers.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ApiError, Client, seconds } from '../src/api/client';
import { gather } from '../src/download';
import { problem, sentence } from '../src/words';

const answers = (
  status: number,
  body: string,
  headers: Record<string, string> = { 'content-type': 'application/json' },
) => vi.fn(async () => new Response(body, { status, headers }));
const refused = async (call: Promise<unknown>) => {
  try {
    await call;
  } catch (error) {
    return error as ApiError;
  }
  throw new Error('it was not refused');
};

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test('JSON goes out and comes in, and queries are written', async () => {
  const fetch = answers(200, '{"a":1}');
  const client = new Client(fetch);
  expect(await client.post('/x', { b: 2 }, { query: { page: 2, ml: undefined, q: 'ä&' } })).toEqual({ a: 1 });
  const [path, init] = fetch.mock.calls[0] as unknown as [string, RequestInit];
  expect(path).toBe('/x?page=2&q=%C3%A4%26');
  expect(init).toMatchObject({ method: 'POST', body: '{"b":2}', credentials: 'same-origin' });
  expect(await new Client(answers(200, 'Logout successfull', { 'content-type': 'text/plain' })).post('/logout')).toBe(
    'Logout successfull',
  );
});

describe('refusals', () => {
  test("have the host's words, its fields and when to come again", async () => {
    const body = '{"message":"You have reached the limit","limit":10}';
    const error = await refused(new Client(answers(429, body, { 'retry-after': '90' })).get('/x'));
    expect(error).toMatchObject({ failure: 'refused', status: 429, retryAfter: 90, body: { limit: 10 } });
    expect(problem(error)).toBe('You have reached the limit. Try again in 2 minutes.');
  });

  test('without a session the page is told, unless the caller expects it', async () => {
    const client = new Client(answers(401, 'Please login', { 'content-type': 'text/plain' }));
    client.onNoSession = vi.fn();
    await refused(client.get('/x', { anonymous: true }));
    expect(client.onNoSession).not.toHaveBeenCalled();
    expect(await refused(client.get('/x'))).toMatchObject({ status: 401, message: 'Please login' });
    expect(client.onNoSession).toHaveBeenCalledTimes(1);
  });

  test('of a proxy that speaks no JSON', async () => {
    const error = await refused(new Client(answers(502, '<html>Bad gateway</html>', {})).get('/x'));
    expect(problem(error)).toMatch(/has a problem just now/);
  });
});

test('no answer in time, no network, and a call that was given up', async () => {
  const never = vi.fn(
    (_: unknown, init?: RequestInit) =>
      new Promise<Response>((_, fail) =>
        init?.signal?.addEventListener('abort', () => fail(new DOMException('aborted', 'AbortError'))),
      ),
  );
  const waiting = refused(new Client(never).get('/x', { patience: 1_000 }));
  await vi.advanceTimersByTimeAsync(1_001);
  expect(await waiting).toMatchObject({ failure: 'timeout' });
  const offline = new Client(
    vi.fn(async () => {
      throw new TypeError('failed to fetch');
    }),
  );
  expect(await refused(offline.get('/x'))).toMatchObject({ failure: 'offline' });
  const given = new AbortController();
  const call = refused(new Client(never).get('/x', { signal: given.signal }));
  given.abort();
  expect((await call).name).toBe('AbortError');
});

test('Retry-After is seconds or a date', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  expect([seconds('5'), seconds('0'), seconds('-3'), seconds(null), seconds(''), seconds('soon')]).toEqual([
    5,
    0,
    0,
    undefined,
    undefined,
    undefined,
  ]);
  expect(seconds('Thu, 01 Jan 2026 00:01:00 GMT', now)).toBe(60);
});

test("the host's words name fields as the forms do", () => {
  expect(sentence('firstName must have 1 to 50 characters; emailId is required')).toBe(
    'First name must have 1 to 50 characters; e-mail address is required.',
  );
  expect(sentence('Invalid credentials')).toBe('Invalid credentials.');
  expect(sentence(' ')).toBe('');
});

test('an export of several parts is one', async () => {
  const parts: Record<string, Record<string, unknown>> = {
    '': { exportedAt: 'a', profile: { x: 1 }, sent: [1, 2], next: 'p2' },
    p2: { exportedAt: 'b', sent: [3], received: [4], next: 'p3' },
    p3: { exportedAt: 'c', received: [5] },
  };
  expect(await gather(async (cursor = '') => parts[cursor] ?? {})).toEqual({
    exportedAt: 'a',
    profile: { x: 1 },
    sent: [1, 2, 3],
    received: [4, 5],
  });
  await expect(gather(async () => ({ next: 'again' }))).rejects.toThrow('does not end');
});
