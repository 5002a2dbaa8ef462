// Plays manifests in dash.js and in Shaka Player in Chromium, and says what was seen and heard. Judging that is the work of
// tests/dash.rs, which starts this with the cases as JSON on standard input; each answer is a line of JSON.

import { readFileSync } from 'node:fs';

import { answerAll, OWN_PAGE } from './cases.mjs';
import { picture, watchFrames } from './picture.mjs';

const { node_modules: modules, chromium: executablePath, cases } = JSON.parse(readFileSync(0, 'utf8'));

/** How long a film may take to begin, or to be refused. */
const PATIENCE_MS = 20_000;
/** The same with keys that open nothing: who waits in vain for a picture need not wait for long. */
const WRONG_PATIENCE_MS = 10_000;
/** The clock has to advance by this, which a film that can't be decoded never does. */
const PLAYED_SECONDS = 1;

const SCRIPTS = {
  dash: `${modules}/dashjs/dist/modern/umd/dash.all.min.js`,
  shaka: `${modules}/shaka-player/dist/shaka-player.compiled.js`,
};

const PAGE = '<!doctype html><title>DASH</title><body style="margin:0"><video id="video" width="640" height="360" style="display:block"></video>';

/**
 * Each loads a film, with the token on licence requests, and calls `failed` with what the player complains of. Where quality is to be
 * changed, it stays as it is until `choose` is called with another of the `heights` that the player may change between.
 */
const PLAYERS = {
  dash: ({ manifest, token, changes_quality: changesQuality }, failed) => {
    const player = dashjs.MediaPlayer().create();
    player.initialize();
    if (token) player.setProtectionData({ 'org.w3.clearkey': { httpRequestHeaders: { Authorization: `Bearer ${token}` }, withCredentials: false } });
    player.on('error', ({ error }) => failed(`${error?.code} ${error?.message}`));
    player.on('playbackError', ({ error }) => failed(String(error?.message ?? error)));
    player.on('keyError', ({ error }) => failed(String(error?.message ?? error)));
    player.on('streamInitialized', () => player.setTextTrack(0));
    if (changesQuality) player.updateSettings({ streaming: { abr: { autoSwitchBitrate: { video: false } } } });
    const qualities = () => player.getRepresentationsByType('video');
    window.heights = () => qualities().map(({ height }) => height);
    window.choose = (height) => player.setRepresentationForTypeById('video', qualities().find((of) => of.height === height).id, true);
    player.attachView(document.getElementById('video'));
    player.attachSource(manifest);
  },
  shaka: async ({ manifest, token, changes_quality: changesQuality }, failed) => {
    shaka.polyfill.installAll();
    const player = new shaka.Player();
    await player.attach(document.getElementById('video'));
    player.addEventListener('error', ({ detail }) => failed(`${detail.code} ${detail.data}`));
    player.getNetworkingEngine().registerRequestFilter((type, request) => {
      if (token && type === shaka.net.NetworkingEngine.RequestType.LICENSE) request.headers.Authorization = `Bearer ${token}`;
    });
    if (changesQuality) player.configure('abr.enabled', false);
    window.heights = () => player.getVariantTracks().map(({ height }) => height);
    window.choose = (height) => player.selectVariantTrack(player.getVariantTracks().find((of) => of.height === height), true);
    await player.load(manifest).catch((error) => failed(`${error.code} ${error.data}`));
    const [text] = player.getTextTracks();
    if (text) { player.selectTextTrack(text); await player.setTextTrackVisibility?.(true); }
  },
};

const playwright = `${modules}/playwright-core`;
await answerAll({ playwright, executablePath, cases, viewport: { width: 640, height: 360 }, args: OWN_PAGE }, play);

