// The member's conversations: loads and pages them, sends, receives, stamps, and closes the gaps of a lost connection.
// Reaches the host by the `Wire` and the `History` that it is given; what is not sent yet lasts in the tab's storage.

import { signal, type Signal } from '@preact/signals';
import type { Ack, LiveMessage, StoredMessage } from '../api/types';
import * as conversation from './conversation';
import { EMPTY, type Conversation, type Fetched, type Message } from './conversation';
import type { Shelf } from './storage';

/** The socket, as far as the chat needs it. */
export interface Wire {
  readonly isConnected: boolean;
  /** Sends an event and waits for its acknowledgement; fails when there is none in time or the connection is lost. */
  ask<Fields>(event: string, payload: unknown): Promise<Ack<Fields>>;
}

/** A page of the history, oldest first. */
export type History = (
  id: string,
  query: { limit: number; before?: string | undefined },
) => Promise<{ data: StoredMessage[] }>;

export interface Surroundings {
  me: string;
  wire: Wire;
  history: History;
  shelf: Shelf;
  now: () => number;
  clientId: () => string;
  /** Words for the member, when nobody answered. */
  noAnswer: string;
  /** Calls later, in so many milliseconds. */
  later: (call: () => void, milliseconds: number) => void;
}

const PAGE = 50;
/** How long another try of catching up waits, in milliseconds. */
const AGAIN = 4_000;
/** How long somebody counts as typing after the last sign of it, in milliseconds. */
const TYPING = 5_000;
/** How often the own typing is told, in milliseconds. */
const TYPING_PACE = 2_500;

/** What is kept of a message that is not sent. */
interface Kept {
  toUserId: string;
  text: string;
  clientId: string;
  ts: number;
  problem?: string;
}

export class Chat {
  private readonly all = new Map<string, Signal<Conversation>>();
  /** Who is typing, and since when. */
  readonly typing = signal<ReadonlyMap<string, number>>(new Map());
  /** Grows with each change of any conversation, for what looks at all of them. */
  readonly version = signal(0);
  /** Called with each message that somebody else sent. */
  onMessage: (message: Message) => void = () => undefined;

  private readonly loading = new Map<string, Promise<void>>();
  private readonly catching = new Set<string>();
  private readonly stamped = new Set<string>();
  private readonly toldTyping = new Map<string, number>();
  /** The conversation that is looked at now, if any. */
  private seen: string | undefined;
  /** How often the connection was lost. */
  private losses = 0;

  constructor(private readonly around: Surroundings) {
    const kept = around.shelf.json<Kept[]>(this.place);
    for (const { toUserId, text, clientId, ts, problem } of Array.isArray(kept) ? kept : []) {
      const message: Message = {
        clientId,
        fromUserId: around.me,
        toUserId,
        text,
        ts,
        progress: problem === undefined ? 'waiting' : 'failed',
        ...(problem !== undefined && { problem }),
      };
      this.change(toUserId, (known) => conversation.compose(known, message));
    }
  }

  /** The conversation with `id`; empty before anything is known of it. */
  with(id: string): Signal<Conversation> {
    let found = this.all.get(id);
    if (!found) this.all.set(id, (found = signal(EMPTY)));
    return found;
  }

  /** The newest page, unless it is known. */
  load(id: string): Promise<void> {
    if (this.with(id).peek().isLoaded) return Promise.resolve();
    const running = this.loading.get(id);
    if (running) return running;
    const losses = this.losses;
    const promise = this.page(id, PAGE, undefined)
      .then((page) => {
        this.change(id, (known) => conversation.load(known, page));
        // What came while nobody listened is not in it.
        if (!this.around.wire.isConnected || losses !== this.losses) this.change(id, conversation.lose);
        this.catchUp(id);
        this.stamp(id);
      })
      .finally(() => this.loading.delete(id));
    this.loading.set(id, promise);
    return promise;
  }

  /** The page in front of what is known. */
  async loadOlder(id: string): Promise<void> {
    const known = this.with(id).peek();
    const from = conversation.oldest(known)?._id;
    if (!known.hasOlder || from === undefined) return;
    const page = await this.page(id, PAGE, from);
    // Meanwhile what was in front may have been fetched otherwise.
    if (conversation.oldest(this.with(id).peek())?._id === from)
      this.change(id, (now) => conversation.prepend(now, page));
  }

