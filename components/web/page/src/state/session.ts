// Who is logged in. The session itself is a cookie that no script sees; this knows whether there is one, and ends what
// was shown when there is none any more.

import { signal } from '@preact/signals';
import { ApiError } from '../api/client';
import * as routes from '../api/routes';
import type { OwnUser } from '../api/types';
import { navigate, ownPath, place } from '../router';
import { browser, tab } from './storage';

/** `unknown` until the host was asked; `unreachable` when it could not be. */
export type Phase = 'unknown' | 'unreachable' | 'out' | 'in';

export const phase = signal<Phase>('unknown');
export const me = signal<OwnUser | undefined>(undefined);

/** The id of who was logged in last, in this browser. Without it the host need not be asked. */
const MARK = 'member';
const onEnter: ((user: OwnUser) => void)[] = [];
const onLeave: (() => void)[] = [];

/** Something that a member has while logged in. */
export function during(enter: (user: OwnUser) => void, leave: () => void): void {
  onEnter.push(enter);
  onLeave.push(leave);
}

/** Asks the host who is logged in. */
export async function boot(): Promise<void> {
  if (!browser.get(MARK)) {
    phase.value = 'out';
    return;
  }
  phase.value = 'unknown';
  try {
    enter(await routes.profile({ anonymous: true }));
  } catch (error) {
    if (error instanceof ApiError && (error.status === 401 || error.status === 404)) leave();
    else phase.value = 'unreachable';
  }
}

/** Somebody has logged in. */
export function enter(user: OwnUser): void {
  if (phase.peek() === 'in') close();
  browser.set(MARK, user._id);
  me.value = user;
  phase.value = 'in';
  for (const call of onEnter) call(user);
}

/** What is known of the member, as it is now. */
export function changed(user: OwnUser): void {
  if (user._id === me.peek()?._id) me.value = user;
}

/** The member has logged out, or the account is gone: nothing of it stays in this browser. */
export function leave(): void {
  tab.clear();
  // Other tabs see the empty one, and forget what they have as well; one that is gone says that a session has ended.
  browser.set(MARK, '');
  browser.remove(MARK);
  close();
}

function close(): void {
  const wasIn = phase.peek() === 'in';
  phase.value = 'out';
  me.value = undefined;
  if (wasIn) for (const call of onLeave) call();
}

/** The session has ended elsewhere. What was written and not sent stays for when the member is back. */
export function lost(): void {
  if (phase.peek() !== 'in') return;
  browser.remove(MARK);
  close();
  toLogIn(true);
}

/** To the page for logging in, and back here afterwards. */
export function toLogIn(isOver = false): void {
  const { path, query } = place.peek();
  const here = query.size > 0 ? `${path}?${query}` : path;
  const next = ownPath(here);
  const words = new URLSearchParams({ ...(next && { next }), ...(isOver && { over: '1' }) });
  navigate(`/app/login${words.size > 0 ? `?${words}` : ''}`, { replace: true });
}

routes.client.onNoSession = lost;

/** Another tab has logged in or out. */
export function followOtherTabs(): void {
  addEventListener('storage', ({ key, newValue }) => {
    if (key !== `devconnect.${MARK}`) return;
    if (newValue === '') {
      leave();
      navigate('/', { replace: true });
    } else if (newValue === null) lost();
    else if (newValue !== me.peek()?._id) void boot();
  });
}
