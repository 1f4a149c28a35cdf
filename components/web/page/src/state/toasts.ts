// Short notes at the edge of the window, and what is read out without being shown.

import { signal } from '@preact/signals';

export interface Toast {
  number: number;
  text: string;
  isError: boolean;
  /** A page of ours that it is about. */
  href?: string;
}

/** How long one is shown, in milliseconds: long enough to read it, and errors until they are closed. */
const SHOWN = 6_000;
const MOST = 3;

export const toasts = signal<readonly Toast[]>([]);
export const announcement = signal({ text: '', number: 0 });
let count = 0;

export function toast(text: string, { isError = false, href }: { isError?: boolean; href?: string } = {}): void {
  count += 1;
  const number = count;
  const same = toasts.peek().filter((other) => other.text !== text);
  toasts.value = [...same, { number, text, isError, ...(href !== undefined && { href }) }].slice(-MOST);
  if (!isError) setTimeout(() => dismiss(number), SHOWN);
}

export function dismiss(number: number): void {
  toasts.value = toasts.peek().filter((other) => other.number !== number);
}

/** Reads a text out, to those who listen. */
export function announce(text: string): void {
  announcement.value = { text, number: announcement.peek().number + 1 };
}
