// A conversation as it is shown: its messages in order, each once, with what is still on its way. Pure functions over
// plain values: no socket, no clock, no storage.
//
// The host says in which order messages are: by `ts`, and where that is equal by their place in a page of the history
// or the order of arrival. What is not sent yet comes behind all that is.

import type { LiveMessage, StoredMessage } from '../api/types';

/** `waiting` for a connection, `sending`, refused or unanswered (`failed`), or stored by the host (`sent`). */
export type Progress = 'waiting' | 'sending' | 'failed' | 'sent';

export interface Message {
  /** The host's id; not there before it is sent. */
  _id?: string;
  /** The sender's own name for it: the same twice is one message. */
  clientId?: string;
  fromUserId: string;
  toUserId: string;
  text: string;
  /** Milliseconds since 1970: the host's where it is sent, otherwise when it was written. */
  ts: number;
  deliveredAt?: number;
  readAt?: number;
  progress: Progress;
  /** Why it failed. */
  problem?: string;
}

export interface Conversation {
  messages: readonly Message[];
  /** The newest page of the history is among the messages, and from there on there is no hole. */
  isLoaded: boolean;
  /** There may be older messages than those that are known. */
  hasOlder: boolean;
  /**
   * The connection was lost since: `after` is the last message that was known then (none: there was none), and what
   * came behind it is still to be fetched.
   */
  missed?: { after?: string };
}

export const EMPTY: Conversation = { messages: [], isLoaded: false, hasOlder: false };

/** A part of the history that fits together, oldest first. */
export interface Fetched {
  messages: readonly Message[];
  /** There are older ones than these. */
  hasOlder: boolean;
}

export function fromStored(message: StoredMessage): Message {
  const { _id, fromUserId, toUserId } = message;
  const read: Message = {
    _id,
    fromUserId,
    toUserId,
    text: message.text ?? '',
    ts: millis(message.ts) ?? 0,
    progress: 'sent',
  };
  const [deliveredAt, readAt] = [millis(message.deliveredAt), millis(message.readAt)];
  return { ...read, ...(deliveredAt !== undefined && { deliveredAt }), ...(readAt !== undefined && { readAt }) };
}

export function fromLive(live: LiveMessage): Message {
  const { _id, fromUserId, toUserId, message: text, ts, clientId } = live;
  return { _id, fromUserId, toUserId, text, ts, progress: 'sent', ...(clientId !== undefined && { clientId }) };
}

function millis(date: string | null | undefined): number | undefined {
  const at = date ? Date.parse(date) : Number.NaN;
  return Number.isNaN(at) ? undefined : at;
}

export const isSent = (message: Message) => message.progress === 'sent';

function isSame(one: Message, other: Message): boolean {
  if (one._id !== undefined && other._id !== undefined) return one._id === other._id;
  return one.clientId !== undefined && one.clientId === other.clientId && one.fromUserId === other.fromUserId;
}

/** What is known of a message from both: the stamps of either, and a `clientId` that the history does not tell. */
function united(known: Message, news: Message): Message {
  const { problem: _, ...rest } = known;
  return { ...(news.progress === 'sent' ? rest : known), ...news };
}

/** Messages with these among them. `news` are in the host's order; `isNewest`: nothing that is known is behind them. */
function merged(known: readonly Message[], news: readonly Message[], isNewest: boolean): Message[] {
  const united_ = news.map((message) => {
    const same = known.find((other) => isSame(other, message));
    return same ? united(same, message) : message;
  });
  const rest = known.filter((message) => !united_.some((other) => isSame(message, other)));
  const [sent, unsent] = [rest.filter(isSent), rest.filter((message) => !isSent(message))];
  const [from, to] = [united_[0]?.ts ?? 0, united_.at(-1)?.ts ?? 0];
  const all: Message[] = [];
  let at = 0;
  for (const message of united_) {
    for (let other = sent[at]; other !== undefined; other = sent[at]) {
      // Of the same moment: in front of the newest page, and behind an older one.
      const isBefore =
        other.ts < message.ts || (other.ts === message.ts && isNewest && other.ts === from && from !== to);
      if (!isBefore) break;
      all.push(other);
      at += 1;
    }
    all.push(message);
  }
  return [...all, ...sent.slice(at), ...unsent];
}

/** The newest page of the history, seen for the first time. */
export function load(conversation: Conversation, fetched: Fetched): Conversation {
  const { missed: _, ...rest } = conversation;
  const messages = merged(conversation.messages, fetched.messages, true);
  return { ...rest, messages, isLoaded: true, hasOlder: fetched.hasOlder };
}

/** A page of the history in front of the oldest message that is known. */
export function prepend(conversation: Conversation, fetched: Fetched): Conversation {
  return {
    ...conversation,
    messages: merged(conversation.messages, fetched.messages, false),
    hasOlder: fetched.hasOlder,
  };
}

/** A message that has just come: it is behind all that are sent and not later. */
export function arrive(conversation: Conversation, message: Message): Conversation {
  // Two where the history brought it before its sender was told of it: one by its id, one by its `clientId`.
  const same = conversation.messages.filter((other) => isSame(other, message));
  const news = same.reduceRight((all, other) => united(other, all), message);
  const known = same.find(isSent);
  if (known) {
    const messages = conversation.messages.filter((other) => other === known || !same.includes(other));
    return replace({ ...conversation, messages }, known, news);
  }
  const rest = conversation.messages.filter((other) => !same.includes(other));
  const behind = rest.findLastIndex((other) => isSent(other) && other.ts <= news.ts);
  return { ...conversation, messages: rest.toSpliced(behind + 1, 0, news) };
}

