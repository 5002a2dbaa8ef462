// Plays films on the page at /player in Chromium, and says what was seen and heard. Judging that is the work of
// tests/browser.rs, which starts this with the cases as JSON on standard input; each answer is a line of JSON.

import { readFileSync } from 'node:fs';

import { answerAll, replaceKeys } from './cases.mjs';
import { picture, watchFrames } from './picture.mjs';

const { playwright, chromium: executablePath, cases, pictures } = JSON.parse(readFileSync(0, 'utf8'));

/** How long a film may take to begin, or to be refused. */
const PATIENCE_MS = 30_000;
/** The clock has to reach this, which a film that can't be decoded never does. */
const PLAYED_SECONDS = 1;

const inspect = async (page, { player, name }) => {
  if (pictures) await page.screenshot({ path: `${pictures}/${player} ${name}.png`, fullPage: true });
};
await answerAll({ playwright, executablePath, cases, viewport: { width: 1000, height: 900 }, inspect }, play);

async function play(page, task) {
  const complaints = [];
  const keyRequests = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (/content security policy/i.test(message.text())) complaints.push(message.text());
  });
  page.on('response', async (response) => {
    if (!new URL(response.url()).pathname.startsWith('/api/key/') || response.request().method() === 'OPTIONS') return;
    keyRequests.push({ origin: new URL(response.url()).origin, status: response.status() });
  });

  if (task.wrong_key) await replaceKeys(page);
  // The network fails once when a lease is renewed.
  if (task.outage) await page.route('**/keys/leases/renew', (route) => route.abort(), { times: 1 });
  await page.goto(`${task.page}/player`);
  const asset = page.locator('#asset');
  await asset.locator('option', { hasText: task.asset }).first().waitFor({ state: 'attached' });
  await asset.selectOption({ label: task.asset });
  await page.getByRole('radio', { name: task.player === 'shaka' ? 'Shaka Player' : 'hls.js' }).check();
  if (task.token) await page.getByRole('textbox', { name: 'Token' }).fill(task.token);
  if (task.mint) {
    await page.getByRole('button', { name: 'Mint' }).click();
    await page.waitForFunction(() => document.getElementById('token').value !== '');
  }
  await page.evaluate(() => {
    const video = document.getElementById('video');
    const audio = new AudioContext();
    const analyser = audio.createAnalyser();
    audio.createMediaElementSource(video).connect(analyser);
    analyser.connect(audio.destination);
    audio.resume();
    const bins = new Uint8Array(analyser.frequencyBinCount);
    window.loudest = 0;
    setInterval(() => {
      analyser.getByteFrequencyData(bins);
      window.loudest = Math.max(window.loudest, ...bins);
      const strongest = bins.indexOf(Math.max(...bins));
      window.pitch = bins[strongest] ? (strongest * audio.sampleRate) / analyser.fftSize : 0;
    }, 50);
  });
  await watchFrames(page);
  // Chosen as the browser's own controls do.
  await page.evaluate((wanted) => {
    const { textTracks } = document.getElementById('video');
    window.isWanted = ({ language, kind }) => language === wanted || kind === wanted;
    textTracks.addEventListener('addtrack', ({ track }) => { if (window.isWanted(track)) track.mode = 'showing'; });
  }, task.subtitles);
  // By keyboard, as somebody without a mouse does.
  if (task.playlist) await playPlainly(page, task);
  else await page.getByRole('button', { name: 'Play', exact: true }).press('Enter');

  const over = await page.waitForFunction(
    (seconds) => {
      if (!document.getElementById('error').hidden) return 'error';
      return document.getElementById('video').currentTime > seconds ? 'played' : false;
    },
    PLAYED_SECONDS,
    { timeout: PATIENCE_MS, polling: 50 },
  ).then((handle) => handle.jsonValue(), () => 'nothing');

  const text = (id) => page.locator(`#${id}`).textContent();
  const choose = (id, label) => page.locator(`#${id}`).selectOption({ label }, { timeout: PATIENCE_MS });
  if (over === 'played' && task.quality) {
    await choose('quality', task.quality);
    await page.waitForFunction(
      (name) => document.getElementById('quality-now').textContent === `now ${name}`,
      task.quality,
      { timeout: PATIENCE_MS },
    );
  }
  const pitches = [];
  if (over === 'played') for (const name of task.audio ?? []) {
    await choose('audio', name);
    pitches.push(await heard(page, pitches.at(-1)));
  }
  if (over === 'played' && task.change_quality) {
    const now = (await text('quality-now')).replace('now ', '');
    const other = (await page.locator('#quality option').allTextContents()).find((name) => name !== now && name !== 'Automatic');
    await page.locator('#quality').selectOption({ label: other });
    await page.waitForFunction(
      (name) => document.getElementById('quality-now').textContent === `now ${name}`,
      other,
      { timeout: PATIENCE_MS },
    );
    // The language stays as it was chosen.
    if (task.audio) pitches.push(await heard(page, null));
  }
  // What the page shows of its buffer is looked at now and then.
  if (over === 'played' && !task.playlist) await page.waitForFunction(() => document.getElementById('buffer').textContent.endsWith(' s'));
  const shown = {};
  for (const id of ['state', 'first-frame', 'key-fetch', 'fragment-load', 'stalls', 'switches', 'buffer', 'log']) shown[id] = await text(id);
  if (over === 'played' && task.revoked_by) {
    const { request, token } = task.revoked_by;
    await fetch(request, { method: 'POST', headers: { Authorization: `Bearer ${token}` }, body: JSON.stringify({ viewerId: task.viewer }) });
    await page.locator('#error').waitFor({ timeout: PATIENCE_MS });
  }
  const isTold = over === 'error' || task.revoked_by;
  const error = isTold ? { code: await text('error-code'), title: await text('error-title'), text: await text('error-text'), request: await text('error-request') } : null;
  const seen = [];
  if (over === 'played' && !task.revoked_by) for (const seconds of task.seeks ?? []) seen.push(await picture(page, seconds));
  const cues = over === 'played' && task.subtitles ? await subtitles(page) : null;
  const ended = over === 'played' && task.to_end ? await toEnd(page) : null;
  const loudest = await page.evaluate(() => window.loudest);
  const seconds = await page.evaluate(() => document.getElementById('video').currentTime);
  const renewals = over === 'played' && task.stop_for_ms ? await renewalsAfterStop(page, task.stop_for_ms) : null;
  return { over, ended, seconds, loudest, pitches, shown, error, cues, pictures: seen, key_requests: keyRequests, renewals, complaints };
}

