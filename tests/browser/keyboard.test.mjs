// A member who has a keyboard and nothing else: signs up, fills in a profile, asks somebody, answers, writes, and logs
// out.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { PATIENCE, Window, launch } from './window.mjs';

const PASSWORD = 'Engine-1843';
const mark = `keys${Date.now().toString(36)}`;
let browser;
before(async () => {
  browser = await launch();
});
after(async () => {
  await browser?.close();
});

/** What has the focus: its name, as far as it has one, and where it is. */
const focused = (window) =>
  window.page.evaluate(() => {
    const { activeElement: element } = document;
    const label =
      element?.getAttribute('aria-label') ?? element?.labels?.[0]?.textContent ?? element?.textContent ?? '';
    return { tag: element?.tagName ?? '', label: label.trim().replace(/\s+/g, ' ') };
  });

/** Presses Tab until something of this name has the focus. It has to be reached within a few, and to be seen. */
async function tabTo(window, name, { most = 60, key = 'Tab' } = {}) {
  const seen = [];
  for (let presses = 0; presses < most; presses += 1) {
    await window.page.keyboard.press(key);
    const { tag, label } = await focused(window);
    seen.push(`${tag} ${label}`);
    if (!name.test(label)) continue;
    const box = await window.page.evaluate(() => {
      const { x, y, width, height } = document.activeElement.getBoundingClientRect();
      return {
        isSeen: width > 0 && height > 0 && x < innerWidth && y < innerHeight && x + width > 0 && y + height > 0,
      };
    });
    assert.ok(box.isSeen, `${label} has the focus and is not in the window`);
    return;
  }
  assert.fail(`${name} is not reached: ${seen.join(' → ')}`);
}

/** The heading of a new page has the focus. */
async function arrives(window, heading) {
  await window.sees(window.role('heading', heading, { level: 1 }));
  await window.page.waitForFunction(
    () => document.activeElement?.tagName === 'H1' || document.activeElement?.tagName === 'TEXTAREA',
  );
}

async function signUp(window, firstName) {
  const { keyboard } = window.page;
  await window.go('/');
  await tabTo(window, /^Create your account$/);
  await keyboard.press('Enter');
  await arrives(window, 'Create your account');
  await tabTo(window, /^First name/);
  for (const text of [firstName, mark, `${firstName}.${mark}@example.com`, PASSWORD]) {
    await keyboard.type(text);
    await keyboard.press('Tab');
  }
  await tabTo(window, /^Create account$/);
  await keyboard.press('Enter');
  await window.sees(window.role('heading', 'Discover', { level: 1 }));
}

test('the whole way by keyboard alone', { timeout: 10 * PATIENCE }, async () => {
  const ada = await Window.open(browser, 'Ada');
  const bob = await Window.open(browser, 'Bob');
  try {
    await walk(ada, bob);
  } catch (error) {
    for (const window of [ada, bob])
      await window.picture(`failed-keyboard-${window.name.toLowerCase()}`).catch(() => undefined);
    throw error;
  }
  ada.isClean();
  bob.isClean();
});

