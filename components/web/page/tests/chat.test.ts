// The chat with a line that breaks, a host that refuses, and a tab that is loaded anew.

import { describe, expect, test, vi } from 'vitest';
import type { Ack, StoredMessage } from '../src/api/types';
import { Chat, type Surroundings } from '../src/state/chat';
import { Shelf } from '../src/state/storage';

class Line {
  isConnected = true;
  readonly asked: { event: string; payload: Record<string, unknown> }[] = [];
  private readonly open: { answer: (ack: unknown) => void; fail: (error: Error) => void }[] = [];

  ask<Fields>(event: string, payload: unknown): Promise<Ack<Fields>> {
    this.asked.push({ event, payload: payload as Record<string, unknown> });
    return new Promise((answer, fail) => this.open.push({ answer: answer as (ack: unknown) => void, fail }));
  }

  async answer(ack: unknown): Promise<void> {
    this.open.shift()?.answer(ack);
    await settled();
  }

  async break(chat: Chat): Promise<void> {
    this.isConnected = false;
    chat.lost();
    for (const { fail } of this.open.splice(0)) fail(new Error('the line is broken'));
    await settled();
  }

  async mend(chat: Chat): Promise<void> {
    this.isConnected = true;
    chat.recover();
    await settled();
  }

  of(event: string) {
    return this.asked.filter((one) => one.event === event).map(({ payload }) => payload);
  }
}

const settled = async () => {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
};

class Tab {
  private readonly kept = new Map<string, string>();
  get length() {
    return this.kept.size;
  }
  key(at: number) {
    return [...this.kept.keys()][at] ?? null;
  }
  getItem(name: string) {
    return this.kept.get(name) ?? null;
  }
  setItem(name: string, value: string) {
    this.kept.set(name, value);
  }
  removeItem(name: string) {
    this.kept.delete(name);
  }
}

const stored = (n: number, more: Partial<StoredMessage> = {}): StoredMessage => ({
  _id: `m${n}`,
  fromUserId: 'bob',
  toUserId: 'ada',
  text: `text ${n}`,
  ts: new Date(n * 1_000).toISOString(),
  ...more,
});

function begin(more: Partial<Surroundings> = {}) {
  const line = new Line();
  const history: StoredMessage[] = [];
  const tab = new Tab();
  let ids = 0;
  const around: Surroundings = {
    me: 'ada',
    wire: line,
    history: vi.fn(async (_: string, { limit, before }: { limit: number; before?: string | undefined }) => {
      const end = before === undefined ? history.length : history.findIndex(({ _id }) => _id === before);
      return { data: history.slice(Math.max(0, end - limit), end) };
    }),
    shelf: new Shelf(() => tab),
    now: () => 5_000_000,
    clientId: () => `c${(ids += 1)}`,
    noAnswer: 'There was no answer.',
    later: () => undefined,
    ...more,
  };
  const chat = new Chat(around);
  const texts = () =>
    chat
      .with('bob')
      .peek()
      .messages.map(({ text }) => text);
  const progress = () =>
    chat
      .with('bob')
      .peek()
      .messages.map((message) => message.progress);
  return { line, history, tab, around, chat, texts, progress };
}

describe('sending', () => {
  test('a message is sent once, and what the host says of it counts', async () => {
    const { chat, line, progress } = begin();
    chat.send('bob', 'hello');
    expect(line.of('private-message')).toEqual([{ toUserId: 'bob', message: 'hello', clientId: 'c1' }]);
    await line.answer({ ok: true, _id: 'm1', ts: 9 });
    expect(chat.with('bob').peek().messages).toMatchObject([{ _id: 'm1', ts: 9, progress: 'sent' }]);
    expect(progress()).toEqual(['sent']);
  });

  test('without a connection it waits, and is sent in order when there is one', async () => {
    const { chat, line, progress } = begin();
    await line.break(chat);
    for (const text of ['one', 'two', 'three']) chat.send('bob', text);
    expect(line.asked).toEqual([]);
    expect(progress()).toEqual(['waiting', 'waiting', 'waiting']);
    await line.mend(chat);
    expect(line.of('private-message').map(({ message }) => message)).toEqual(['one', 'two', 'three']);
  });

  test('an answer that the broken line swallowed is asked for with the same clientId', async () => {
    const { chat, line, progress } = begin();
    chat.send('bob', 'hello');
    await line.break(chat);
    expect(progress()).toEqual(['waiting']);
    await line.mend(chat);
    expect(line.of('private-message').map(({ clientId }) => clientId)).toEqual(['c1', 'c1']);
    await line.answer({ ok: true, _id: 'm1', ts: 9 });
    expect(progress()).toEqual(['sent']);
  });

  test('a refused one can be sent again, as the same message', async () => {
    const { chat, line, progress } = begin();
    chat.send('bob', 'hello');
    await line.answer({ ok: false, message: 'The host is busy' });
    expect(chat.with('bob').peek().messages).toMatchObject([{ progress: 'failed', problem: 'The host is busy' }]);
    // A new connection sends nothing again that the member was told of.
    await line.break(chat);
    await line.mend(chat);
    expect(line.of('private-message')).toHaveLength(1);
    chat.again('bob', 'c1');
    chat.again('bob', 'c1');
    expect(line.of('private-message')).toHaveLength(2);
    await line.answer({ ok: true, _id: 'm1', ts: 9 });
    expect(progress()).toEqual(['sent']);
  });

  test('what is not sent survives that the tab is loaded anew', async () => {
    const first = begin();
    first.chat.send('bob', 'refused');
    await first.line.answer({ ok: false, message: 'busy' });
    await first.line.break(first.chat);
    first.chat.send('bob', 'waits');
    const { shelf } = first.around;
    const second = begin({ shelf });
    expect(second.progress()).toEqual(['failed', 'waiting']);
    second.chat.recover();
    expect(second.line.of('private-message')).toEqual([{ toUserId: 'bob', message: 'waits', clientId: 'c2' }]);
    await second.line.answer({ ok: true, _id: 'm1', ts: 9 });
    second.chat.discard('bob', 'c1');
    expect(first.tab.length).toBe(0);
  });

  test('another member of the same browser finds nothing of it', async () => {
    const first = begin();
    await first.line.break(first.chat);
    first.chat.send('bob', 'of Ada');
    const other = begin({ shelf: first.around.shelf, me: 'eve' });
    expect(other.texts()).toEqual([]);
  });

  test('what is kept and is no list does no harm', () => {
    const { tab, around } = begin();
    for (const text of ['{', '{}', 'null', '5']) {
      tab.setItem('devconnect.unsent.ada', text);
      expect(new Chat(around).with('bob').peek().messages).toEqual([]);
    }
  });
});