/** Stops the film: how often its leases are renewed in that time although nobody plays. */
async function renewalsAfterStop(page, milliseconds) {
  await page.getByRole('button', { name: 'Stop', exact: true }).press('Enter');
  let renewals = 0;
  page.on('request', (request) => { if (request.url().endsWith('/keys/leases/renew')) renewals += 1; });
  await page.waitForTimeout(milliseconds);
  return renewals;
}

/** Plays a playlist with hls.js as docs/players.md configures it for Clear Key playlists, without the page's own adapters. */
async function playPlainly(page, task) {
  await page.addScriptTag({ url: '/player/hls-1.7.4.min.js' });
  await page.evaluate(({ asset, playlist, token }) => {
    const video = document.getElementById('video');
    const keyids = (kid) => {
      const base64url = btoa(String.fromCharCode(...kid)).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
      return { initDataType: 'keyids', initData: new TextEncoder().encode(JSON.stringify({ kids: [base64url] })).buffer };
    };
    const hls = new Hls({
      emeEnabled: true,
      drmSystems: {
        'org.w3.clearkey': {
          licenseUrl: 'unused:',
          generateRequest: (_type, _data, { decryptdata }) => keyids(decryptdata.keyId),
        },
      },
      licenseXhrSetup(xhr, _, { decryptdata }) {
        xhr.open('POST', decryptdata.uri);
        xhr.setRequestHeader('Authorization', `Bearer ${token}`);
      },
    });
    hls.on(Hls.Events.ERROR, (_, { fatal, details }) => {
      if (!fatal) return;
      document.getElementById('error-code').textContent = details;
      document.getElementById('error').hidden = false;
    });
    // A film that can't be decoded is told as an error above.
    hls.on(Hls.Events.MANIFEST_PARSED, () => video.play().catch(() => {}));
    hls.loadSource(`/media/${asset}/${playlist}`);
    hls.attachMedia(video);
  }, task);
}

/** Plays all of it: how far it came, and whether that is the end. Where it is stopped by an error, that is as far as it comes. */
async function toEnd(page) {
  await page.evaluate(() => {
    const video = document.getElementById('video');
    video.currentTime = 0;
    video.playbackRate = 2;
    video.play().catch(() => {});
  });
  return page.waitForFunction(
    () => {
      const video = document.getElementById('video');
      if (!document.getElementById('error').hidden || video.error) return 'error';
      return video.ended && 'ended';
    },
    null,
    { timeout: PATIENCE_MS, polling: 50 },
  ).then((handle) => handle.jsonValue(), () => 'nothing');
}

/** Plays to the end with subtitles: each cue's start and end on the clock of the picture, and its text. */
async function subtitles(page) {
  return page.evaluate(async () => {
    const video = document.getElementById('video');
    const found = new Map();
    const look = setInterval(() => {
      for (const track of video.textTracks) for (const cue of (window.isWanted(track) && track.cues) || []) {
        found.set(`${cue.startTime} ${cue.text}`, [cue.startTime, cue.endTime, cue.text]);
      }
    }, 20);
    const ended = new Promise((resolve) => { video.addEventListener('ended', resolve, { once: true }); });
    video.currentTime = 0;
    video.playbackRate = 4;
    video.play();
    await ended;
    clearInterval(look);
    return [...found.values()].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  });
}

/** The tone that is heard, in Hz, when it has been the same for a while and is not `before`: what was buffered of that is heard first. */
async function heard(page, before) {
  let last = [];
  for (let tries = 0; tries < 100; tries += 1) {
    await page.waitForTimeout(100);
    last = [...last, await page.evaluate(() => window.pitch)].slice(-10);
    if (last.length === 10 && last[0] && last[0] !== before && last.every((pitch) => pitch === last[0])) return last[0];
  }
  return null;
}