async function walk(ada, bob) {
  const { keyboard } = ada.page;
  await signUp(ada, 'Ada');
  await signUp(bob, 'Bob');

  // The first stop leads past the navigation.
  await ada.page.reload();
  await ada.sees(ada.role('heading', 'Discover', { level: 1 }));
  await keyboard.press('Tab');
  assert.match((await focused(ada)).label, /^Skip to the content$/);
  await ada.picture('skip');
  await keyboard.press('Enter');
  assert.equal((await focused(ada)).tag, 'MAIN');

  // Skills, typed and taken back.
  await ada.go('/app/profile');
  await ada.sees(ada.role('heading', 'Your profile', { level: 1 }));
  await tabTo(ada, /^Skills/);
  for (const skill of ['Rust', 'Knitting', 'Kafka']) {
    await keyboard.type(skill);
    await keyboard.press('Enter');
  }
  await tabTo(ada, /^Remove Knitting$/, { key: 'Shift+Tab' });
  await keyboard.press('Enter');
  await ada.seesNot(ada.role('button', 'Remove Knitting'));
  assert.match((await focused(ada)).label, /^Skills/);
  await tabTo(ada, /^Save changes$/);
  await keyboard.press('Enter');
  await ada.sees(ada.text('Your profile is saved.'));

  // Asking: the focus goes on to somebody else when a card goes away.
  await tabTo(ada, /^(\d+ .*)?Discover$/);
  await keyboard.press('Enter');
  await arrives(ada, 'Discover');
  await tabTo(ada, /^Everybody$/);
  await keyboard.press('Space');
  await ada.sees(ada.role('button', 'Connect with Bob').or(ada.role('button', 'Show more')));
  const wanted = ada
    .role('article')
    .filter({ hasText: `Bob ${mark}` })
    .getByRole('button', { name: 'Connect with Bob' });
  for (let pages = 0; pages < 50 && (await wanted.count()) === 0; pages += 1) {
    await tabTo(ada, /^Show more$/, { most: 400 });
    await keyboard.press('Enter');
    await ada.sees(wanted.or(ada.role('button', 'Show more')));
  }
  // Others of earlier tests may have his name; only the focus may be put before his button.
  await wanted.evaluate(
    (button) => button.previousElementSibling?.focus() ?? button.closest('article').querySelector('h2').focus(),
  );
  await tabTo(ada, /^Connect with Bob$/);
  await keyboard.press('Enter');
  await ada.seesNot(wanted);
  assert.match((await focused(ada)).tag, /^H[12]$/);

  // Answering, and writing.
  await bob.sees(bob.role('link', 'Ada sent you a connection request'));
  await tabTo(bob, /Requests$/, { most: 200 });
  await bob.page.keyboard.press('Enter');
  await arrives(bob, 'Requests');
  await tabTo(bob, /^Accept the request of Ada$/);
  await bob.page.keyboard.press('Enter');
  await bob.sees(bob.text('You are connected with Ada. Say hello!'));
  await tabTo(bob, /Chats$/, { most: 200 });
  await bob.page.keyboard.press('Enter');
  await arrives(bob, 'Chats');
  await tabTo(bob, new RegExp(`Ada ${mark}`));
  await bob.page.keyboard.press('Enter');
  await arrives(bob, `Ada ${mark}`);
  assert.match((await focused(bob)).label, /^Message to Ada$/, 'one can write at once');
  await bob.page.keyboard.type('by keyboard');
  await bob.page.keyboard.press('Enter');
  await bob.sees(bob.message('by keyboard'));
  // Earlier messages can be scrolled to.
  await tabTo(bob, /^Messages$/, { key: 'Shift+Tab' });

  // A question in front of the page keeps the focus, ends by Escape, and gives it back.
  await ada.go('/app/settings/account');
  await ada.sees(ada.role('heading', 'Account', { level: 1 }));
  await tabTo(ada, /^Delete my account…$/);
  await keyboard.press('Enter');
  await ada.sees(ada.role('dialog', 'Delete your account?'));
  for (let presses = 0; presses < 8; presses += 1) {
    await keyboard.press('Tab');
    const isInside = await ada.page.evaluate(
      () => document.activeElement === document.body || document.activeElement.closest('dialog') !== null,
    );
    assert.ok(isInside, JSON.stringify(await focused(ada)));
  }
  await keyboard.press('Escape');
  await ada.seesNot(ada.role('dialog'));
  await ada.page.waitForFunction(() => document.activeElement?.textContent === 'Delete my account…');
  // It is asked as often as it is wanted.
  await keyboard.press('Enter');
  await ada.sees(ada.role('dialog', 'Delete your account?'));
  await tabTo(ada, /^Cancel$/);
  await keyboard.press('Enter');
  await ada.seesNot(ada.role('dialog'));
  await ada.page.waitForFunction(() => document.activeElement?.textContent === 'Delete my account…');

  await tabTo(ada, /^Log out$/, { most: 80 });
  await keyboard.press('Enter');
  await ada.sees(ada.role('heading', /find the developers/i));
}