  private async page(id: string, limit: number, before: string | undefined): Promise<Fetched> {
    const { data } = await this.around.history(id, { limit, before });
    return { messages: data.map(conversation.fromStored), hasOlder: data.length >= limit };
  }

  // The connection.

  /** The connection is lost. */
  lost(): void {
    this.losses += 1;
    for (const id of this.all.keys()) this.change(id, conversation.lose);
    this.typing.value = new Map();
    this.toldTyping.clear();
  }

  /** There is a connection (again): what was missed is fetched, and what waits is sent. */
  recover(): void {
    for (const id of this.all.keys()) {
      this.catchUp(id);
      this.stamp(id);
    }
    this.flush();
  }

  private catchUp(id: string): void {
    const { missed } = this.with(id).peek();
    if (!missed || !this.around.wire.isConnected || this.catching.has(id)) return;
    this.catching.add(id);
    const losses = this.losses;
    const fetchPage: conversation.FetchPage = async (before, limit) => (await this.page(id, limit, before)).messages;
    conversation.fetchMissed(missed, fetchPage).then(
      (fetched) => {
        this.catching.delete(id);
        // Lost again meanwhile: what came since is missing in it.
        if (losses === this.losses) {
          this.change(id, (known) => conversation.catchUp(known, fetched));
          this.stamp(id);
        } else {
          this.catchUp(id);
        }
      },
      () => {
        this.catching.delete(id);
        this.around.later(() => this.catchUp(id), AGAIN);
      },
    );
  }

  // Sending.

  /** Sends a text; where there is no connection it waits for one. */
  send(toUserId: string, text: string): void {
    const { me, now, clientId: make } = this.around;
    const clientId = make();
    const message: Message = { clientId, fromUserId: me, toUserId, text, ts: now(), progress: 'waiting' };
    this.change(toUserId, (known) => conversation.compose(known, message));
    this.keep();
    this.toldTyping.delete(toUserId);
    void this.post(toUserId, clientId, text);
  }

  /** Sends one that failed once more, as the same message. */
  again(toUserId: string, clientId: string): void {
    const found = this.with(toUserId)
      .peek()
      .messages.find((message) => message.clientId === clientId);
    if (found?.progress !== 'failed') return;
    this.change(toUserId, (known) => conversation.waiting(known, clientId));
    this.keep();
    void this.post(toUserId, clientId, found.text);
  }

  /** Takes one back that failed. */
  discard(toUserId: string, clientId: string): void {
    this.change(toUserId, (known) => conversation.discard(known, clientId));
    this.keep();
  }

  /** What waits, in the order in which it was written. */
  private flush(): void {
    const all = [...this.all].flatMap(([id, { value }]) => value.messages.map((message) => ({ id, message })));
    const open = all
      .filter(({ message }) => message.progress === 'waiting')
      .sort((a, b) => a.message.ts - b.message.ts);
    for (const { id, message } of open)
      if (message.clientId !== undefined) void this.post(id, message.clientId, message.text);
  }

  private async post(toUserId: string, clientId: string, text: string): Promise<void> {
    const { wire, noAnswer } = this.around;
    if (!wire.isConnected) return;
    const losses = this.losses;
    this.change(toUserId, (known) => conversation.sending(known, clientId));
    try {
      const ack = await wire.ask<{ _id: string; ts: number }>('private-message', { toUserId, message: text, clientId });
      if (ack.ok) this.change(toUserId, (known) => conversation.acknowledged(known, clientId, ack._id, ack.ts));
      else this.change(toUserId, (known) => conversation.failed(known, clientId, ack.message));
    } catch {
      // It may have been stored or not. It is the same message when it is sent once more.
      if (losses === this.losses) this.change(toUserId, (known) => conversation.failed(known, clientId, noAnswer));
      else this.unanswered(toUserId, clientId, text);
    }
    this.keep();
  }

