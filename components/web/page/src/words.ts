// How values read: names, moments, prices, and what went wrong. All of it in the language of the strings.

import { ApiError } from './api/client';
import type { SafeUser, Tier } from './api/types';
import { LANGUAGE, t } from './strings';

type Named = Pick<SafeUser, 'firstName' | 'lastName'>;

/** Both names, or a word for somebody without any. */
export function fullName(user: Named | undefined): string {
  const name = [user?.firstName, user?.lastName].filter(Boolean).join(' ').trim();
  return name || t.nobody;
}

export const firstName = (user: Named | undefined) => user?.firstName?.trim() || fullName(user);

/** One or two letters that stand for somebody. */
export function initials(user: Named | undefined): string {
  const letters = [user?.firstName, user?.lastName].map((name) => [...(name ?? '').trim()][0] ?? '');
  return letters.join('').toLocaleUpperCase(LANGUAGE) || '?';
}

export function tierOf(user: { membershipTier?: string } | undefined): Tier {
  return user?.membershipTier === 'silver' || user?.membershipTier === 'gold' ? user.membershipTier : 'free';
}

const clock = new Intl.DateTimeFormat(LANGUAGE, { hour: '2-digit', minute: '2-digit' });
const date = new Intl.DateTimeFormat(LANGUAGE, { day: 'numeric', month: 'short', year: 'numeric' });
const shortDate = new Intl.DateTimeFormat(LANGUAGE, { day: 'numeric', month: 'short' });
const weekday = new Intl.DateTimeFormat(LANGUAGE, { weekday: 'long', day: 'numeric', month: 'long' });
const whole = new Intl.DateTimeFormat(LANGUAGE, { dateStyle: 'medium', timeStyle: 'short' });
const relative = new Intl.RelativeTimeFormat(LANGUAGE, { numeric: 'auto', style: 'long' });
const rupees = new Intl.NumberFormat(LANGUAGE, { style: 'currency', currency: 'INR', maximumFractionDigits: 0 });

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const time = (at: number) => clock.format(at);
export const moment = (at: number) => whole.format(at);
export const price = (paise: number) => rupees.format(paise / 100);
/** A part of one, as per cent. */
export const percent = (part: number) => `${Math.round(Math.min(1, Math.max(0, part)) * 100)}%`;

/** How long ago: `now`, `5 minutes ago`, `yesterday`, a date. */
export function ago(at: number, now: number): string {
  const passed = now - at;
  if (passed < MINUTE) return t.time.now;
  if (passed < HOUR) return relative.format(-Math.floor(passed / MINUTE), 'minute');
  if (passed < DAY) return relative.format(-Math.floor(passed / HOUR), 'hour');
  const days = daysBetween(at, now);
  return days < 7 ? relative.format(-days, 'day') : date.format(at);
}

/** In a list: the time of today, otherwise the day. */
export function brief(at: number, now: number): string {
  const days = daysBetween(at, now);
  if (days === 0) return clock.format(at);
  return days === 1 ? relative.format(-1, 'day') : shortDate.format(at);
}

/** The heading of a day of a conversation. */
export function day(at: number, now: number): string {
  const days = daysBetween(at, now);
  if (days === 0 || days === 1) return capital(relative.format(-days, 'day'));
  return days < 180 ? weekday.format(at) : date.format(at);
}

const capital = (text: string) => text.charAt(0).toLocaleUpperCase(LANGUAGE) + text.slice(1);

/** How many midnights are between two moments, where the reader is. */
export function daysBetween(from: number, to: number): number {
  const midnight = (at: number) => new Date(at).setHours(0, 0, 0, 0);
  return Math.round((midnight(to) - midnight(from)) / DAY);
}

/** A wait in words. */
export function wait(seconds: number): string {
  if (seconds < 60) return t.time.seconds(Math.max(1, Math.ceil(seconds)));
  if (seconds < 3_600) return t.time.minutes(Math.ceil(seconds / 60));
  return t.time.hours(Math.ceil(seconds / 3_600));
}

/** What went wrong, and what to do next. */
export function problem(error: unknown): string {
  if (!(error instanceof ApiError)) return t.problems.unknown;
  if (error.failure === 'offline') return t.problems.offline;
  if (error.failure === 'timeout') return t.problems.timeout;
  const words = sentence(error.message);
  switch (true) {
    case error.status === 401:
      return t.problems.session;
    case error.status === 429:
      return [words || t.problems.limited, error.retryAfter && t.problems.again(wait(error.retryAfter))]
        .filter(Boolean)
        .join(' ');
    case error.status === 413:
      return t.problems.large;
    case error.status === 503 && words !== '':
      return [words, error.retryAfter && t.problems.again(wait(error.retryAfter))].filter(Boolean).join(' ');
    case error.status >= 500:
      return error.retryAfter ? t.problems.busyFor(wait(error.retryAfter)) : t.problems.busy;
    default:
      return words || t.problems.unknown;
  }
}

/** The host's words as a sentence, with fields as the forms name them. */
export function sentence(text: string): string {
  const named = text
    .trim()
    .replace(/\b(firstName|lastName|emailId|photoUrl|currentPassword|newPassword)\b/g, (field) =>
      t.fields[field as keyof typeof t.fields].toLocaleLowerCase(LANGUAGE),
    );
  if (named === '') return '';
  return capital(/[.!?…]$/.test(named) ? named : `${named}.`);
}
