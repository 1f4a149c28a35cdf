// Formats, rules, and what is undone when the host refuses.

import { describe, expect, test } from 'vitest';
import type { OwnUser } from '../src/api/types';
import { ownPath } from '../src/router';
import * as rules from '../src/rules';
import { Overlay } from '../src/state/overlay';
import { Resource } from '../src/state/resource';
import { Shelf } from '../src/state/storage';
import { ago, brief, day, daysBetween, fullName, initials, percent, price, tierOf, wait } from '../src/words';

const now = new Date(2026, 5, 15, 12, 0).getTime();
const HOUR = 3_600_000;

test('moments', () => {
  expect([ago(now - 5_000, now), ago(now - 5 * 60_000, now), ago(now - 3 * HOUR, now)]).toEqual([
    'just now',
    '5 minutes ago',
    '3 hours ago',
  ]);
  expect(ago(now - 26 * HOUR, now)).toBe('yesterday');
  expect(ago(now - 400 * 24 * HOUR, now)).toMatch(/2025/);
  expect([day(now, now), day(now - 13 * HOUR, now)]).toEqual(['Today', 'Yesterday']);
  expect(brief(now - 40 * 24 * HOUR, now)).toBe('6 May');
  expect(daysBetween(new Date(2026, 2, 28, 23, 59).getTime(), new Date(2026, 2, 30, 0, 1).getTime())).toBe(2);
});

test('waits are never shorter than they are', () => {
  expect([wait(0), wait(1), wait(59), wait(60), wait(61), wait(7_200), wait(7_201)]).toEqual([
    '1 second',
    '1 second',
    '59 seconds',
    '1 minute',
    '2 minutes',
    '2 hours',
    '3 hours',
  ]);
});

test('names, letters, parts and prices', () => {
  expect([fullName({ firstName: 'Ada', lastName: null }), fullName(undefined)]).toEqual(['Ada', 'Somebody']);
  expect([
    initials({ firstName: 'ada', lastName: 'lovelace' }),
    initials({ firstName: '👩‍💻', lastName: '' }),
    initials({}),
  ]).toEqual(['AL', '👩', '?']);
  expect([percent(0.876), percent(2), percent(-1)]).toEqual(['88%', '100%', '0%']);
  expect(price(9_900)).toBe('₹99');
  expect([tierOf({ membershipTier: 'gold' }), tierOf({ membershipTier: 'Gold' }), tierOf(undefined)]).toEqual([
    'gold',
    'free',
    'free',
  ]);
});

describe('rules', () => {
  test('are those of the contract', () => {
    expect([rules.name('李'), rules.name(' '), rules.name('x'.repeat(51))].map(Boolean)).toEqual([false, true, true]);
    expect(
      [rules.email('josé@münchen.de'), rules.email('a@b'), rules.email('a b@c'), rules.email('@')].map(Boolean),
    ).toEqual([false, false, true, true]);
    for (const weak of ['', 'Pa0!', 'passw0rd!', 'PASSW0RD!', 'Password!', 'Passw0rdd'])
      expect(rules.password(weak), weak).toBeTruthy();
    expect(rules.password('Passw0rd!')).toBeUndefined();
    expect(rules.password(`Aa1!${'a'.repeat(1_021)}`)).toBeTruthy();
    expect([rules.age(''), rules.age('18'), rules.age('17'), rules.age('18.5'), rules.age('x')].map(Boolean)).toEqual([
      false,
      false,
      true,
      true,
      true,
    ]);
    expect(
      [
        rules.photo(''),
        rules.photo('https://a.b/c.png'),
        rules.photo('javascript:alert(1)'),
        rules.photo('https://'),
      ].map(Boolean),
    ).toEqual([false, false, true, true]);
    expect(rules.skill('x', Array.from({ length: 50 }, String))).toBeTruthy();
  });

  test('one comes back to pages of ours only', () => {
    expect([ownPath('/app/chat/1'), ownPath('/app'), ownPath('/app?x=1')]).toEqual(['/app/chat/1', '/app', '/app?x=1']);
    for (const foreign of [
      null,
      '',
      '/',
      'https://evil.example',
      '//evil.example',
      '/app//evil',
      '/app\\evil',
      '/application',
      '/logout',
    ]) {
      expect(ownPath(foreign), String(foreign)).toBeUndefined();
    }
  });
});

describe('a change that the host refuses', () => {
  const defer = () => {
    let settle: { resolve: () => void; reject: (error: Error) => void } | undefined;
    const promise = new Promise<void>((resolve, reject) => (settle = { resolve, reject }));
    return { promise, ...settle! };
  };

  test('is lifted off', async () => {
    const overlay = new Overlay<boolean>();
    const work = defer();
    const done = overlay.during(
      'a',
      true,
      () => work.promise,
      () => undefined,
    );
    expect(overlay.has('a')).toBe(true);
    work.reject(new Error('no'));
    await expect(done).rejects.toThrow('no');
    expect(overlay.has('a')).toBe(false);
  });

  test('stays where the member changed it again since', async () => {
    const overlay = new Overlay<number>();
    const [first, second] = [defer(), defer()];
    let settled = 0;
    const one = overlay.during(
      'a',
      1,
      () => first.promise,
      () => (settled = 1),
    );
    const two = overlay.during(
      'a',
      2,
      () => second.promise,
      () => (settled = 2),
    );
    first.reject(new Error('no'));
    await expect(one).rejects.toThrow();
    expect(overlay.changes.value.get('a')).toBe(2);
    second.resolve();
    await two;
    expect([settled, overlay.has('a')]).toEqual([2, false]);
  });
});

describe('what is loaded', () => {
  test('of two loads the later one counts, whichever is answered last', async () => {
    const answers: ((value: string) => void)[] = [];
    const resource = new Resource(() => new Promise<string>((answer) => answers.push(answer)));
    const [one, two] = [resource.load(), resource.load()];
    answers[1]?.('new');
    answers[0]?.('old');
    await Promise.all([one, two]);
    expect(resource.value).toBe('new');
  });

  test('a failure keeps what was there', async () => {
    let fails = false;
    const resource = new Resource(async () => {
      if (fails) throw new Error('no');
      return 1;
    });
    await resource.load();
    fails = true;
    await resource.load();
    expect(resource.state.value).toMatchObject({ value: 1, isLoading: false, error: new Error('no') });
  });
});

test('a browser that keeps nothing is as good as an empty one', () => {
  const shelf = new Shelf(() => {
    throw new Error('denied');
  });
  shelf.set('a', '1');
  shelf.clear();
  expect([shelf.get('a'), shelf.json('a')]).toEqual([null, undefined]);
});

test('what is changed of a profile is what is different', async () => {
  const { changesOf } = await import('../src/pages/profile');
  const user = {
    _id: '1',
    firstName: 'Ada',
    lastName: 'L',
    emailId: 'a@b.c',
    age: 36,
    gender: 'female',
    photoUrl: null,
    about: null,
    skills: ['Rust', null],
  } as unknown as OwnUser;
  const values = {
    firstName: 'Ada ',
    lastName: 'Lovelace',
    emailId: 'a@b.c',
    photoUrl: '',
    age: '37',
    gender: '',
    about: '',
  };
  expect(changesOf(user, values, ['Rust'])).toEqual({ lastName: 'Lovelace', age: 37 });
  expect(changesOf(user, { ...values, about: 'x' }, [])).toEqual({
    lastName: 'Lovelace',
    age: 37,
    about: 'x',
    skills: [],
  });
});