  /** The connection was lost before there was an answer. */
  private unanswered(toUserId: string, clientId: string, text: string): void {
    this.change(toUserId, (known) => conversation.waiting(known, clientId));
    const found = this.with(toUserId)
      .peek()
      .messages.find((message) => message.clientId === clientId);
    if (found?.progress === 'waiting') void this.post(toUserId, clientId, text);
  }

  /** The name of what is kept. Of each member by itself: a browser may be used by several. */
  private get place(): string {
    return `unsent.${this.around.me}`;
  }

  private keep(): void {
    const unsent = [...this.all.values()].flatMap(({ value }) =>
      value.messages.filter((message) => !conversation.isSent(message)),
    );
    const kept: Kept[] = unsent.map(({ toUserId, text, clientId, ts, problem }) => ({
      toUserId,
      text,
      ts,
      clientId: clientId ?? '',
      ...(problem !== undefined && { problem }),
    }));
    if (kept.length === 0) this.around.shelf.remove(this.place);
    else this.around.shelf.set(this.place, JSON.stringify(kept));
  }

  // Receiving.

  /** A message of one of both, on whichever device it was written. */
  arrived(live: LiveMessage): void {
    const { me } = this.around;
    const message = conversation.fromLive(live);
    const other = message.fromUserId === me ? message.toUserId : message.fromUserId;
    const isNew = !this.with(other)
      .peek()
      .messages.some((known) => known._id === message._id);
    this.change(other, (known) => conversation.arrive(known, message));
    if (message.fromUserId === me) {
      this.keep();
      return;
    }
    this.isTyping(other, false);
    this.stamp(other);
    if (isNew) this.onMessage(message);
  }

  /** The other one received or read a message. */
  wasStamped(_id: string, what: 'deliveredAt' | 'readAt', at: number): void {
    for (const [id, { value }] of this.all) {
      if (value.messages.some((message) => message._id === _id)) {
        this.change(id, (known) => conversation.stamp(known, _id, what, at));
      }
    }
  }

  /** The member looks at this conversation now, or at none. */
  look(id: string | undefined): void {
    this.seen = id;
    if (id !== undefined) this.stamp(id);
  }

  /** Tells the senders of messages that have arrived, and that they were read where the member looks at them. */
  private stamp(id: string): void {
    if (!this.around.wire.isConnected) return;
    const { me } = this.around;
    for (const { _id, toUserId, deliveredAt, readAt } of this.with(id).peek().messages) {
      if (_id === undefined || toUserId !== me) continue;
      if (deliveredAt === undefined) void this.tell(id, _id, 'message:delivered', 'deliveredAt');
      if (readAt === undefined && this.seen === id) void this.tell(id, _id, 'message:read', 'readAt');
    }
  }

  private async tell(id: string, _id: string, event: string, what: 'deliveredAt' | 'readAt'): Promise<void> {
    const key = `${event} ${_id}`;
    if (this.stamped.has(key)) return;
    this.stamped.add(key);
    try {
      const ack = await this.around.wire.ask<{ at: number }>(event, { _id });
      if (ack.ok) this.change(id, (known) => conversation.stamp(known, _id, what, ack.at));
    } catch {
      // The next connection tries it again.
      this.stamped.delete(key);
    }
  }

  // Typing.

  /** The other one is typing, or has stopped. */
  isTyping(id: string, is: boolean): void {
    const typing = new Map(this.typing.peek());
    if (!typing.delete(id) && !is) return;
    if (is) {
      const since = this.around.now();
      typing.set(id, since);
      this.around.later(() => this.typing.peek().get(id) === since && this.isTyping(id, false), TYPING);
    }
    this.typing.value = typing;
  }

  /** The member is typing. */
  type(toUserId: string): void {
    const { wire, now } = this.around;
    if (!wire.isConnected || now() - (this.toldTyping.get(toUserId) ?? Number.NEGATIVE_INFINITY) < TYPING_PACE) return;
    this.toldTyping.set(toUserId, now());
    wire.ask('typing', { toUserId }).catch(() => undefined);
  }

  private change(id: string, how: (known: Conversation) => Conversation): void {
    const found = this.with(id);
    const before = found.peek();
    found.value = how(before);
    if (found.peek() !== before) this.version.value = this.version.peek() + 1;
  }
}
