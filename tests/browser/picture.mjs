// What is seen of a film at a time.
//
// Pictures are what the compositor shows, for a canvas stays black where media are encrypted.

import { createHash } from 'node:crypto';

/** How long a seek may take. */
const PATIENCE_MS = 20_000;
/** How often a time is sought until its frame is seen. */
const SEEKS = 5;
/** How long a frame of the films is seen. */
const FRAME_SECONDS = 1 / 25;

/** Has the page know the time of the frame that is seen, as the film has it. */
export async function watchFrames(page) {
  await page.evaluate(() => {
    const video = document.getElementById('video');
    const look = (_, { mediaTime }) => { window.shownSeconds = mediaTime; video.requestVideoFrameCallback(look); };
    video.requestVideoFrameCallback(look);
  });
}

/**
 * The SHA-256 of what is seen at a time. `before` is done in front of each seek, and `behind` until the player has what is sought.
 *
 * On a busy machine, a frame that was on its way is seen behind the seek, and players that replace what they have buffered leave
 * another one there: it is sought again until the frame of that time has come.
 */
export async function picture(page, seconds, before = async () => {}, behind = async () => {}) {
  let shown = null;
  for (let times = 0; times < SEEKS; times += 1) {
    await before(page);
    await page.evaluate(async ({ seconds, patience }) => {
      const video = document.getElementById('video');
      video.pause();
      video.controls = false;
      const sought = new Promise((resolve) => { video.addEventListener('seeked', resolve, { once: true }); });
      const late = new Promise((resolve) => { setTimeout(resolve, patience); });
      video.currentTime = seconds;
      await Promise.race([sought, late]);
    }, { seconds, patience: PATIENCE_MS });
    await behind(page);
    const seen = await settled(page);
    shown = await page.evaluate(() => window.shownSeconds);
    if (shown <= seconds && seconds < shown + FRAME_SECONDS) return seen;
  }
  throw new Error(`at ${seconds} s the frame of ${shown} s is seen`);
}

/** The SHA-256 of a picture that stays: on a busy machine a frame is seen later than the page is told of it. */
async function settled(page) {
  let last = null;
  let same = 0;
  for (let tries = 0; tries < 60 && same < 4; tries += 1) {
    await page.evaluate(() => new Promise((resolve) => { setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(resolve)), 50); }));
    const png = await page.locator('#video').screenshot();
    const seen = createHash('sha256').update(png).digest('hex');
    same = seen === last ? same + 1 : 0;
    last = seen;
  }
  return last;
}
