// A window of a real Chromium, what went wrong in it, and whether everybody can use what it shows.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

/** The running host. */
export const URL_OF_HOST = process.env.DEVCONNECT_URL ?? 'http://127.0.0.1:3000';
/** How long anything may take to be seen, in milliseconds. The machine may do something else as well. */
export const PATIENCE = 30_000;
const PICTURES = process.env.DEVCONNECT_PICTURES ?? fileURLToPath(new URL('../../target/browser/', import.meta.url));
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const ARGUMENTS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export async function launch() {
  const executablePath = process.env.DEVCONNECT_CHROMIUM ?? '/usr/bin/chromium';
  return await chromium.launch({ executablePath, args: ARGUMENTS });
}

export const SIZES = { desktop: { width: 1280, height: 800 }, phone: { width: 360, height: 740 } };

export class Window {
  /** Opens one, with a browser profile of its own. */
  static async open(browser, name, { size = 'desktop', colorScheme = 'light', context } = {}) {
    const own =
      context ??
      (await browser.newContext({
        viewport: SIZES[size],
        colorScheme,
        hasTouch: size === 'phone',
        isMobile: size === 'phone',
        reducedMotion: 'reduce',
        locale: 'en-GB',
        acceptDownloads: true,
        baseURL: URL_OF_HOST,
      }));
    own.setDefaultTimeout(PATIENCE);
    return new Window(own, await own.newPage(), name, size);
  }

  constructor(context, page, name, size) {
    Object.assign(this, { context, page, name, size, problems: [], expected: [] });
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning')
        this.note(`${message.text()} (${message.location().url})`);
    });
    page.on('pageerror', (error) => this.note(String(error)));
    page.on('request', (request) => {
      const { origin, protocol } = new URL(request.url());
      // A photo of a member is from wherever the member has it; these members have none.
      if (protocol.startsWith('http') && origin !== new URL(URL_OF_HOST).origin)
        this.problems.push(`asks another host: ${request.url()}`);
    });
  }

  note(text) {
    if (!this.expected.some((pattern) => pattern.test(text))) this.problems.push(text);
  }

  /**
   * What is logged while `work` runs and matches is no problem: Chromium logs each refusal and each request without a
   * network.
   */
  async expecting(pattern, work) {
    this.expected.push(pattern);
    try {
      return await work();
    } finally {
      this.expected = this.expected.filter((other) => other !== pattern);
    }
  }

  async go(path) {
    await this.page.goto(path);
  }

  role(role, name, options = {}) {
    return this.page.getByRole(role, { ...(name !== undefined && { name }), ...options });
  }

  field(label) {
    return this.page.getByLabel(label, { exact: true });
  }

  text(text) {
    return this.page.getByText(text);
  }

  /** A message of the conversation that is open, by its text. */
  message(text) {
    return this.role('region', 'Messages').locator('.bubble').getByText(text, { exact: true });
  }

  /** Waits until something is to be seen. */
  async sees(locator) {
    await locator.first().waitFor({ state: 'visible', timeout: PATIENCE });
  }

  async seesNot(locator) {
    await locator.first().waitFor({ state: 'hidden', timeout: PATIENCE });
  }

  /** To a page of the main navigation; on a phone some are behind `You`. */
  async visit(name, heading = name) {
    const back = this.role('link', 'All chats');
    // While one writes on a phone, there is only the way back.
    if (this.size === 'phone' && (await back.isVisible())) await back.click();
    const main = this.role('navigation', 'Main').getByRole('link', {
      name: new RegExp(`^(\\d+ [a-z ]+)?\\s*${name}$`, 'i'),
    });
    if (this.size === 'phone' && !(await main.first().isVisible())) {
      await this.role('navigation', 'Main').getByRole('link', { name: 'You' }).click();
      await this.role('main').getByRole('link', { name }).click();
    } else {
      await main.first().click();
    }
    await this.sees(this.role('heading', heading, { level: 1 }));
  }

  /** Nothing that a member with other eyes or hands can't use; nothing wider than the window; a picture of it. */
  async audit(label) {
    const { page } = this;
    await page.evaluate(AXE);
    const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
    const bad = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
    const told = bad.map(
      ({ id, help, nodes }) =>
        `${id}: ${help}\n    ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join('\n    ')}`,
    );
    await this.picture(label);
    assert.deepEqual(told, [], `${this.name}, ${label}`);
    const [wide, inner] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(wide <= inner, `${this.name}, ${label}: ${wide} pixels wide in a window of ${inner}`);
  }

  async picture(label) {
    mkdirSync(PICTURES, { recursive: true });
    await this.page.screenshot({ path: `${PICTURES}/${this.size}-${label}.png`, animations: 'disabled' });
  }

  /** Nothing was logged that should not be. */
  isClean() {
    assert.deepEqual(this.problems, [], `what ${this.name}'s window logged`);
  }

  async close() {
    await this.context.close();
  }
}
