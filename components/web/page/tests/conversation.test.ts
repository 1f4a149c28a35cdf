// Order, sameness and gaps of a conversation.

import { describe, expect, test } from 'vitest';
import * as conversation from '../src/state/conversation';
import { EMPTY, MOST_MISSED, type Conversation, type Message } from '../src/state/conversation';

const message = (id: string, ts: number, more: Partial<Message> = {}): Message => ({
  _id: id,
  fromUserId: 'bob',
  toUserId: 'ada',
  text: `text of ${id}`,
  ts,
  progress: 'sent',
  ...more,
});
const mine = (clientId: string, ts: number, more: Partial<Message> = {}): Message => ({
  clientId,
  fromUserId: 'ada',
  toUserId: 'bob',
  text: `text of ${clientId}`,
  ts,
  progress: 'waiting',
  ...more,
});
const ids = ({ messages }: Conversation) => messages.map(({ _id, clientId }) => _id ?? clientId);
const all = (from: number, to: number, ts = (n: number) => n) =>
  Array.from({ length: to - from + 1 }, (_, at) => message(`m${from + at}`, ts(from + at)));
/** A host with a history of its own. */
const host =
  (messages: () => readonly Message[]): conversation.FetchPage =>
  async (before, limit) => {
    const known = messages();
    const end = before === undefined ? known.length : known.findIndex(({ _id }) => _id === before);
    return known.slice(Math.max(0, end - limit), end);
  };

describe('order', () => {
  test('messages of one moment keep the order of the host', () => {
    const page = { messages: [message('b', 5), message('a', 5), message('c', 5)], hasOlder: false };
    expect(ids(conversation.load(EMPTY, page))).toEqual(['b', 'a', 'c']);
    const live = conversation.arrive(conversation.load(EMPTY, page), message('0', 5));
    expect(ids(live)).toEqual(['b', 'a', 'c', '0']);
  });

  test('an older page of the same moment comes in front', () => {
    const known = conversation.load(EMPTY, { messages: [message('c', 5), message('d', 5)], hasOlder: true });
    const whole = conversation.prepend(known, { messages: [message('a', 4), message('b', 5)], hasOlder: false });
    expect(ids(whole)).toEqual(['a', 'b', 'c', 'd']);
    expect(whole.hasOlder).toBe(false);
  });

  test('a newest page that begins with a known moment stands behind what is known of it', () => {
    const known = conversation.load(EMPTY, { messages: [message('a', 4), message('b', 5)], hasOlder: false });
    const page = { messages: [message('c', 5), message('d', 6)], hasOlder: true, meets: true };
    expect(ids(conversation.catchUp(known, page))).toEqual(['a', 'b', 'c', 'd']);
  });

  test('what is not sent yet is behind all that is, in the order of writing', () => {
    let now = conversation.compose(EMPTY, mine('one', 9));
    now = conversation.compose(now, mine('two', 8));
    now = conversation.load(now, { messages: all(1, 3), hasOlder: false });
    now = conversation.arrive(now, message('m4', 100));
    expect(ids(now)).toEqual(['m1', 'm2', 'm3', 'm4', 'one', 'two']);
    now = conversation.acknowledged(now, 'two', 'm5', 101);
    expect(ids(now)).toEqual(['m1', 'm2', 'm3', 'm4', 'm5', 'one']);
  });
});

describe('each message once', () => {
  test('the echo, the acknowledgement and the history of one message, in any order', () => {
    const echo = (now: Conversation) => conversation.arrive(now, { ...mine('c1', 7), _id: 'm1', progress: 'sent' });
    const ack = (now: Conversation) => conversation.acknowledged(now, 'c1', 'm1', 7);
    const page = (now: Conversation) =>
      conversation.load(now, {
        messages: [{ ...message('m1', 7), fromUserId: 'ada', toUserId: 'bob' }],
        hasOlder: false,
      });
    // The history does not tell the clientId, so it is known only after one of the others.
    for (const steps of [
      [echo, ack, page],
      [ack, echo, page],
      [echo, page, ack],
      [ack, page, echo],
      [echo, echo, ack, ack],
    ]) {
      const start = conversation.sending(conversation.compose(EMPTY, mine('c1', 3)), 'c1');
      const end = steps.reduce((now, step) => step(now), start);
      expect(end.messages).toHaveLength(1);
      expect(end.messages[0]).toMatchObject({ _id: 'm1', clientId: 'c1', ts: 7, progress: 'sent' });
    }
  });

  test('the history comes before the acknowledgement', () => {
    let now = conversation.sending(conversation.compose(EMPTY, mine('c1', 3)), 'c1');
    now = conversation.load(now, {
      messages: [{ ...message('m1', 7), fromUserId: 'ada', toUserId: 'bob' }],
      hasOlder: false,
    });
    now = conversation.acknowledged(now, 'c1', 'm1', 7);
    expect(now.messages).toHaveLength(1);
  });

  test('a clientId of the other one is not the own', () => {
    const now = conversation.compose(EMPTY, mine('same', 3));
    expect(conversation.arrive(now, message('m1', 4, { clientId: 'same' })).messages).toHaveLength(2);
  });

  test('stamps last, whatever comes later', () => {
    let now = conversation.load(EMPTY, { messages: [message('m1', 1, { readAt: 5 })], hasOlder: false });
    now = conversation.arrive(now, message('m1', 1));
    expect(now.messages[0]?.readAt).toBe(5);
    expect(conversation.stamp(now, 'm1', 'readAt', 9)).toBe(now);
  });
});