async function play(page, task) {
  const licences = [];
  page.on('response', (response) => {
    const { pathname } = new URL(response.url());
    if (pathname.startsWith('/api/key/') && response.request().method() === 'POST') licences.push(response.status());
  });
  if (task.spoils_keys) {
    await page.route('**/api/key/**', async (route) => {
      const response = await route.fetch();
      const text = await response.text();
      await route.fulfill({ response, body: text.replace(/"k":"./g, (start) => `${start.slice(0, -1)}${start.endsWith('A') ? 'B' : 'A'}`) });
    });
  }
  // The page has the origin of the media.
  const address = new URL('/dash.html', task.manifest).href;
  await page.route(address, (route) => route.fulfill({ contentType: 'text/html', body: PAGE }));
  await page.goto(address);
  await page.addScriptTag({ path: SCRIPTS[task.player] });
  await page.evaluate(() => {
    const video = document.getElementById('video');
    const audio = new AudioContext();
    const analyser = audio.createAnalyser();
    audio.createMediaElementSource(video).connect(analyser);
    analyser.connect(audio.destination);
    audio.resume();
    const bins = new Uint8Array(analyser.frequencyBinCount);
    window.loudest = 0;
    window.complaints = [];
    window.cues = new Map();
    setInterval(() => {
      analyser.getByteFrequencyData(bins);
      window.loudest = Math.max(window.loudest, ...bins);
      for (const track of video.textTracks) for (const { startTime, endTime, text } of track.cues ?? []) {
        window.cues.set(`${startTime} ${text}`, [startTime, endTime, text]);
      }
    }, 20);
  });
  await watchFrames(page);
  await page.evaluate(`(${PLAYERS[task.player]})(${JSON.stringify(task)}, (what) => window.complaints.push(what))`);
  const over = await page.waitForFunction(
    (seconds) => {
      const video = document.getElementById('video');
      if (window.complaints.length || video.error) return 'error';
      video.play().catch(() => {});
      window.first ??= video.readyState > 2 ? video.currentTime : undefined;
      return video.currentTime - window.first > seconds ? 'played' : false;
    },
    PLAYED_SECONDS,
    { timeout: task.spoils_keys ? WRONG_PATIENCE_MS : PATIENCE_MS, polling: 50 },
  ).then((handle) => handle.jsonValue(), () => 'nothing');

  const seen = [];
  let ended = false;
  let heights = [];
  if (over === 'played') {
    if (task.changes_quality) heights = await page.evaluate(() => [...new Set(window.heights())].sort((a, b) => a - b));
    for (const height of task.changes_quality ? heights : [null]) {
      if (height) await choose(page, height);
      for (const seconds of task.seeks ?? []) seen.push(await picture(page, seconds, hideText, buffered));
    }
    if (task.to_end) ended = await toEnd(page);
  }
  return page.evaluate(([over, seen, licences, ended, heights]) => {
    const video = document.getElementById('video');
    const { loudest, complaints, cues, first } = window;
    const sorted = [...cues.values()].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    const { duration, currentTime: seconds } = video;
    return { over, first, seconds, duration, ended, loudest, cues: sorted, heights, pictures: seen, licences, complaints };
  }, [over, seen, licences, ended, heights]);
}

/** Has the player go to the quality of that height, and waits until it is there. */
async function choose(page, height) {
  await page.evaluate((height) => { window.choose(height); }, height);
  await page.waitForFunction(
    (height) => {
      const video = document.getElementById('video');
      video.play().catch(() => {});
      return video.videoHeight === height;
    },
    height,
    { timeout: PATIENCE_MS, polling: 50 },
  );
}

/** Plays all of it, so that no text is left out. */
async function toEnd(page) {
  return page.evaluate(async (patience) => {
    const video = document.getElementById('video');
    video.currentTime = 0;
    video.playbackRate = 4;
    video.play();
    const late = new Promise((resolve) => { setTimeout(() => resolve(false), patience); });
    return Promise.race([late, new Promise((resolve) => { video.addEventListener('ended', () => resolve(true), { once: true }); })]);
  }, PATIENCE_MS);
}

/** Text comes and goes by itself. */
async function hideText(page) {
  await page.evaluate(() => {
    for (const track of document.getElementById('video').textTracks) if (track.mode === 'showing') track.mode = 'hidden';
  });
}

/** Waits until the player has what is to be seen, and has left its buffer alone for a while: where a film has several periods, dash.js
 * replaces what it has buffered behind a seek. */
async function buffered(page) {
  await page.evaluate(async () => {
    const video = document.getElementById('video');
    const ranges = () => [...Array(video.buffered.length).keys()].map((at) => [video.buffered.start(at), video.buffered.end(at)]).join();
    const holdsNow = () => [...Array(video.buffered.length).keys()].some((at) => video.buffered.start(at) <= video.currentTime && video.currentTime < video.buffered.end(at));
    let before = '';
    for (let tries = 0, same = 0; tries < 150 && same < 8; tries += 1) {
      await new Promise((resolve) => { setTimeout(resolve, 100); });
      same = holdsNow() && ranges() === before ? same + 1 : 0;
      before = ranges();
    }
  });
}
