// Two members, each in a window, walk through the whole product: on a desktop, and on a phone of 360 pixels.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { PATIENCE, Window, launch } from './window.mjs';

const PASSWORD = 'Engine-1843';
const NEW_PASSWORD = 'Difference-1822';
const REFUSED = /status of 4\d\d/;
const NO_NETWORK = /ERR_INTERNET_DISCONNECTED|ERR_NETWORK_CHANGED|WebSocket connection|ERR_FAILED/;

for (const size of ['desktop', 'phone']) {
  describe(`on a ${size}`, { timeout: 20 * PATIENCE }, () => {
    const mark = `${size}${Date.now().toString(36)}`;
    let browser, ada, bob;
    let failed = false;
    /** One step of the walk; none is tried after one that failed. */
    const step = (name, walk) =>
      test(name, async (context) => {
        if (failed) return context.skip('a step before it failed');
        failed = true;
        try {
          await walk();
        } catch (error) {
          for (const window of [ada, bob])
            await window?.picture(`failed-${window.name.toLowerCase()}`).catch(() => undefined);
          throw error;
        }
        failed = false;
      });
    before(async () => {
      browser = await launch();
      ada = await Window.open(browser, 'Ada', { size });
      bob = await Window.open(browser, 'Bob', { size, colorScheme: 'dark' });
    });
    after(async () => {
      await browser?.close();
    });

    async function signUp(window, firstName) {
      await window.field('First name').fill(firstName);
      await window.field('Last name').fill(mark);
      await window.field('E-mail address').fill(`${firstName}.${mark}@example.com`);
      await window.field('Password').fill(PASSWORD);
      await window.role('button', 'Create account').click();
      await window.sees(window.role('heading', 'Discover', { level: 1 }));
    }

    step('a stranger sees what it is about, signs up, and mistakes are said', async () => {
      await ada.go('/');
      await ada.sees(ada.role('heading', /find the developers/i));
      await ada.audit('landing');
      await ada.role('link', 'Create your account').click();
      await ada.role('button', 'Create account').click();
      await ada.sees(ada.text('Please fill this in.'));
      assert.equal(await ada.field('First name').evaluate((input) => input === document.activeElement), true);
      await ada.field('Password').fill('weak');
      await ada.sees(ada.text(/Use 8 characters or more/));
      await ada.audit('sign-up-mistakes');
      await signUp(ada, 'Ada');
      await bob.go('/app/signup');
      await bob.audit('sign-up-dark');
      await signUp(bob, 'Bob');
      await bob.audit('feed-empty-profile-dark');
    });

    step('a page that needs a session leads to logging in, and back', async () => {
      const stranger = await Window.open(browser, 'a stranger', { size });
      await stranger.go('/app/settings/sessions');
      await stranger.sees(stranger.role('heading', 'Log in', { level: 1 }));
      await stranger.audit('log-in');
      await stranger.field('E-mail address').fill(`ada.${mark}@example.com`);
      await stranger.field('Password').fill('Wrong-1234');
      await stranger.expecting(REFUSED, async () => {
        await stranger.role('button', 'Log in').click();
        await stranger.sees(stranger.role('alert').filter({ hasText: 'Invalid credentials.' }));
      });
      await stranger.field('Password').fill(PASSWORD);
      await stranger.role('button', 'Log in').click();
      await stranger.sees(stranger.role('heading', 'Sessions', { level: 1 }));
      stranger.isClean();
      await stranger.close();
    });

    step('a profile is edited, and its preview follows', async () => {
      for (const [window, skills, about] of [
        [ada, ['Rust', 'WebAssembly', 'TypeScript'], 'Notes on the engine.'],
        [bob, ['Rust', 'Kafka'], 'Clean code.'],
      ]) {
        await window.go('/app/profile');
        await window
          .field('About you(optional)')
          .or(window.page.getByLabel(/^About you/))
          .first()
          .fill(about);
        const input = window.page.getByRole('textbox', { name: /^Skills/ });
        for (const skill of skills) {
          await input.fill(skill);
          await input.press('Enter');
        }
        await window.page.getByLabel(/^Age/).fill('36');
        const preview = window.role('region', 'Preview');
        await window.sees(preview.getByText(about));
        await window.sees(preview.getByText(skills[0], { exact: true }));
        await window.audit(`profile-${window.name.toLowerCase()}`);
        await window.role('button', 'Save changes').click();
        await window.sees(window.text('Your profile is saved.'));
        await window.page.reload();
        assert.equal(await window.page.getByLabel(/^About you/).inputValue(), about);
      }
    });

    step('Ada finds Bob with a score and its reasons, and asks', async () => {
      await ada.visit('Discover');
      const card = ada.role('article').filter({ has: ada.page.getByRole('heading', { name: `Bob ${mark}` }) });
      const more = ada.role('button', 'Show more');
      for (let pages = 0; pages < 50 && !(await card.isVisible()); pages += 1) {
        await ada.sees(card.or(more));
        // The list may have become complete between the look and the click.
        if (!(await card.isVisible())) await more.click({ timeout: 3_000 }).catch(() => undefined);
      }
      await ada.sees(card.getByText('Why you might fit'));
      await ada.sees(card.getByText(/%$/));
      await card.getByText('How the score is made up').click();
      await ada.sees(card.getByText('Skills you share'));
      await ada.audit('feed');
      await card.getByRole('button', { name: 'Connect with Bob' }).click();
      await ada.seesNot(card);
      await ada.visit('Requests');
      await ada.role('link', 'Sent', { exact: true }).click();
      await ada.sees(ada.text(`Bob ${mark}`));
      await ada.audit('requests-sent');
    });

    step('Bob learns of it at once, and accepts', async () => {
      await bob.sees(bob.role('link', 'Ada sent you a connection request'));
      await bob.visit('Notifications');
      await bob.sees(bob.role('link', /Ada sent you a connection request/));
      await bob.audit('notifications-dark');
      await bob
        .role('main')
        .getByRole('link', { name: /Ada sent you a connection request/ })
        .click();
      await bob.sees(bob.role('heading', 'Requests', { level: 1 }));
      await bob.sees(bob.text(`Ada ${mark}`));
      await bob.audit('requests-dark');
      await bob.role('button', 'Accept the request of Ada').click();
      await bob.sees(bob.text('You are connected with Ada. Say hello!'));
      await bob.visit('Notifications');
      await bob.seesNot(bob.role('link', /New: Ada sent you/));
      await ada.sees(ada.role('link', 'Bob accepted your connection request'));
    });

    step('they chat: presence, typing, delivered and read', async () => {
      await ada.visit('Connections');
      await ada.sees(ada.role('article').getByText('Online', { exact: true }));
      await ada.audit('connections');
      await ada.role('link', 'Message Bob').click();
      await ada.sees(ada.role('heading', `Bob ${mark}`, { level: 1 }));
      await ada.sees(ada.text('You and Bob are connected. Say hello!'));
      const [toBob, toAda] = [ada.field('Message to Bob'), bob.field('Message to Ada')];
      await toBob.fill('Hello Bob,\nare you there?');
      await toBob.press('Enter');
      await ada.sees(ada.text(/^Delivered$/));
      // Bob is somewhere else: the message is told, and counted.
      await bob.sees(bob.role('link', /Ada .*: Hello Bob/));
      await bob.visit('Chats');
      await bob.sees(bob.role('main').getByText('1 unread message').first());
      await bob.audit('chats-dark');
      await bob
        .role('main')
        .getByRole('link', { name: new RegExp(`Ada ${mark}`) })
        .click();
      await bob.sees(bob.message('Hello Bob, are you there?'));
      await bob.page.bringToFront();
      await ada.sees(ada.text(/^Read$/));
      await toAda.pressSequentially('Hi');
      await ada.sees(ada.text('Bob is typing…'));
      await toAda.press('Enter');
      await ada.sees(ada.message('Hi'));
      await ada.seesNot(ada.text('Bob is typing…'));
      await ada.audit('chat');
      await bob.audit('chat-dark');
    });

    step('a long conversation is paged back to its beginning', async () => {
      const toBob = ada.field('Message to Bob');
      for (let n = 1; n <= 70; n += 1) {
        await toBob.fill(`line ${n}`);
        await toBob.press('Enter');
      }
      await bob.sees(bob.message('line 70'));
      await ada.seesNot(ada.page.locator('.message.sending, .message.waiting'));
      await bob.page.reload();
      await bob.sees(bob.message('line 70'));
      const beginning = bob.text('This is where your conversation began.');
      while (!(await beginning.isVisible())) {
        await bob.role('region', 'Messages').evaluate((element) => element.scrollTo(0, 0));
        await bob.sees(beginning.or(bob.role('button', /Show earlier messages|Loading/)));
      }
      const texts = await bob.page.locator('.bubble').allTextContents();
      const expected = ['Hello Bob,\nare you there?', 'Hi', ...Array.from({ length: 70 }, (_, at) => `line ${at + 1}`)];
      assert.deepEqual(texts, expected);
    });

    step('a lost connection: what is written waits, what was missed comes, and nothing is there twice', async () => {
      await ada.expecting(NO_NETWORK, async () => {
        await ada.context.setOffline(true);
        await ada.sees(ada.text('The connection is lost.'));
        await ada.field('Message to Bob').fill('from the tunnel');
        await ada.field('Message to Bob').press('Enter');
        await ada.sees(ada.text('Waiting for a connection'));
        await ada.picture('offline');
        // More than a page of the history.
        const toAda = bob.field('Message to Ada');
        for (let n = 1; n <= 60; n += 1) {
          await toAda.fill(`missed ${n}`);
          await toAda.press('Enter');
        }
        await bob.seesNot(bob.page.locator('.message.sending, .message.waiting'));
        await ada.context.setOffline(false);
        await ada.seesNot(ada.text('The connection is lost.'));
        await bob.sees(bob.message('from the tunnel'));
        await ada.sees(ada.message('missed 60'));
        await ada.seesNot(ada.page.locator('.message.sending, .message.waiting, .catching'));
      });
      const texts = await ada.page.locator('.bubble').allTextContents();
      const tail = texts.slice(texts.indexOf('line 70') + 1);
      const missed = Array.from({ length: 60 }, (_, at) => `missed ${at + 1}`);
      assert.deepEqual(tail, [...missed, 'from the tunnel']);
      // Presence and marks are there again.
      await bob.sees(bob.role('status').filter({ hasText: /^Online$/ }));
      await ada.sees(ada.text(/^Read$/));
    });

    step('mail preferences, membership and what is not there', async () => {
      await ada.visit('Settings', 'Mail preferences');
      const digest = ada.role('switch', 'Weekly digest');
      await digest.click();
      await ada.page.waitForFunction(() => document.querySelectorAll('[role=switch][aria-checked=true]').length === 4);
      await ada.audit('mail');
      await ada.page.reload();
      await ada.page.waitForFunction(() => document.querySelectorAll('[role=switch][aria-checked=true]').length === 4);
      await ada.visit('Membership');
      await ada.sees(ada.role('button', 'Get Gold'));
      await ada.audit('membership');
      await ada.go('/app/nowhere');
      await ada.sees(ada.text('There is no such page'));
      await bob.go('/app/you');
      await bob.audit('you-dark');
    });

    step('sessions are listed and ended; the password is changed', async () => {
      const elsewhere = await Window.open(browser, 'Ada elsewhere', { size });
      const logIn = async (password) => {
        await elsewhere.field('E-mail address').fill(`ada.${mark}@example.com`);
        await elsewhere.field('Password').fill(password);
        await elsewhere.role('button', 'Log in').click();
      };
      await elsewhere.go('/app/login');
      await logIn(PASSWORD);
      await elsewhere.sees(elsewhere.role('heading', 'Discover', { level: 1 }));
      await ada.go('/app/settings/sessions');
      await ada.sees(ada.text('This browser'));
      await ada.sees(ada.role('button', /^End the session/));
      await ada.audit('sessions');
      await elsewhere.expecting(/status of 401|WebSocket/, async () => {
        await ada
          .role('button', /^End the session/)
          .first()
          .click();
        await elsewhere.sees(elsewhere.text(/Your session is over/));
        await logIn(PASSWORD);
        await elsewhere.sees(elsewhere.role('heading', 'Discover', { level: 1 }));
        await ada.go('/app/settings/account');
        await ada.field('Current password').fill(PASSWORD);
        await ada.field('New password').fill(NEW_PASSWORD);
        await ada.audit('account');
        await ada.role('button', 'Change password').click();
        await ada.sees(ada.text(/Your password is changed/));
        await elsewhere.sees(elsewhere.text(/Your session is over/));
      });
      elsewhere.isClean();
      await elsewhere.close();
    });

    step('the data is exported, and logging out leaves nothing behind', async () => {
      const coming = ada.page.waitForEvent('download');
      await ada.role('button', 'Export my data').click();
      const download = await coming;
      assert.equal(download.suggestedFilename(), 'devconnect-account.json');
      const exported = JSON.parse(readFileSync(await download.path(), 'utf8'));
      assert.equal(exported.profile.emailId, `ada.${mark}@example.com`.toLowerCase());
      await bob.go('/app/you');
      const logOut = bob.role('button', 'Log out');
      await logOut.first().click();
      await bob.sees(bob.role('heading', /find the developers/i));
      const left = await bob.page.evaluate(() =>
        [localStorage, sessionStorage]
          .flatMap((kept) => Object.keys(kept))
          .filter((name) => name.startsWith('devconnect.')),
      );
      assert.deepEqual(left, []);
    });

    step('the account is deleted with the password', async () => {
      await ada.role('button', 'Delete my account…').click();
      const dialog = ada.role('dialog', 'Delete your account?');
      await ada.sees(dialog);
      await ada.audit('delete');
      await dialog.getByLabel('Password', { exact: true }).fill('Wrong-1234');
      await ada.expecting(REFUSED, async () => {
        await dialog.getByRole('button', { name: 'Delete for good' }).click();
        await ada.sees(dialog.getByRole('alert'));
      });
      await dialog.getByLabel('Password', { exact: true }).fill(NEW_PASSWORD);
      await dialog.getByRole('button', { name: 'Delete for good' }).click();
      await ada.sees(ada.text('Your account is deleted.'));
      await ada.sees(ada.role('heading', /find the developers/i));
    });

    step('nothing was logged that should not be', () => {
      ada.isClean();
      bob.isClean();
    });
  });
}