describe('failing', () => {
  const start = conversation.sending(conversation.compose(EMPTY, mine('c1', 3)), 'c1');

  test('a refused one keeps its clientId, and can be sent again', () => {
    let now = conversation.failed(start, 'c1', 'busy');
    expect(now.messages[0]).toMatchObject({ clientId: 'c1', progress: 'failed', problem: 'busy' });
    now = conversation.sending(now, 'c1');
    expect(now.messages[0]?.problem).toBeUndefined();
    now = conversation.acknowledged(now, 'c1', 'm1', 8);
    expect(now.messages).toMatchObject([{ _id: 'm1', progress: 'sent' }]);
  });

  test('an answer that is too late does not undo what is sent', () => {
    const sent = conversation.acknowledged(start, 'c1', 'm1', 8);
    for (const late of [
      conversation.failed(sent, 'c1', 'late'),
      conversation.waiting(sent, 'c1'),
      conversation.discard(sent, 'c1'),
    ]) {
      expect(late.messages).toMatchObject([{ _id: 'm1', progress: 'sent' }]);
    }
  });

  test('the echo of a failed one says that it is sent', () => {
    const now = conversation.arrive(conversation.failed(start, 'c1', 'no answer'), {
      ...mine('c1', 9),
      _id: 'm1',
      progress: 'sent',
    });
    expect(now.messages).toHaveLength(1);
    expect(now.messages[0]).toEqual(expect.not.objectContaining({ problem: expect.anything() }));
    expect(now.messages[0]?.progress).toBe('sent');
  });
});

describe('catching up', () => {
  const loaded = conversation.load(EMPTY, { messages: all(1, 50), hasOlder: false });

  async function missed(now: Conversation, history: readonly Message[]): Promise<Conversation> {
    const lost = conversation.lose(now);
    return conversation.catchUp(
      lost,
      await conversation.fetchMissed(
        lost.missed ?? {},
        host(() => history),
      ),
    );
  }

  test.each([0, 1, 49, 50, 51, 249, 250, 251, 1_000])('%i missed messages leave no hole', async (count) => {
    const history = all(1, 50 + count);
    expect(ids(await missed(loaded, history))).toEqual(history.map(({ _id }) => _id));
  });

  test('a message that comes while it is fetched does not hide those in front of it', async () => {
    const history = all(1, 400);
    let now = conversation.lose(loaded);
    now = conversation.arrive(now, message('m400', 400));
    // Lost a second time: the first point holds.
    now = conversation.lose(now);
    expect(now.missed).toEqual({ after: 'm50' });
    now = conversation.catchUp(
      now,
      await conversation.fetchMissed(
        now.missed ?? {},
        host(() => history),
      ),
    );
    now = conversation.arrive(now, message('m401', 401));
    expect(ids(now)).toEqual(all(1, 401).map(({ _id }) => _id));
    expect(now.missed).toBeUndefined();
  });

  test('with too many what was known is given up, and paged to again', async () => {
    const history = all(1, 50 + MOST_MISSED * 2);
    const now = await missed(loaded, history);
    const known = ids(now);
    expect(now.hasOlder).toBe(true);
    expect(known).toEqual(history.slice(-known.length).map(({ _id }) => _id));
    expect(known.length).toBeGreaterThanOrEqual(MOST_MISSED);
  });

  test('a conversation that was empty', async () => {
    const empty = conversation.load(EMPTY, { messages: [], hasOlder: false });
    expect(ids(await missed(empty, all(1, 120)))).toEqual(all(1, 120).map(({ _id }) => _id));
  });

  test('that there are older ones stays known', async () => {
    const part = conversation.load(EMPTY, { messages: all(101, 150), hasOlder: true });
    const now = await missed(part, all(1, 160));
    expect(ids(now)).toEqual(all(101, 160).map(({ _id }) => _id));
    expect(now.hasOlder).toBe(true);
  });

  test('messages of one moment', async () => {
    const history = all(1, 300, () => 7);
    const known = conversation.load(EMPTY, { messages: history.slice(0, 50), hasOlder: false });
    expect(ids(await missed(known, history))).toEqual(history.map(({ _id }) => _id));
  });

  test('what is not loaded has no gap', () => {
    expect(conversation.lose(EMPTY).missed).toBeUndefined();
  });
});

test('unread are those that came to the member', () => {
  let now = conversation.load(EMPTY, {
    messages: [message('m1', 1), message('m2', 2, { readAt: 3 })],
    hasOlder: false,
  });
  now = conversation.compose(now, mine('c1', 4));
  expect(conversation.unread(now, 'ada')).toBe(1);
  expect(conversation.unread(now, 'bob')).toBe(0);
});
