// What drivers of the browser have in common: a page of its own for each case, and a line of JSON for what came of it.

import { createRequire } from 'node:module';

/** Answers each of `cases` with what `play` says of a page and the case; `viewport`, more `args` of Chromium and `inspect` are as wanted. */
export async function answerAll({ playwright, executablePath, cases, viewport, args = [], inspect = async () => {} }, play) {
  const { chromium } = createRequire(import.meta.url)(playwright);
  const browser = await chromium.launch({
    executablePath,
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required', ...args,
    ],
  });
  for (const task of cases) {
    const context = await browser.newContext({ viewport });
    const page = await context.newPage();
    const answer = { name: task.name, player: task.player };
    try {
      Object.assign(answer, await play(page, task));
    } catch (error) {
      answer.broken = String(error?.stack ?? error);
    }
    await inspect(page, task);
    // What a player still asks for is nobody's any more.
    await page.unrouteAll({ behavior: 'ignoreErrors' });
    await context.close();
    console.log(JSON.stringify(answer));
  }
  await browser.close();
}

/** A page whose address no server has is of no network; so it may not ask this machine, unless it is let. */
export const OWN_PAGE = ['--disable-features=LocalNetworkAccessChecks'];

/** Has all keys that are fetched open nothing. */
export async function replaceKeys(page) {
  await page.route('**/api/key/**', async (route) => {
    if (route.request().method() === 'OPTIONS') return route.continue();
    const response = await route.fetch();
    if (!response.ok() || route.request().method() === 'GET') return route.fulfill({ response, body: Buffer.alloc(16) });
    const licence = await response.json();
    for (const key of licence.keys) key.k = 'AAAAAAAAAAAAAAAAAAAAAA';
    return route.fulfill({ response, json: licence });
  });
}
