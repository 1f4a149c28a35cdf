// What a member sees of others: connections, requests, the feed, notifications, mail preferences. Each is loaded when a
// page wants it, refreshed when something tells of a change, and forgotten when the member leaves.

import { computed, signal } from '@preact/signals';
import * as routes from '../api/routes';
import type { EmailPreferences, FeedUser, Notification, ReceivedRequest, SafeUser, SentRequest } from '../api/types';
import { Overlay } from './overlay';
import { Resource } from './resource';

const ROWS = 50;
/** Members of a page of the feed: what every membership may have. */
const CARDS = 10;

// Connections.

export const connections = new Resource<SafeUser[]>(async () => (await routes.connections()).data);
export const connected = computed(() => new Map((connections.value ?? []).map((user) => [user._id, user])));

// Requests.

/** A list that comes page by page, from the newest on. */
class Pages<Row extends { _id: string }> {
  readonly first: Resource<{ rows: Row[]; page: number; hasMore: boolean }>;
  readonly isLoadingMore = signal(false);
  /** What is done with a row takes it out of the list. */
  readonly done = new Overlay<true>();
  readonly rows = computed(() => this.first.value?.rows.filter((row) => !this.done.has(row._id)));

  constructor(private readonly fetch: (page: number) => Promise<{ data: Row[]; hasMore?: boolean }>) {
    this.first = new Resource(async () => {
      const { data, hasMore } = await fetch(1);
      return { rows: data, page: 1, hasMore: hasMore ?? false };
    });
  }

  async more(): Promise<void> {
    const known = this.first.state.peek().value;
    if (!known?.hasMore || this.isLoadingMore.peek()) return;
    this.isLoadingMore.value = true;
    try {
      // Answered rows are gone at the host, so the next page begins earlier than it did.
      const page = Math.floor(known.rows.length / ROWS) + 1;
      const { data, hasMore } = await this.fetch(page);
      this.first.update(({ rows }) => ({ rows: union(rows, data), page, hasMore: hasMore ?? false }));
    } finally {
      this.isLoadingMore.value = false;
    }
  }

  /** Takes a row out while `work` runs, and for good when it succeeded. */
  take(id: string, work: () => Promise<unknown>): Promise<unknown> {
    const drop = () => this.first.update((known) => ({ ...known, rows: known.rows.filter((row) => row._id !== id) }));
    return this.done.during(id, true, work, drop);
  }

  reset(): void {
    this.first.reset();
    this.done.reset();
  }
}

function union<Row extends { _id: string }>(rows: readonly Row[], more: readonly Row[]): Row[] {
  const known = new Set(rows.map((row) => row._id));
  return [...rows, ...more.filter((row) => !known.has(row._id))];
}

export const received = new Pages<ReceivedRequest>((page) => routes.received(page, ROWS));
export const sent = new Pages<SentRequest>((page) => routes.sent(page, ROWS));

/** Answers a request. */
export async function respond(id: string, action: 'accept' | 'reject'): Promise<void> {
  await received.take(id, () => routes.respond(id, action));
  if (action === 'accept') await connections.load();
}

// The feed.

export const isRanked = signal(true);
interface Cards {
  cards: FeedUser[];
  total: number;
  hasMore: boolean;
}
export const feed = new Resource<Cards>(async () => {
  const { data, recommendations } = await routes.feed(1, CARDS, isRanked.peek());
  return { cards: data, total: recommendations.totalAvailable, hasMore: recommendations.hasMore };
});
export const judged = new Overlay<true>();
export const cards = computed(() => feed.value?.cards.filter((card) => !judged.has(card._id)));
export const isLoadingCards = signal(false);

