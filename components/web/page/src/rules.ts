// The contract's rules for what members type, so that most mistakes are said before anything is sent. The host decides.

import { t } from './strings';

const length = (text: string) => [...text.trim()].length;

export function name(text: string): string | undefined {
  if (length(text) === 0) return t.rules.missing;
  return length(text) > 50 ? t.rules.long(50) : undefined;
}

export function email(text: string): string | undefined {
  if (length(text) === 0) return t.rules.missing;
  return /^[^\s@]+@[^\s@]+$/.test(text.trim()) ? undefined : t.rules.email;
}

/** A new password. Old ones log in whatever they look like. */
export function password(text: string): string | undefined {
  if (text === '') return t.rules.missing;
  const kinds = [/\p{Ll}/u, /\p{Lu}/u, /\p{N}/u, /[^\p{L}\p{N}\p{Cc}]/u];
  const isStrong = [...text].length >= 8 && kinds.every((kind) => kind.test(text));
  if (!isStrong) return t.rules.password;
  return new TextEncoder().encode(text).length > 1_024 ? t.rules.long(1_024) : undefined;
}

export function age(text: string): string | undefined {
  if (text.trim() === '') return undefined;
  const number = Number(text);
  return Number.isInteger(number) && number >= 18 && number <= 120 ? undefined : t.rules.age;
}

export function photo(text: string): string | undefined {
  if (text.trim() === '') return undefined;
  if (text.trim().length > 2_048) return t.rules.long(2_048);
  return /^https?:\/\/[^\s"<>\\`]+$/i.test(text.trim()) && URL.canParse(text.trim()) ? undefined : t.rules.url;
}

export function about(text: string): string | undefined {
  return length(text) > 1_000 ? t.rules.long(1_000) : undefined;
}

/** One skill that is added to others. */
export function skill(text: string, others: readonly string[]): string | undefined {
  if (length(text) > 50) return t.rules.long(50);
  return others.length >= 50 ? t.rules.skills : undefined;
}

/** Only what was there before may be empty. */
export const required = (text: string) => (text === '' ? t.rules.missing : undefined);