describe('a lost connection', () => {
  test('what was missed is fetched back to what is known, page by page', async () => {
    const { chat, line, history, texts, around } = begin();
    history.push(...Array.from({ length: 500 }, (_, at) => stored(at)));
    await chat.load('bob');
    expect(texts()).toHaveLength(50);
    await line.break(chat);
    history.push(...Array.from({ length: 300 }, (_, at) => stored(500 + at)));
    await line.mend(chat);
    expect(texts()).toEqual(history.slice(350).map(({ text }) => text));
    expect(vi.mocked(around.history).mock.calls.length).toBe(4);
    for (let page = 0; page < 8; page += 1) await chat.loadOlder('bob');
    expect(texts()).toEqual(history.map(({ text }) => text));
  });

  test('it breaks again while what was missed is fetched', async () => {
    const { chat, line, history, texts } = begin();
    history.push(stored(0));
    await chat.load('bob');
    await line.break(chat);
    history.push(stored(1));
    line.isConnected = true;
    chat.recover();
    // The page is on its way; the line breaks, and another message is written meanwhile.
    await line.break(chat);
    history.push(stored(2));
    await line.mend(chat);
    expect(texts()).toEqual(['text 0', 'text 1', 'text 2']);
  });

  test('the history fails: it is tried again', async () => {
    const calls: (() => void)[] = [];
    const { chat, line, history, around, texts } = begin({ later: (call) => calls.push(call) });
    history.push(stored(0));
    await chat.load('bob');
    await line.break(chat);
    history.push(stored(1));
    vi.mocked(around.history).mockRejectedValueOnce(new Error('busy'));
    await line.mend(chat);
    expect(texts()).toEqual(['text 0']);
    calls.forEach((call) => call());
    await settled();
    expect(texts()).toEqual(['text 0', 'text 1']);
  });

  test('what was loaded before there was a connection is looked at again', async () => {
    const { chat, line, history, texts } = begin();
    line.isConnected = false;
    history.push(stored(0));
    await chat.load('bob');
    history.push(stored(1));
    await line.mend(chat);
    expect(texts()).toEqual(['text 0', 'text 1']);
  });
});

describe('receiving', () => {
  const live = { _id: 'm9', fromUserId: 'bob', toUserId: 'ada', message: 'hi', ts: 9_000 };

  test('it is told that a message arrived, once, and that it was read when it is looked at', async () => {
    const { chat, line } = begin();
    const seen = vi.fn();
    chat.onMessage = seen;
    chat.arrived(live);
    chat.arrived(live);
    expect(seen).toHaveBeenCalledTimes(1);
    expect(line.of('message:delivered')).toEqual([{ _id: 'm9' }]);
    expect(line.of('message:read')).toEqual([]);
    chat.look('bob');
    chat.look('bob');
    expect(line.of('message:read')).toEqual([{ _id: 'm9' }]);
  });

  test('stamps that the broken line swallowed are told again', async () => {
    const { chat, line } = begin();
    chat.look('bob');
    chat.arrived(live);
    await line.break(chat);
    await line.mend(chat);
    expect(line.of('message:read')).toHaveLength(2);
  });

  test('the sender sees the marks', () => {
    const { chat } = begin();
    chat.arrived({ ...live, fromUserId: 'ada', toUserId: 'bob' });
    chat.wasStamped('m9', 'deliveredAt', 10);
    chat.wasStamped('m9', 'readAt', 11);
    expect(chat.with('bob').peek().messages).toMatchObject([{ deliveredAt: 10, readAt: 11 }]);
  });

  test('a message ends the typing of who sent it', () => {
    const { chat } = begin();
    chat.isTyping('bob', true);
    expect(chat.typing.peek().has('bob')).toBe(true);
    chat.arrived(live);
    expect(chat.typing.peek().has('bob')).toBe(false);
  });

  test('the own typing is not told with each key', () => {
    const { chat, line } = begin();
    for (let key = 0; key < 20; key += 1) chat.type('bob');
    expect(line.of('typing')).toHaveLength(1);
  });
});