function replace(conversation: Conversation, old: Message, news: Message): Conversation {
  return { ...conversation, messages: conversation.messages.map((message) => (message === old ? news : message)) };
}

/** The oldest message that the host has, from which one pages back. */
export const oldest = (conversation: Conversation) => conversation.messages.find(isSent);
export const newest = (conversation: Conversation) => conversation.messages.findLast(isSent);

/** The connection is lost: whatever comes from now on may have others in front of it. The first such point stays. */
export function lose(conversation: Conversation): Conversation {
  if (!conversation.isLoaded || conversation.missed) return conversation;
  const after = newest(conversation)?._id;
  return { ...conversation, missed: after === undefined ? {} : { after } };
}

/** How one page of the history is asked for; answered oldest first. */
export type FetchPage = (before: string | undefined, limit: number) => Promise<readonly Message[]>;

/**
 * The most messages that are fetched to close a gap. With more than these the part before it is given up and paged to
 * again.
 */
export const MOST_MISSED = 2_000;
const FIRST_PAGE = 50;
const NEXT_PAGES = 200;

/** What was missed, page by page from the newest message back to the one that was known. */
export async function fetchMissed(
  missed: { after?: string },
  fetchPage: FetchPage,
): Promise<Fetched & { meets: boolean }> {
  let all: readonly Message[] = [];
  for (;;) {
    const limit = all.length === 0 ? FIRST_PAGE : NEXT_PAGES;
    const page = await fetchPage(all[0]?._id, limit);
    // A message that came meanwhile can't be in two pages: each begins in front of the one before.
    all = [...page, ...all];
    const meets = missed.after !== undefined && page.some((message) => message._id === missed.after);
    const hasOlder = page.length >= limit;
    if (meets || !hasOlder || all.length >= MOST_MISSED) return { messages: all, hasOlder, meets: meets || !hasOlder };
  }
}

/** The gap is closed by what was fetched; where that is not enough, what was known before is given up. */
export function catchUp(conversation: Conversation, fetched: Fetched & { meets: boolean }): Conversation {
  const { missed: _, ...rest } = conversation;
  if (fetched.meets) {
    // Whether there are older ones in front of what was known is known already, unless all of it was fetched.
    const hasOlder = fetched.hasOlder && conversation.hasOlder;
    return { ...rest, messages: merged(conversation.messages, fetched.messages, true), hasOlder };
  }
  const from = fetched.messages[0]?.ts ?? 0;
  const kept = conversation.messages.filter((message) => !isSent(message) || message.ts > from);
  return { ...rest, messages: merged(kept, fetched.messages, true), hasOlder: fetched.hasOlder };
}

/** A message that the member has written. */
export function compose(conversation: Conversation, message: Message): Conversation {
  return { ...conversation, messages: [...conversation.messages, message] };
}

function change(conversation: Conversation, clientId: string, how: (message: Message) => Message): Conversation {
  const known = conversation.messages.find((message) => message.clientId === clientId);
  return known ? replace(conversation, known, how(known)) : conversation;
}

/** It is being sent. One that is sent already stays so. */
export function sending(conversation: Conversation, clientId: string): Conversation {
  return progress(conversation, clientId, 'sending');
}

/** It waits for a connection. */
export function waiting(conversation: Conversation, clientId: string): Conversation {
  return progress(conversation, clientId, 'waiting');
}

function progress(conversation: Conversation, clientId: string, to: Progress): Conversation {
  return change(conversation, clientId, (message) => {
    if (isSent(message)) return message;
    const { problem: _, ...rest } = message;
    return { ...rest, progress: to };
  });
}

/** The host has stored it. */
export function acknowledged(conversation: Conversation, clientId: string, _id: string, ts: number): Conversation {
  const known = conversation.messages.find((message) => message.clientId === clientId);
  if (!known) return conversation;
  const { problem: _, ...rest } = known;
  return arrive(conversation, { ...rest, _id, ts, progress: 'sent' });
}

/** It was refused, or nobody answered. When an echo came first, it is sent nevertheless. */
export function failed(conversation: Conversation, clientId: string, problem: string): Conversation {
  return change(conversation, clientId, (message) =>
    isSent(message) ? message : { ...message, progress: 'failed', problem },
  );
}

/** The member takes back one that was not sent. */
export function discard(conversation: Conversation, clientId: string): Conversation {
  const messages = conversation.messages.filter((message) => isSent(message) || message.clientId !== clientId);
  return { ...conversation, messages };
}

/** A message arrived at, or was read by, the one it went to. The first stamp stays. */
export function stamp(
  conversation: Conversation,
  _id: string,
  what: 'deliveredAt' | 'readAt',
  at: number,
): Conversation {
  const known = conversation.messages.find((message) => message._id === _id);
  if (!known || known[what] !== undefined) return conversation;
  return replace(conversation, known, { ...known, [what]: at });
}

/** How many messages `me` has not read, among those that are known. */
export function unread(conversation: Conversation, me: string): number {
  const isUnread = (message: Message) => isSent(message) && message.toUserId === me && message.readAt === undefined;
  return conversation.messages.filter(isUnread).length;
}
