// The connection to the host's Socket.IO server: opens it, registers on each connection, watches who is there, and says
// what comes. Comes back by itself after whatever ended it but the end of the session.

import { signal } from '@preact/signals';
import { io, type Socket } from 'socket.io-client';
import type { Ack, LiveMessage, Notification } from '../api/types';
import type { Wire } from './chat';

/** How long an acknowledgement may take, in milliseconds. */
const PATIENCE = 10_000;
/** How long a refused connection or registration waits for its next try, in milliseconds. */
const AGAIN = [1_000, 2_000, 5_000, 10_000, 30_000];

export type State = 'connecting' | 'connected' | 'lost';

export interface Listener {
  connected(): void;
  lost(): void;
  message(live: LiveMessage): void;
  stamped(what: 'deliveredAt' | 'readAt', stamp: { _id: string; at: number }): void;
  typing(fromUserId: string): void;
  notification(notification: Notification): void;
  /** The host refuses the connection: whether there still is a session. */
  hasSession(): Promise<boolean>;
}

export class Live implements Wire {
  readonly state = signal<State>('connecting');
  /** Who is there, of those that are watched. */
  readonly online = signal<ReadonlySet<string>>(new Set());

  private readonly socket: Socket;
  /** Whose presence is asked for, and whose was on this connection. */
  private readonly wanted = new Set<string>();
  private readonly watched = new Set<string>();
  private refusals = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly me: string,
    private readonly listener: Listener,
    socket?: Socket,
  ) {
    this.socket =
      socket ??
      io({
        path: '/socket.io/',
        // Where a proxy lets no WebSocket through, polling does.
        transports: ['websocket', 'polling'],
        tryAllTransports: true,
        reconnectionDelay: 500,
        reconnectionDelayMax: 10_000,
        timeout: 15_000,
        autoConnect: false,
      });
    this.listen();
  }

  get isConnected(): boolean {
    return this.socket.connected;
  }

  open(): void {
    this.socket.connect();
    globalThis.addEventListener('online', this.hurry);
    document.addEventListener('visibilitychange', this.hurry);
  }

  close(): void {
    clearTimeout(this.timer);
    globalThis.removeEventListener('online', this.hurry);
    document.removeEventListener('visibilitychange', this.hurry);
    this.socket.removeAllListeners();
    this.socket.disconnect();
  }

  async ask<Fields>(event: string, payload: unknown): Promise<Ack<Fields>> {
    // Without this check the client would keep the event and send it later.
    if (!this.socket.connected) throw new Error('there is no connection');
    return (await this.socket.timeout(PATIENCE).emitWithAck(event, payload)) as Ack<Fields>;
  }

  /** Keeps up to date whether these members are there. */
  watch(ids: readonly string[]): void {
    for (const id of ids) this.wanted.add(id);
    this.query();
  }

  /** Asks about those who were not asked about on this connection. */
  private query(): void {
    if (!this.socket.connected) return;
    for (const id of this.wanted) {
      if (this.watched.has(id)) continue;
      this.watched.add(id);
      this.ask<{ userId: string; online: boolean }>('presence:query', { userId: id }).then(
        (ack) => ack.ok && this.isThere(ack.userId, ack.online),
        () => this.watched.delete(id),
      );
    }
  }

  private listen(): void {
    const { socket, listener } = this;
    socket.on('connect', () => {
      this.refusals = 0;
      this.state.value = 'connected';
      this.watched.clear();
      void this.register(socket.id, 0);
      listener.connected();
    });
    socket.on('disconnect', (reason) => {
      this.state.value = 'lost';
      this.online.value = new Set();
      listener.lost();
      // The host has ended it, and the client does not come back by itself: the session is over, or the host goes down.
      if (reason === 'io server disconnect') this.retry();
    });
    socket.on('connect_error', () => {
      this.state.value = 'lost';
      // Not active: the host has refused it. Otherwise the client tries again by itself.
      if (!socket.active) this.retry();
    });
    socket.on('private-message', (live: LiveMessage) => listener.message(live));
    socket.on('message:delivered', (stamp: { _id: string; at: number }) => listener.stamped('deliveredAt', stamp));
    socket.on('message:read', (stamp: { _id: string; at: number }) => listener.stamped('readAt', stamp));
    socket.on('typing', ({ fromUserId }: { fromUserId: string }) => listener.typing(fromUserId));
    socket.on('notification', (notification: Notification) => listener.notification(notification));
    const presence = ({ userId, online }: { userId: string; online: boolean }) => this.isThere(userId, online);
    socket.on('presence', presence);
    socket.on('presence:state', presence);
  }

  /** Without it the member is not there for others. */
  private async register(connection: string | undefined, tries: number): Promise<void> {
    const ack = await this.ask('register', this.me).catch(() => undefined);
    if (this.socket.id !== connection || !this.socket.connected) return;
    if (ack?.ok) {
      this.query();
      return;
    }
    setTimeout(() => this.socket.id === connection && void this.register(connection, tries + 1), delay(tries));
  }

  private retry(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(async () => {
      // An error says nothing about the session.
      const hasSession = await this.listener.hasSession().catch(() => true);
      if (hasSession) this.socket.connect();
    }, delay(this.refusals));
    this.refusals += 1;
  }

  /** There may be a network again, or somebody who waits for one: not the moment to sit out a delay. */
  private readonly hurry = () => {
    if (document.visibilityState === 'visible' && navigator.onLine && !this.socket.connected && this.socket.active) {
      this.socket.disconnect().connect();
    }
  };

  private isThere(id: string, is: boolean): void {
    const online = new Set(this.online.peek());
    if (is === online.has(id)) return;
    if (is) online.add(id);
    else online.delete(id);
    this.online.value = online;
  }
}

const delay = (tries: number) => AGAIN[Math.min(tries, AGAIN.length - 1)] ?? 30_000;