export async function moreCards(): Promise<void> {
  const known = feed.state.peek().value;
  if (!known?.hasMore || isLoadingCards.peek()) return;
  const ranked = isRanked.peek();
  isLoadingCards.value = true;
  try {
    // Who was asked or ignored is in no page any more: the next one begins behind those who are still shown.
    const shown = known.cards.filter((card) => !judged.changes.peek().has(card._id)).length;
    const { data, recommendations } = await routes.feed(Math.floor(shown / CARDS) + 1, CARDS, ranked);
    if (ranked !== isRanked.peek()) return;
    feed.update(({ cards }) => ({
      cards: union(cards, data),
      total: recommendations.totalAvailable,
      hasMore: recommendations.hasMore,
    }));
  } finally {
    isLoadingCards.value = false;
  }
}

/** Asks to connect, or never shows somebody again. */
export async function judge(user: SafeUser, status: 'interested' | 'ignore'): Promise<void> {
  const drop = () => {
    feed.update((known) => ({
      ...known,
      cards: known.cards.filter((card) => card._id !== user._id),
      total: Math.max(0, known.total - 1),
    }));
    if (status === 'interested') sent.first.refresh();
  };
  await judged.during(user._id, true, () => routes.sendRequest(status, user._id), drop);
}

// Notifications.

export const notices = new Resource<{ rows: Notification[]; next?: string }>(async () => {
  const { data, next } = await routes.notifications();
  return { rows: data, ...(next !== undefined && { next }) };
});
const reading = new Overlay<string>();
export const isLoadingNotices = signal(false);

export const noticeRows = computed(() => {
  const changes = reading.changes.value;
  return notices.value?.rows.map((row) => {
    const readAt = row.readAt ?? changes.get(row._id);
    return readAt === undefined ? row : { ...row, readAt };
  });
});
export const unreadNotices = computed(() => noticeRows.value?.filter((row) => !row.readAt).length ?? 0);

export async function moreNotices(): Promise<void> {
  const next = notices.state.peek().value?.next;
  if (next === undefined || isLoadingNotices.peek()) return;
  isLoadingNotices.value = true;
  try {
    const page = await routes.notifications(next);
    notices.update(({ rows }) => ({
      rows: union(rows, page.data),
      ...(page.next !== undefined && { next: page.next }),
    }));
  } finally {
    isLoadingNotices.value = false;
  }
}

/** One has come, or counts more than it did. False when it was known as it is. */
export function noticeCame(news: Notification): boolean {
  const known = notices.state.peek().value?.rows.find((row) => row._id === news._id);
  if (known && known.count === news.count && known.message === news.message) return false;
  notices.update(({ rows, ...rest }) => ({ ...rest, rows: [news, ...rows.filter((row) => row._id !== news._id)] }));
  return true;
}

export async function readNotice({ _id, readAt }: Notification): Promise<void> {
  if (readAt || reading.changes.peek().has(_id)) return;
  const at = new Date().toISOString();
  const settle = () =>
    notices.update(({ rows, ...rest }) => ({
      ...rest,
      rows: rows.map((row) => (row._id === _id ? { ...row, readAt: at } : row)),
    }));
  await reading.during(_id, at, () => routes.readNotification(_id), settle);
}

// Mail preferences.

export const preferences = new Resource<EmailPreferences>(
  async () => (await routes.emailPreferences()).emailPreferences,
);
const choosing = new Overlay<boolean>();
export const chosen = computed(() => {
  const known = preferences.value;
  return known && { ...known, ...Object.fromEntries(choosing.changes.value) };
});

export async function choose(kind: keyof EmailPreferences, isWanted: boolean): Promise<void> {
  const settle = (answer: { emailPreferences: EmailPreferences }) =>
    preferences.update((known) => ({ ...known, [kind]: answer.emailPreferences[kind] }));
  await choosing.during(kind, isWanted, () => routes.choosePreferences({ [kind]: isWanted }), settle);
}

export function forget(): void {
  for (const resource of [connections, feed, notices, preferences]) resource.reset();
  for (const pages of [received, sent]) pages.reset();
  for (const overlay of [judged, reading, choosing]) overlay.reset();
  isRanked.value = true;
}
